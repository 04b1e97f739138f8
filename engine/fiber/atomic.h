// std::atomic whose every operation is a scheduling point. Sequentially consistent unless said
// otherwise: the tank explores interleavings, not weak memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <source_location>

#include "engine/fiber/context.h"

namespace engine {

template <typename T>
class Atomic {
 public:
  explicit Atomic(const char* name, T value = T{}) noexcept
      : object_{ObjectKind::atomic, name}, value_{value} {}
  explicit Atomic(std::nullptr_t, T = T{}) = delete;   // the name comes first: not {0}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  [[nodiscard]] T load(std::source_location where = std::source_location::current()) const {
    schedule_point(OpKind::atomic_load, Access::read, &object_, where);
    return value_.load();
  }
  void store(T value, std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_store, Access::write, &object_, where);
    value_.store(value);
  }
  T exchange(T value, std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
    const T before = value_.exchange(value);
    if (before == value) left_unchanged(object_);
    return before;
  }
  bool compare_exchange(T& expected, T desired,
                        std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
    const bool exchanged = value_.compare_exchange_strong(expected, desired);
    if (!exchanged) left_unchanged(object_);
    return exchanged;
  }
  T fetch_add(T amount, std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
    return value_.fetch_add(amount);
  }
  T fetch_sub(T amount, std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
    return value_.fetch_sub(amount);
  }
  T fetch_or(T bits, std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
    return value_.fetch_or(bits);
  }
  // Without a scheduling point: for statistics, and for reports.
  [[nodiscard]] T peek() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  SyncObject object_;
  std::atomic<T> value_;
};

}   // namespace engine
