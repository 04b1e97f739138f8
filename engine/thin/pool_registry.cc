#include "engine/thin/pool_registry.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/thin/pool.h"

namespace engine::thin {

void PoolRef::reset() {
  if (pool_ != nullptr) registry_->release(*std::exchange(pool_, nullptr));
}

PoolRegistry::PoolRegistry(const PoolOptions& options) : options_{options} {}

PoolRegistry::~PoolRegistry() {
  ENGINE_CHECK_ALIVE(places_.empty(), "{} pools are open when their registry goes", places_.size());
}

// An open pool keeps its devices and its block size for life: another data device or block size
// would tear its address arithmetic apart under I/O in flight.
Result<Pool*> PoolRegistry::find_for(const PoolOpen& request) {
  for (const Place& place : places_) {
    const bool same_owner = place.owner == &request.owner;
    const bool same_metadata = place.metadata == &request.metadata;
    const bool same_data = place.data == &request.data;
    if (place.pool == nullptr && (place.closing || same_owner)) continue;   // must_wait()
    if (same_owner && same_metadata && same_data) {
      if (place.pool->block_sectors() != request.block_sectors) {
        return fail(Errc::invalid, request.block_sectors, "Error creating metadata object");
      }
      return place.pool.get();
    }
    if (same_owner && !same_metadata) {
      return fail(Errc::invalid, 0, "different pool cannot replace a pool");
    }
    if (same_metadata && !same_owner) {
      return fail(Errc::busy, 0, "metadata device already in use by a pool");
    }
    if (same_metadata || same_data) {
      return fail(Errc::busy, 0, "data device already in use by a pool");
    }
  }
  return nullptr;
}

// For what will be free, or open, soon. A device that another pool is opening on is in use.
bool PoolRegistry::must_wait(const PoolOpen& request) {
  return std::any_of(places_.begin(), places_.end(), [&](const Place& place) {
    if (place.pool != nullptr) return false;
    if (place.owner == &request.owner) return true;
    return place.closing && (place.metadata == &request.metadata || place.data == &request.data);
  });
}

Result<void> PoolRegistry::check(const PoolOpen& request) {
  const MutexLock lock{mutex_};
  ENGINE_TRY(find_for(request));
  return {};
}

Result<PoolRef> PoolRegistry::open(Executor& executor, const PoolOpen& request) {
  std::list<Place>::iterator place;
  {
    const MutexLock lock{mutex_};
    while (must_wait(request))
      settled_.wait(mutex_);
    ENGINE_TRY_ASSIGN(Pool * found, find_for(request));
    if (found != nullptr) {
      if (found->ignores_discards() != (request.features.discard == DiscardPolicy::ignore)) {
        return fail(Errc::invalid, 0, "Discard support cannot be disabled once enabled");
      }
      found->table_refs().get();
      return PoolRef{*this, *found};
    }
    place = places_.insert(
        places_.end(),
        {.owner = &request.owner, .metadata = &request.metadata, .data = &request.data});
  }
  auto opened = Pool::open(executor, rcu_, request, options_);
  const MutexLock lock{mutex_};
  settled_.notify_all();
  if (!opened) {
    places_.erase(place);
    return Failure{opened.error()};
  }
  place->pool = *std::move(opened);
  return PoolRef{*this, *place->pool};
}

Result<PoolRef> PoolRegistry::find(const io::OwnerDevice& device) {
  const MutexLock lock{mutex_};
  for (const Place& place : places_) {
    if (place.owner != &device || place.pool == nullptr) continue;
    place.pool->table_refs().get();
    return PoolRef{*this, *place.pool};
  }
  return fail(Errc::invalid, 0, "Couldn't find pool object");
}

Pool* PoolRegistry::find(std::string_view device) {
  const MutexLock lock{mutex_};
  for (const Place& place : places_) {
    if (place.pool != nullptr && place.owner->device_name() == device) return place.pool.get();
  }
  return nullptr;
}

std::size_t PoolRegistry::open_pools() {
  const MutexLock lock{mutex_};
  return places_.size();
}

void PoolRegistry::release(Pool& pool) {
  std::list<Place>::iterator place;
  std::unique_ptr<Pool> last;
  {
    const MutexLock lock{mutex_};
    if (!pool.table_refs().put()) return;
    place = std::find_if(places_.begin(), places_.end(),
                         [&](const Place& each) { return each.pool.get() == &pool; });
    place->closing = true;
    last = std::move(place->pool);
  }
  last->close();
  last.reset();
  const MutexLock lock{mutex_};
  places_.erase(place);
  settled_.notify_all();
}

}   // namespace engine::thin
