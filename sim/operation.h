// What a fiber is about to do as far as other fibers are concerned: for strategies that reason
// about which operations depend on each other.
#pragma once

#include <cstdint>

#include "engine/fiber/event.h"

namespace sim {

class SimFiber;

struct Operation {
  enum class Kind : std::uint8_t { plain, acquire, try_acquire, release, signal, wait };
  std::uint32_t object = 0;   // its id; 0: nothing that others can touch
  bool writes = false;
  Kind kind = Kind::plain;
};

// Of one that stands at `point`.
[[nodiscard]] inline Operation operation_at(const engine::Point& point) noexcept {
  using Kind = Operation::Kind;
  if (point.object == nullptr || point.access == engine::Access::none ||
      point.object->kind == engine::ObjectKind::fiber)
    return {};
  Operation operation{.object = point.object->id, .writes = point.access == engine::Access::write};
  switch (point.op) {
    case engine::OpKind::mutex_lock:
      operation.kind = Kind::acquire;
      break;
    case engine::OpKind::mutex_try_lock:
      operation.kind = Kind::try_acquire;
      break;
    case engine::OpKind::mutex_unlock:
      operation.kind = Kind::release;
      break;
    case engine::OpKind::completion_signal:
      operation.kind = Kind::signal;
      break;
    case engine::OpKind::completion_wait:
      operation.kind = Kind::wait;
      break;
    default:
      break;
  }
  return operation;
}

// `point` null: it has just been started or woken, or goes on where it looked at `fiber.waiting`.
[[nodiscard]] Operation operation_at(const SimFiber& fiber, const engine::Point* point) noexcept;
// The object of that operation; null where it has none.
[[nodiscard]] const engine::SyncObject* object_at(const SimFiber& fiber,
                                                  const engine::Point* point) noexcept;
// False where all that it could do now is to queue.
[[nodiscard]] bool could_go_on(const SimFiber& fiber, const engine::Point* point) noexcept;

}   // namespace sim
