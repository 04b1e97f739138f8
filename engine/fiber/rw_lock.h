// Many readers or one writer; either may block while holding it. Writers are preferred: a waiting
// writer stops new readers, so a steady stream of readers cannot starve it. Not recursive.
#pragma once

#include <atomic>
#include <source_location>

#include <absl/base/thread_annotations.h>

#include "engine/fiber/waiters.h"

namespace engine {

class ABSL_LOCKABLE RwLock {
 public:
  explicit RwLock(const char* name) noexcept : object_{ObjectKind::rw_lock, name} {}
  ~RwLock();
  RwLock(const RwLock&) = delete;
  RwLock& operator=(const RwLock&) = delete;

  // Suspend.
  void lock(std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION();
  void lock_shared(std::source_location where = std::source_location::current())
      ABSL_SHARED_LOCK_FUNCTION();
  // Any context.
  [[nodiscard]] bool try_lock_shared(std::source_location where = std::source_location::current())
      ABSL_SHARED_TRYLOCK_FUNCTION(true);
  void unlock(std::source_location where = std::source_location::current()) ABSL_UNLOCK_FUNCTION();
  void unlock_shared(std::source_location where = std::source_location::current())
      ABSL_UNLOCK_FUNCTION();

  [[nodiscard]] bool write_held_by_me() const noexcept {
    return owner_.load(std::memory_order_relaxed) == t_thread.fiber;
  }
  // The writer, null when there is none. For reports.
  [[nodiscard]] const Fiber* owner() const noexcept {
    return owner_.load(std::memory_order_relaxed);
  }
  // The first of those that wait, null when nobody does. For reports, while nobody else is in here.
  [[nodiscard]] const Fiber* first_waiting() const noexcept {
    return waiters_.empty() ? nullptr : waiters_.front()->fiber;
  }
  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }
  // The lock whose object() this is. For reports.
  [[nodiscard]] static const RwLock& of(const SyncObject& object) noexcept {
    return reinterpret_cast<const RwLock&>(object);   // its first member
  }

 private:
  // state_: number of readers, plus kWriter while written, plus kWaiters while the queue is not
  // empty. Fast paths need state_ without kWaiters; all else happens under raw_.
  static constexpr std::uint32_t kWriter = 1U << 31;
  static constexpr std::uint32_t kWaiters = 1U << 30;
  static constexpr std::uint32_t kReaders = kWaiters - 1;
  static constexpr std::uint32_t kReaderTag = 0;
  static constexpr std::uint32_t kWriterTag = 1;

  void got_to_read(std::source_location where, const char* how = nullptr) noexcept;
  void acquire_slow(std::uint32_t tag, std::source_location where);
  // Grants the lock to the first waiters that can have it together. Under raw_.
  void grant(WaitQueue& woken);
  void release_slow(std::uint32_t held, std::source_location where);

  SyncObject object_;
  std::atomic<std::uint32_t> state_{0};
  std::atomic<Fiber*> owner_{nullptr};
  RawLock raw_;
  WaitQueue waiters_;
};

class ABSL_SCOPED_LOCKABLE WriteLock {
 public:
  explicit WriteLock(RwLock& lock, std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION(lock)
      : lock_{lock} {
    lock_.lock(where);
  }
  ~WriteLock() ABSL_UNLOCK_FUNCTION() { lock_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  RwLock& lock_;
};

class ABSL_SCOPED_LOCKABLE ReadLock {
 public:
  explicit ReadLock(RwLock& lock, std::source_location where = std::source_location::current())
      ABSL_SHARED_LOCK_FUNCTION(lock)
      : lock_{lock} {
    lock_.lock_shared(where);
  }
  ~ReadLock() ABSL_UNLOCK_FUNCTION() { lock_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  RwLock& lock_;
};

}   // namespace engine
