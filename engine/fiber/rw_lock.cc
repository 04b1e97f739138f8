#include "engine/fiber/rw_lock.h"

#include "engine/base/check.h"

namespace engine {

RwLock::~RwLock() {
  ENGINE_CHECK_ALIVE(state_.load(std::memory_order_relaxed) == 0, "lock {} destroyed while held",
                     object_.name);
}

void RwLock::lock(std::source_location where) {
  assert_may_block("RwLock::lock", where);
  ENGINE_CHECK(!write_held_by_me(), "fiber {} locks {} twice", t_thread.fiber->name(),
               object_.name);
  schedule_point(OpKind::write_lock, Access::write, &object_, where);
  std::uint32_t expected = 0;
  if (!state_.compare_exchange_strong(expected, kWriter, std::memory_order_acquire)) [[unlikely]]
    acquire_slow(kWriterTag, where);
  owner_.store(t_thread.fiber, std::memory_order_relaxed);
  ++t_thread.fiber->locks;
  trace_event(OpKind::write_lock, &object_, where);
}

void RwLock::lock_shared(std::source_location where) {
  assert_may_block("RwLock::lock_shared", where);
  schedule_point(OpKind::read_lock, Access::read, &object_, where);
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  while ((state & (kWriter | kWaiters)) == 0) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) {
      got_to_read(where);
      return;
    }
  }
  acquire_slow(kReaderTag, where);
  got_to_read(where);
}

bool RwLock::try_lock_shared(std::source_location where) {
  schedule_point(OpKind::read_lock, Access::read, &object_, where);
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  while ((state & (kWriter | kWaiters)) == 0) {
    if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) {
      got_to_read(where, "tried");
      return true;
    }
  }
  return false;
}

void RwLock::got_to_read(std::source_location where, const char* how) noexcept {
  if (t_thread.points != nullptr) [[unlikely]]
    t_thread.points->has_share(object_, where);
  trace_event(OpKind::read_lock, &object_, where, 0, 0, 0, how);
}

void RwLock::acquire_slow(std::uint32_t tag, std::source_location where) {
  Waiter waiter;
  waiter.tag = tag;
  {
    const RawGuard guard{raw_};
    // Raise kWaiters first: from then on every release comes through raw_ and sees the queue.
    const std::uint32_t before = state_.fetch_or(kWaiters, std::memory_order_acquire);
    const bool queue_empty = waiters_.empty();
    const bool free_for_me =
        tag == kWriterTag ? (before & (kWriter | kReaders)) == 0 : (before & kWriter) == 0;
    if (queue_empty && free_for_me) {
      state_.fetch_add(tag == kWriterTag ? kWriter : 1, std::memory_order_acquire);
      state_.fetch_and(~kWaiters, std::memory_order_relaxed);
      return;
    }
    waiters_.push(waiter);
  }
  const OpKind op = tag == kWriterTag ? OpKind::write_lock : OpKind::read_lock;
  park_until_woken(waiter, Point{op, Access::write, &object_, where});
}

void RwLock::unlock(std::source_location where) {
  ENGINE_CHECK(write_held_by_me(), "lock {} released by a fiber that does not hold it",
               object_.name);
  schedule_point(OpKind::write_unlock, Access::write, &object_, where);
  owner_.store(nullptr, std::memory_order_relaxed);
  --t_thread.fiber->locks;
  trace_event(OpKind::write_unlock, &object_, where);
  std::uint32_t expected = kWriter;
  if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release)) [[unlikely]]
    release_slow(kWriter, where);
}

void RwLock::unlock_shared(std::source_location where) {
  schedule_point(OpKind::read_unlock, Access::read, &object_, where);
  if (t_thread.points != nullptr) [[unlikely]]
    t_thread.points->lets_share_go(object_);
  trace_event(OpKind::read_unlock, &object_, where);
  std::uint32_t state = state_.load(std::memory_order_relaxed);
  ENGINE_CHECK((state & kReaders) != 0, "lock {} has no reader to release it", object_.name);
  while ((state & kWaiters) == 0) {
    if (state_.compare_exchange_weak(state, state - 1, std::memory_order_release)) return;
  }
  release_slow(1, where);
}

void RwLock::release_slow(std::uint32_t held, std::source_location where) {
  WaitQueue woken;
  {
    const RawGuard guard{raw_};
    const std::uint32_t left = state_.fetch_sub(held, std::memory_order_acq_rel) - held;
    if ((left & (kWriter | kReaders)) == 0) grant(woken);
  }
  // A waiter's node lives until it is marked woken: pop() reads what it needs first.
  while (Fiber* const fiber = woken.pop())
    unpark(*fiber, where);
}

void RwLock::grant(WaitQueue& woken) {
  while (Waiter* const waiter = waiters_.front()) {
    const std::uint32_t state = state_.load(std::memory_order_relaxed);
    if (waiter->tag == kWriterTag && (state & (kWriter | kReaders)) != 0) break;
    if (waiter->tag == kReaderTag && (state & kWriter) != 0) break;
    state_.fetch_add(waiter->tag == kWriterTag ? kWriter : 1, std::memory_order_acquire);
    waiters_.remove(*waiter);
    woken.push(*waiter);
  }
  if (waiters_.empty()) state_.fetch_and(~kWaiters, std::memory_order_relaxed);
}

}   // namespace engine
