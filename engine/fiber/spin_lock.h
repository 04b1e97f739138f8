// A lock for a few instructions: its holder must not block, so it may be taken in any context. On
// real threads it spins; in the tank a fiber that finds it held is set aside until it is free.
#pragma once

#include <atomic>
#include <source_location>
#include <type_traits>

#include <absl/base/thread_annotations.h>

#include "engine/base/check.h"
#include "engine/fiber/context.h"

namespace engine {

class ABSL_LOCKABLE SpinLock {
 public:
  explicit SpinLock(const char* name) noexcept : object_{ObjectKind::spin_lock, name} {}
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  // Any context; never suspends on real threads.
  void lock(std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    schedule_point(OpKind::spin_lock, Access::write, &object_, where);
    while (held_.exchange(true, std::memory_order_acquire)) [[unlikely]]
      wait(where);
    owner_.store(t_thread.fiber, std::memory_order_relaxed);
    Context& context = current_context();
    // The outermost of what forbids blocking is what reports name.
    if (context.spin_depth++ == 0 && context.read_depth == 0 &&
        context.kind == ContextKind::worker) {
      context.entered = where;
    }
    trace_event(OpKind::spin_lock, &object_, where);
  }

  void unlock(std::source_location where = std::source_location::current()) ABSL_UNLOCK_FUNCTION() {
    schedule_point(OpKind::spin_unlock, Access::write, &object_, where);
    Context& context = current_context();
    ENGINE_CHECK(context.spin_depth != 0, "spin lock {} released but none is held", object_.name);
    --context.spin_depth;
    trace_event(OpKind::spin_unlock, &object_, where);
    held_.store(false, std::memory_order_release);
    if (t_thread.points != nullptr) [[unlikely]]
      t_thread.points->spin_released(object_);
  }

  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }
  // For schedulers: may be stale on real threads.
  [[nodiscard]] bool held() const noexcept { return held_.load(std::memory_order_relaxed); }
  // Null when it is free, or held on a thread's own stack. For reports.
  [[nodiscard]] const Fiber* owner() const noexcept {
    return held() ? owner_.load(std::memory_order_relaxed) : nullptr;
  }
  // The lock whose object() this is.
  [[nodiscard]] static const SpinLock& of(const SyncObject& object) noexcept {
    return reinterpret_cast<const SpinLock&>(object);   // its first member
  }

 private:
  void wait(std::source_location where) noexcept {
    if (t_thread.points != nullptr) {
      t_thread.points->spin_wait(Point{OpKind::spin_lock, Access::write, &object_, where});
      return;
    }
    while (held_.load(std::memory_order_relaxed))
      __builtin_ia32_pause();
  }

  SyncObject object_;
  std::atomic<bool> held_{false};
  std::atomic<Fiber*> owner_{nullptr};   // the last one to take it
};

static_assert(std::is_standard_layout_v<SpinLock>);   // of() rests on it

class ABSL_SCOPED_LOCKABLE SpinGuard {
 public:
  explicit SpinGuard(SpinLock& lock, std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCK_FUNCTION(lock)
      : lock_{lock} {
    lock_.lock(where);
  }
  ~SpinGuard() ABSL_UNLOCK_FUNCTION() { lock_.unlock(); }
  SpinGuard(const SpinGuard&) = delete;
  SpinGuard& operator=(const SpinGuard&) = delete;

 private:
  SpinLock& lock_;
};

}   // namespace engine
