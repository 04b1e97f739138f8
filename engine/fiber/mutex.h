// A lock that may be held while blocking. Not recursive; released by the fiber that took it.
//
// An unlock wakes the first waiter but does not hand the lock over: whoever comes first gets it,
// and a waiter that loses stays first in the queue.
#pragma once

#include <atomic>
#include <source_location>

#include <absl/base/thread_annotations.h>

#include "engine/fiber/waiters.h"

namespace engine {

class ABSL_LOCKABLE Mutex {
 public:
  explicit Mutex(const char* name) noexcept : object_{ObjectKind::mutex, name} {}
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Suspends.
  void lock(std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION();
  // Any context that owns a fiber.
  [[nodiscard]] bool try_lock(std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void unlock(std::source_location where = std::source_location::current()) ABSL_UNLOCK_FUNCTION();

  [[nodiscard]] bool held_by_me() const noexcept {
    return owner_.load(std::memory_order_relaxed) == t_thread.fiber;
  }
  // Null when free. For reports: may be stale on real threads.
  [[nodiscard]] const Fiber* owner() const noexcept {
    return owner_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }
  // The mutex whose object() this is. For reports.
  [[nodiscard]] static const Mutex& of(const SyncObject& object) noexcept {
    return reinterpret_cast<const Mutex&>(object);   // its first member
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kLocked = 1;
  static constexpr std::uint32_t kContended = 2;   // locked, and someone may wait

  void take_over() noexcept {   // it is locked, by who runs
    owner_.store(t_thread.fiber, std::memory_order_relaxed);
    ++t_thread.fiber->locks;
  }
  void lock_slow(std::source_location where);
  void unlock_slow(std::source_location where);

  SyncObject object_;
  std::atomic<std::uint32_t> state_{kFree};
  std::atomic<Fiber*> owner_{nullptr};
  RawLock raw_;
  WaitQueue waiters_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex& mutex, std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_{mutex} {
    mutex_.lock(where);
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}   // namespace engine
