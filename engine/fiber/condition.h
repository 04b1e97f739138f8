// Waiting for a condition guarded by a Mutex. Wake-ups may be spurious: wait in a loop, or use the
// form with a predicate.
#pragma once

#include <source_location>

#include "engine/fiber/mutex.h"

namespace engine {

class Condition {
 public:
  explicit Condition(const char* name) noexcept : object_{ObjectKind::condition, name} {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }
  // Suspends. `mutex` is held on entry and on return, free while waiting.
  void wait(Mutex& mutex, std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  template <typename Predicate>
  void wait(Mutex& mutex, Predicate&& predicate,
            std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (!predicate())
      wait(mutex, where);
  }
  // Any context; the mutex need not be held, but then the change must have been made under it.
  void notify_one(std::source_location where = std::source_location::current());
  void notify_all(std::source_location where = std::source_location::current());

 private:
  SyncObject object_;
  RawLock raw_;
  WaitQueue waiters_;
};

}   // namespace engine
