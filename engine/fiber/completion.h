// One-way gates. Completion: closed until signalled `count` times, then open for good.
#pragma once

#include <cstdint>
#include <source_location>

#include "engine/fiber/waiters.h"

namespace engine {

// After the last signal() has released the waiters it touches nothing more, so a waiter may destroy
// the Completion as soon as wait() returns (it commonly lives on the waiter's stack).
class Completion {
 public:
  explicit Completion(const char* name, std::uint32_t count = 1) noexcept
      : object_{ObjectKind::completion, name}, missing_{count} {}
  ~Completion();
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  // One more signal will be needed. Only while it is certain that the gate is still closed: then
  // its order among signals makes no difference, and it is no scheduling point.
  void expect_more(std::uint32_t count = 1) noexcept;
  // Any context. Signalling an open gate is a mistake of the caller and fails.
  void signal(std::source_location where = std::source_location::current());
  // Suspends until open.
  void wait(std::source_location where = std::source_location::current());
  [[nodiscard]] bool done() const noexcept;
  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }
  // The completion whose object() this is. For schedulers and reports.
  [[nodiscard]] static const Completion& of(const SyncObject& object) noexcept {
    return reinterpret_cast<const Completion&>(object);   // its first member
  }

 private:
  SyncObject object_;
  mutable RawLock raw_;
  std::uint32_t missing_;   // guarded by raw_
  WaitQueue waiters_;       // guarded by raw_
};

}   // namespace engine
