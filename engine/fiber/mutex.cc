#include "engine/fiber/mutex.h"

#include "engine/base/check.h"

namespace engine {

Mutex::~Mutex() {
  ENGINE_CHECK_ALIVE(state_.load(std::memory_order_relaxed) == kFree,
                     "mutex {} destroyed while held", object_.name);
}

void Mutex::lock(std::source_location where) {
  assert_may_block("Mutex::lock", where);
  ENGINE_CHECK(!held_by_me(), "fiber {} locks mutex {} twice", t_thread.fiber->name(),
               object_.name);
  schedule_point(OpKind::mutex_lock, Access::write, &object_, where);
  std::uint32_t expected = kFree;
  if (!state_.compare_exchange_strong(expected, kLocked, std::memory_order_acquire)) [[unlikely]]
    lock_slow(where);
  take_over();
  trace_event(OpKind::mutex_lock, &object_, where);
}

bool Mutex::try_lock(std::source_location where) {
  schedule_point(OpKind::mutex_try_lock, Access::write, &object_, where);
  std::uint32_t expected = kFree;
  if (!state_.compare_exchange_strong(expected, kLocked, std::memory_order_acquire)) {
    left_unchanged(object_);
    return false;
  }
  take_over();
  trace_event(OpKind::mutex_lock, &object_, where, 0, 0, 0, "tried");
  return true;
}

void Mutex::lock_slow(std::source_location where) {
  for (bool again = false;; again = true) {
    Waiter waiter;
    {
      const RawGuard guard{raw_};
      // Whoever unlocks sees kContended and looks at the queue, or we see the lock free here.
      if (state_.exchange(kContended, std::memory_order_acquire) == kFree) {
        if (waiters_.empty()) state_.store(kLocked, std::memory_order_relaxed);
        return;
      }
      if (again) {
        waiters_.push_front(waiter);
      } else {
        waiters_.push(waiter);
      }
    }
    park_until_woken(waiter, Point{OpKind::mutex_lock, Access::write, &object_, where});
  }
}

void Mutex::unlock(std::source_location where) {
  ENGINE_CHECK(held_by_me(), "mutex {} unlocked by a fiber that does not hold it", object_.name);
  schedule_point(OpKind::mutex_unlock, Access::write, &object_, where);
  owner_.store(nullptr, std::memory_order_relaxed);
  --t_thread.fiber->locks;
  trace_event(OpKind::mutex_unlock, &object_, where);
  std::uint32_t expected = kLocked;
  if (!state_.compare_exchange_strong(expected, kFree, std::memory_order_release)) [[unlikely]]
    unlock_slow(where);
}

void Mutex::unlock_slow(std::source_location where) {
  Fiber* next = nullptr;
  {
    const RawGuard guard{raw_};
    next = waiters_.pop();
    // Waiters that stay must be seen by the next unlock; the one popped marks the lock itself.
    state_.store(kFree, std::memory_order_release);
  }
  if (next != nullptr) unpark(*next, where);
}

}   // namespace engine
