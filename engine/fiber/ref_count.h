// A count of references that starts at one and never comes back from zero.
#pragma once

#include <atomic>
#include <cstdint>
#include <source_location>

#include "engine/base/check.h"
#include "engine/fiber/context.h"

namespace engine {

class RefCount {
 public:
  explicit RefCount(const char* name) noexcept : object_{ObjectKind::ref_count, name} {}
  RefCount(const RefCount&) = delete;
  RefCount& operator=(const RefCount&) = delete;

  // Any context. The caller must hold a reference, or know that one is held.
  void get(std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::ref_get, Access::write, &object_, where);
    const std::uint32_t before = count_.fetch_add(1, std::memory_order_relaxed);
    ENGINE_CHECK_ALIVE(before != 0, "{} taken after its last reference was dropped", object_.name);
    trace_event(OpKind::ref_get, &object_, where, before + 1);
  }
  // For those who found the object through a list that holds no reference.
  [[nodiscard]] bool get_unless_zero(std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::ref_get, Access::write, &object_, where);
    std::uint32_t count = count_.load(std::memory_order_relaxed);
    do {
      if (count == 0) {
        left_unchanged(object_);
        return false;
      }
    } while (!count_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed));
    trace_event(OpKind::ref_get, &object_, where, count + 1);
    return true;
  }
  // True for whoever drops the last one.
  [[nodiscard]] bool put(std::source_location where = std::source_location::current()) {
    schedule_point(OpKind::ref_put, Access::write, &object_, where);
    const std::uint32_t before = count_.fetch_sub(1, std::memory_order_acq_rel);
    ENGINE_CHECK_ALIVE(before != 0, "{} dropped once too often", object_.name);
    trace_event(OpKind::ref_put, &object_, where, before - 1);
    return before == 1;
  }
  [[nodiscard]] std::uint32_t count() const noexcept {
    return count_.load(std::memory_order_relaxed);
  }

 private:
  SyncObject object_;
  std::atomic<std::uint32_t> count_{1};
};

}   // namespace engine
