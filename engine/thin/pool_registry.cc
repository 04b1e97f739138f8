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
  ENGINE_CHECK_ALIVE(pools_.empty(), "{} pools are open when their registry goes", pools_.size());
}

// An open pool keeps its devices and its block size for life: another data device or block size
// would tear its address arithmetic apart under I/O in flight.
Result<Pool*> PoolRegistry::find_for(const PoolOpen& request) {
  for (const auto& pool : pools_) {
    const bool same_owner = &pool->owner() == &request.owner;
    const bool same_metadata = &pool->metadata_device() == &request.metadata;
    const bool same_data = &pool->data_device() == &request.data;
    if (same_owner && same_metadata && same_data) {
      if (pool->block_sectors() != request.block_sectors) {
        return fail(Errc::invalid, request.block_sectors, "Error creating metadata object");
      }
      return pool.get();
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

Result<void> PoolRegistry::check(const PoolOpen& request) {
  const MutexLock lock{mutex_};
  ENGINE_TRY(find_for(request));
  return {};
}

Result<PoolRef> PoolRegistry::open(Executor& executor, const PoolOpen& request) {
  const MutexLock lock{mutex_};
  ENGINE_TRY_ASSIGN(Pool * found, find_for(request));
  if (found != nullptr) {
    if (found->ignores_discards() != (request.features.discard == DiscardPolicy::ignore)) {
      return fail(Errc::invalid, 0, "Discard support cannot be disabled once enabled");
    }
    found->table_refs().get();
    return PoolRef{*this, *found};
  }
  ENGINE_TRY_ASSIGN(auto opened, Pool::open(executor, rcu_, request, options_));
  pools_.push_back(std::move(opened));
  return PoolRef{*this, *pools_.back()};
}

Result<PoolRef> PoolRegistry::find(const io::OwnerDevice& device) {
  const MutexLock lock{mutex_};
  for (const auto& pool : pools_) {
    if (&pool->owner() != &device) continue;
    pool->table_refs().get();
    return PoolRef{*this, *pool};
  }
  return fail(Errc::invalid, 0, "Couldn't find pool object");
}

Pool* PoolRegistry::find(std::string_view device) {
  const MutexLock lock{mutex_};
  for (const auto& pool : pools_) {
    if (pool->owner().device_name() == device) return pool.get();
  }
  return nullptr;
}

void PoolRegistry::release(Pool& pool) {
  const MutexLock lock{mutex_};
  if (!pool.table_refs().put()) return;
  pool.close();
  std::erase_if(pools_, [&](const auto& open) { return open.get() == &pool; });
}

}   // namespace engine::thin
