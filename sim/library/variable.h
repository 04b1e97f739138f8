// A plain variable that several threads use: every access is a scheduling point, so the tank can
// come in between. The access itself is plain too: a tank built with ThreadSanitizer reports those
// that nothing orders.
#pragma once

#include <cstddef>
#include <source_location>
#include <utility>

#include "engine/fiber/context.h"

namespace sim {

template <typename T>
class Variable {
 public:
  explicit Variable(const char* name, T value = T{}) noexcept
      : object_{engine::ObjectKind::variable, name}, value_{std::move(value)} {}
  explicit Variable(std::nullptr_t, T = T{}) = delete;   // the name comes first: not {0}
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

  [[nodiscard]] T get(std::source_location where = std::source_location::current()) const {
    engine::schedule_point(engine::OpKind::variable_read, engine::Access::read, &object_, where);
    engine::trace_event(engine::OpKind::variable_read, &object_, where);
    return value_;
  }
  void set(T value, std::source_location where = std::source_location::current()) {
    engine::schedule_point(engine::OpKind::variable_write, engine::Access::write, &object_, where);
    engine::trace_event(engine::OpKind::variable_write, &object_, where);
    value_ = std::move(value);
  }
  // Without a scheduling point: for the end, when nobody else is there.
  [[nodiscard]] const T& peek() const noexcept { return value_; }

 private:
  engine::SyncObject object_;
  T value_;
};

}   // namespace sim
