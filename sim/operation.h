// What a fiber is about to do as far as other fibers are concerned: for strategies that reason
// about which operations depend on each other.
#pragma once

#include <cstdint>

#include "engine/fiber/event.h"

namespace sim {

class SimFiber;

struct Operation {
  enum class Kind : std::uint8_t {
    plain,
    acquire,
    release,
    acquire_shared,   // or tries to
    release_shared,
    signal,
    wait
  };
  std::uint32_t object = 0;   // its id; 0: nothing that others can touch
  bool writes = false;        // else it commutes with others that do not
  bool adds = false;          // it writes, but commutes with its like
  bool looks = false;         // it does not write, and does nothing to the object
  Kind kind = Kind::plain;

  // Commutes with all that is done to the lock in shared mode. Who takes it gets it, or waits, or
  // fails, by what writers did before: a reader that lets go may let a waiting writer in, and the
  // lock is as closed to others as it was. Only who lets go last wakes that writer, who thus rests
  // on all who let go.
  [[nodiscard]] bool shares() const noexcept {
    return kind == Kind::acquire_shared || kind == Kind::release_shared;
  }
};

// What others can touch, too, of what somebody who stands at `point` is about to; null: nothing.
[[nodiscard]] inline const engine::SyncObject* object_at(const engine::Point& point) noexcept {
  const bool is_any = point.object != nullptr && point.access != engine::Access::none &&
                      point.object->kind != engine::ObjectKind::fiber;
  return is_any ? point.object : nullptr;
}

// Of one that stands at `point`.
[[nodiscard]] inline Operation operation_at(const engine::Point& point) noexcept {
  using Kind = Operation::Kind;
  const engine::SyncObject* const object = object_at(point);
  if (object == nullptr) return {};
  using engine::OpKind;
  Operation operation{.object = object->id, .writes = changes(point.access)};
  operation.adds = point.access == engine::Access::add;
  operation.looks = point.op == OpKind::atomic_load || point.op == OpKind::variable_read;
  switch (point.op) {
    case OpKind::mutex_lock:
    case OpKind::spin_lock:
      operation.kind = Kind::acquire;
      break;
    case OpKind::mutex_unlock:
    case OpKind::spin_unlock:
      operation.kind = Kind::release;
      break;
    case OpKind::read_lock:
      operation.kind = Kind::acquire_shared;
      break;
    case OpKind::read_unlock:
      operation.kind = Kind::release_shared;
      break;
    case OpKind::bio_submit:
      operation.writes = false;   // sim_device_io.h
      break;
    case OpKind::rcu_read_unlock:
      operation.writes = true;   // the first to leave wakes whoever waits
      break;
    case OpKind::completion_signal:
      operation.kind = Kind::signal;
      break;
    case OpKind::completion_wait:
      operation.kind = Kind::wait;
      break;
    default:
      break;
  }
  return operation;
}

// Of one that has just been started or woken, or goes on where it looked at `fiber.waiting`.
[[nodiscard]] Operation operation_of_woken(const SimFiber& fiber) noexcept;
// `point` null: it is such a one. In its callers, as explorations ask it of each fiber at each
// step.
[[nodiscard]] inline Operation operation_at(const SimFiber& fiber,
                                            const engine::Point* point) noexcept {
  return point != nullptr ? operation_at(*point) : operation_of_woken(fiber);
}
// The object of that operation; null where it has none.
[[nodiscard]] const engine::SyncObject* object_at(const SimFiber& fiber,
                                                  const engine::Point* point) noexcept;
// What explorations leave out beyond their retries.
inline constexpr const char* kLookInVain =
    "another look by one that yields though nothing has changed (--retries N)";
inline constexpr const char* kTimerKeptWaiting =
    "a timer before its time, after as many as may come so in a row";
// False where all that it could do now is to queue.
[[nodiscard]] bool could_go_on(const SimFiber& fiber, const engine::Point* point) noexcept;

}   // namespace sim
