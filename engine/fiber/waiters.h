// Internals shared by the blocking primitives: a queue of parked fibers under a raw lock.
//
// The raw lock has no scheduling points and is never held across one, so in the tank it is never
// contended; on real threads it is held for a few instructions.
#pragma once

#include <atomic>
#include <source_location>

#include <boost/intrusive/list.hpp>

#include "engine/fiber/executor.h"

namespace engine {

class RawLock {
 public:
  void lock() noexcept {
    while (flag_.exchange(true, std::memory_order_acquire)) {
      while (flag_.load(std::memory_order_relaxed))
        __builtin_ia32_pause();
    }
  }
  void unlock() noexcept { flag_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> flag_{false};
};

class RawGuard {
 public:
  explicit RawGuard(RawLock& lock) noexcept : lock_{lock} { lock_.lock(); }
  ~RawGuard() { lock_.unlock(); }
  RawGuard(const RawGuard&) = delete;
  RawGuard& operator=(const RawGuard&) = delete;

 private:
  RawLock& lock_;
};

// Lives on the stack of the waiting fiber. Once `woken` is set the waker must not touch it again:
// the fiber may return before the unpark arrives.
struct Waiter : boost::intrusive::list_base_hook<> {
  Fiber* fiber = t_thread.fiber;
  std::uint32_t tag = 0;   // the primitive's own: reader or writer
  std::atomic<bool> woken{false};
};

class WaitQueue {
 public:
  // All under the primitive's raw lock.
  void push(Waiter& waiter) noexcept { list_.push_back(waiter); }
  void push_front(Waiter& waiter) noexcept { list_.push_front(waiter); }
  void remove(Waiter& waiter) noexcept { list_.erase(list_.iterator_to(waiter)); }
  [[nodiscard]] bool empty() const noexcept { return list_.empty(); }
  [[nodiscard]] Waiter* front() noexcept { return list_.empty() ? nullptr : &list_.front(); }
  [[nodiscard]] const Waiter* front() const noexcept {
    return list_.empty() ? nullptr : &list_.front();
  }
  // Takes the first waiter off and marks it woken; the caller unparks the fiber after dropping the
  // raw lock. Null when nobody waits.
  [[nodiscard]] Fiber* pop() noexcept {
    if (list_.empty()) return nullptr;
    Waiter& waiter = list_.front();
    list_.pop_front();
    Fiber* const fiber = waiter.fiber;
    waiter.woken.store(true, std::memory_order_release);
    return fiber;
  }

 private:
  boost::intrusive::list<Waiter> list_;
};

inline void unpark(Fiber& fiber, std::source_location where) noexcept {
  fiber.executor->unpark(fiber, where);
}

// Parks until `waiter` was woken. The waiter must be queued and the raw lock dropped.
inline void park_until_woken(Waiter& waiter, const Point& why) {
  while (!waiter.woken.load(std::memory_order_acquire))
    waiter.fiber->executor->park(why);
}

}   // namespace engine
