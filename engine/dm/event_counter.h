// A device's event counter and those who wait for it to move.
#pragma once

#include <cstdint>
#include <source_location>

#include "engine/fiber/waiters.h"

namespace engine::dm {

class EventCounter {
 public:
  explicit EventCounter(const char* name) noexcept : object_{ObjectKind::atomic, name} {}
  ~EventCounter();
  EventCounter(const EventCounter&) = delete;
  EventCounter& operator=(const EventCounter&) = delete;

  // Any context.
  void add(std::source_location where = std::source_location::current());
  [[nodiscard]] std::uint64_t value() const noexcept;
  // Suspends until the counter is above `seen`, or has been stopped. Returns its value.
  std::uint64_t wait_above(std::uint64_t seen,
                           std::source_location where = std::source_location::current());
  // Nobody waits any more. Any context.
  void stop(std::source_location where = std::source_location::current());

 private:
  void wake_all(std::source_location where);

  SyncObject object_;
  mutable RawLock raw_;
  std::uint64_t value_ = 0;   // guarded by raw_
  bool stopped_ = false;      // guarded by raw_
  WaitQueue waiters_;         // guarded by raw_
};

}   // namespace engine::dm
