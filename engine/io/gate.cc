#include "engine/io/gate.h"

#include "engine/base/check.h"

namespace engine::io {

Gate::~Gate() {
  ENGINE_CHECK_ALIVE(inside() == 0, "{}: destroyed with {} inside", object_.name, inside());
}

bool Gate::enter(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::read, &object_, where);
  std::atomic<std::uint64_t>& entered = shards_[t_thread.thread_index % kShards].entered;
  std::uint64_t count = entered.load(std::memory_order_relaxed);
  do {
    if ((count & kMark) != 0) return false;
  } while (!entered.compare_exchange_weak(count, count + 1, std::memory_order_seq_cst));
  return true;
}

void Gate::leave(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::read, &object_, where);
  std::atomic<std::uint64_t>& left = shards_[t_thread.thread_index % kShards].left;
  const std::uint64_t before = left.fetch_add(1, std::memory_order_seq_cst);
  if ((before & kMark) == 0) return;   // and *this may be gone
  Fiber* fiber = nullptr;
  {
    const RawGuard guard{raw_};
    ++gone_;
    ENGINE_CHECK(gone_ <= expected_, "{}: more left than entered", object_.name);
    if (gone_ == expected_) fiber = waiter_.pop();
  }
  if (fiber != nullptr) unpark(*fiber, where);
}

void Gate::close(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
  const RawGuard guard{raw_};
  expected_ = 0;
  for (Shard& shard : shards_)
    expected_ += shard.entered.fetch_or(kMark, std::memory_order_seq_cst) & ~kMark;
}

void Gate::drain(std::source_location where) {
  assert_may_block("Gate::drain", where);
  const Point why{OpKind::atomic_rmw, Access::write, &object_, where};
  schedule_point(why.op, why.access, why.object, where);
  Waiter waiter;
  {
    const RawGuard guard{raw_};
    if (!draining_) {
      draining_ = true;
      // Whoever leaves a shard from its mark on does so under raw_, that is, after this.
      gone_ = 0;
      for (Shard& shard : shards_)
        gone_ += shard.left.fetch_or(kMark, std::memory_order_seq_cst) & ~kMark;
    }
    if (gone_ == expected_) return;
    waiter_.push(waiter);
  }
  park_until_woken(waiter, why);
  // The last to leave may still hold it.
  const RawGuard guard{raw_};
  ENGINE_CHECK(gone_ == expected_, "{}: drained with {} inside", object_.name, expected_ - gone_);
}

void Gate::open(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
  const RawGuard guard{raw_};
  ENGINE_CHECK(gone_ == expected_, "{}: opened with {} inside", object_.name, expected_ - gone_);
  gone_ = 0;
  expected_ = 0;
  draining_ = false;
  for (Shard& shard : shards_)
    shard.left.store(0, std::memory_order_seq_cst);
  for (Shard& shard : shards_)
    shard.entered.store(0, std::memory_order_seq_cst);
}

std::uint64_t Gate::inside() const noexcept {
  std::uint64_t left = 0;
  for (const Shard& shard : shards_)
    left += shard.left.load(std::memory_order_seq_cst) & ~kMark;
  std::uint64_t entered = 0;
  for (const Shard& shard : shards_)
    entered += shard.entered.load(std::memory_order_seq_cst) & ~kMark;
  return entered - left;
}

}   // namespace engine::io
