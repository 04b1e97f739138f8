#include "engine/fiber/rcu.h"

#include "engine/base/check.h"

namespace engine {

Rcu::Rcu(const char* name) noexcept : object_{ObjectKind::rcu, name}, writers_{name} {}

Rcu::~Rcu() {
  ENGINE_CHECK_ALIVE(drained(0), "{} destroyed under a reader", object_.name);
  ENGINE_CHECK_ALIVE(drained(1), "{} destroyed under a reader", object_.name);
}

Rcu::Section Rcu::enter(std::source_location where) {
  schedule_point(OpKind::rcu_read_lock, Access::read, &object_, where);
  const std::uint32_t phase = phase_.load(std::memory_order_relaxed) & 1U;
  const std::uint32_t shard = t_thread.thread_index % kShards;
  // Full barrier: the section's reads must not float above the count.
  shards_[shard].entered[phase].fetch_add(1, std::memory_order_seq_cst);
  Context& context = current_context();
  const Section section{shard, phase, context.entered};
  if (context.read_depth++ == 0 && context.spin_depth == 0 && context.kind == ContextKind::worker)
    context.entered = where;
  trace_event(OpKind::rcu_read_lock, &object_, where);
  return section;
}

void Rcu::leave(const Section& section, std::source_location where) {
  schedule_point(OpKind::rcu_read_unlock, Access::read, &object_, where);
  Context& context = current_context();
  ENGINE_CHECK(context.read_depth != 0, "{}: a read section ends that never began", object_.name);
  --context.read_depth;
  context.entered = section.saved_entered;
  trace_event(OpKind::rcu_read_unlock, &object_, where);
  shards_[section.shard].left[section.phase].fetch_add(1, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst)) [[unlikely]] {
    Fiber* fiber = nullptr;
    {
      const RawGuard guard{raw_};
      fiber = waiter_.pop();
    }
    if (fiber != nullptr) unpark(*fiber, where);
  }
}

// Ends are summed first: a section that begins and ends in between then counts as under way, never
// the other way round.
bool Rcu::drained(std::uint32_t phase) const noexcept {
  std::uint64_t left = 0;
  for (const Shard& shard : shards_)
    left += shard.left[phase].load(std::memory_order_seq_cst);
  std::uint64_t entered = 0;
  for (const Shard& shard : shards_)
    entered += shard.entered[phase].load(std::memory_order_seq_cst);
  return left == entered;
}

void Rcu::wait_drained(std::uint32_t phase, std::source_location where) {
  while (!drained(phase)) {
    Waiter waiter;
    {
      const RawGuard guard{raw_};
      waiter_.push(waiter);
    }
    waiting_.store(true, std::memory_order_seq_cst);
    // The last reader may have left between the look and the store.
    if (drained(phase)) {
      const RawGuard guard{raw_};
      if (!waiter.woken.load(std::memory_order_acquire)) waiter_.remove(waiter);
    } else {
      park_until_woken(waiter, Point{OpKind::rcu_synchronize, Access::write, &object_, where});
    }
    waiting_.store(false, std::memory_order_seq_cst);
  }
}

void Rcu::synchronize(std::source_location where) {
  assert_may_block("Rcu::synchronize", where);
  schedule_point(OpKind::rcu_synchronize, Access::write, &object_, where);
  const MutexLock lock{writers_, where};
  also_touches(object_);
  const std::uint32_t phase = phase_.load(std::memory_order_relaxed) & 1U;
  // Stragglers that read the phase before an earlier turn may still count into the other one.
  wait_drained(phase ^ 1U, where);
  phase_.store(phase ^ 1U, std::memory_order_seq_cst);
  wait_drained(phase, where);
  trace_event(OpKind::rcu_synchronize, &object_, where);
}

}   // namespace engine
