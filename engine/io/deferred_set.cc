#include "engine/io/deferred_set.h"

#include <limits>

#include "engine/base/check.h"

namespace engine::io {

DeferredSet::DeferredSet(const char* name) noexcept
    : object_{ObjectKind::atomic, name}, lock_{name} {}

DeferredSet::~DeferredSet() {
  ENGINE_CHECK_ALIVE(in_use() == 0, "{}: destroyed with {} entries or works", object_.name,
                     in_use());
}

DeferredSet::Entry DeferredSet::enter(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::read, &object_, where);
  Shard& shard = shards_[t_thread.thread_index % kShards];
  for (;;) {
    const std::uint32_t generation = current_.load(std::memory_order_seq_cst);
    const std::uint32_t slot = generation % kGenerations;
    shard.counts[slot].fetch_add(1, std::memory_order_seq_cst);
    if (current_.load(std::memory_order_seq_cst) == generation) return Entry{slot + 1};
    // It was closed in between, and whoever closed it may have seen the count.
    uncount(slot, where);
  }
}

void DeferredSet::leave(Entry& entry, std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::read, &object_, where);
  ENGINE_CHECK(entry.ticket != 0, "{}: an entry leaves that is not in the set", object_.name);
  const std::uint32_t slot = entry.ticket - 1;
  entry.ticket = 0;
  uncount(slot, where);
}

void DeferredSet::uncount(std::uint32_t slot, std::source_location where) {
  shards_[t_thread.thread_index % kShards].counts[slot].fetch_sub(1, std::memory_order_seq_cst);
  // defer() announces its work before it looks at the counts: one of the two sees the other.
  if (pending_.load(std::memory_order_seq_cst) == 0) return;
  WorkList ready;
  {
    const SpinGuard guard{lock_, where};
    also_touches(object_);
    collect(ready);
  }
  run(ready);
}

bool DeferredSet::defer(DeferredWork& work, std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
  ENGINE_CHECK(work.run != nullptr, "{}: work without a function", object_.name);
  WorkList ready;
  bool deferred = true;
  {
    const SpinGuard guard{lock_, where};
    also_touches(object_);
    pending_.fetch_add(1, std::memory_order_seq_cst);
    unplaced_.push_back(work);
    collect(ready);
    if (!ready.empty() && &ready.back() == &work) {
      ready.pop_back();
      deferred = false;
    }
  }
  run(ready);
  return deferred;
}

// The count of a generation that is closed. Only leaving changes it, so it never grows: a sum of
// zero is true even though its terms were read one after the other.
std::uint32_t DeferredSet::sum(std::uint32_t slot) const noexcept {
  std::uint32_t total = 0;
  for (const Shard& shard : shards_)
    total += shard.counts[slot].load(std::memory_order_seq_cst);
  return total;
}

// Moves to `ready`, in order, what waits for nothing any more.
void DeferredSet::collect(WorkList& ready) {
  for (;;) {
    std::uint32_t current = current_.load(std::memory_order_relaxed);
    if (!unplaced_.empty() && current - oldest_ < kGenerations - 1) {
      WorkList& works = works_[current % kGenerations];
      works.splice(works.end(), unplaced_);
      current_.store(++current, std::memory_order_seq_cst);
    }
    if (oldest_ == current) return;
    const std::uint32_t left = sum(oldest_ % kGenerations);
    ENGINE_CHECK(left <= std::numeric_limits<std::uint32_t>::max() / 2,
                 "{}: more entries left than entered", object_.name);
    if (left != 0) return;
    WorkList& works = works_[oldest_ % kGenerations];
    for (std::size_t count = works.size(); count != 0; --count)
      pending_.fetch_sub(1, std::memory_order_seq_cst);
    ready.splice(ready.end(), works);
    ++oldest_;
  }
}

void DeferredSet::run(WorkList& ready) {
  while (!ready.empty()) {
    DeferredWork& work = ready.front();
    ready.pop_front();
    work.run(work);
  }
}

std::uint64_t DeferredSet::in_use() const noexcept {
  std::uint64_t total = pending_.load(std::memory_order_relaxed);
  for (std::uint32_t slot = 0; slot < kGenerations; ++slot)
    total += sum(slot);
  return total;
}

}   // namespace engine::io
