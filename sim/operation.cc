#include "sim/operation.h"

#include "engine/fiber/completion.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/spin_lock.h"
#include "sim/sim_fiber.h"

namespace sim {

using engine::Access;
using engine::ObjectKind;
using engine::OpKind;
using engine::Point;

const engine::SyncObject* object_at(const SimFiber& fiber, const Point* point) noexcept {
  if (point == nullptr) {
    // One that was woken looks again at what it waited for, unless being woken says it all.
    const OpKind waited = fiber.waiting.op;
    const bool says_it_all = waited == OpKind::condition_wait ||
                             waited == OpKind::completion_wait || waited == OpKind::read_lock ||
                             waited == OpKind::write_lock;
    if (fiber.steps == 0 || says_it_all || fiber.waiting.object == nullptr) return nullptr;
    return fiber.waiting.object->lives() ? fiber.waiting.object : nullptr;
  }
  if (point->object == nullptr || point->access == Access::none ||
      point->object->kind == ObjectKind::fiber)
    return nullptr;
  return point->object;
}

Operation operation_at(const SimFiber& fiber, const Point* point) noexcept {
  using Kind = Operation::Kind;
  const engine::SyncObject* const object = object_at(fiber, point);
  if (object == nullptr) return {};
  if (point == nullptr) {
    const bool locks =
        fiber.waiting.op == OpKind::mutex_lock || fiber.waiting.op == OpKind::spin_lock;
    return {.object = object->id, .writes = true, .kind = locks ? Kind::acquire : Kind::plain};
  }
  return operation_at(*point);
}

bool could_go_on(const SimFiber& fiber, const Point* point) noexcept {
  if (point == nullptr && fiber.steps != 0) point = &fiber.waiting;
  if (point == nullptr || point->object == nullptr) return true;
  if (!point->object->lives()) return true;   // to be told so
  if (point->op == OpKind::mutex_lock) return engine::Mutex::of(*point->object).owner() == nullptr;
  if (point->op == OpKind::spin_lock) return !engine::SpinLock::of(*point->object).held();
  if (point->op == OpKind::completion_wait) return engine::Completion::of(*point->object).done();
  return true;
}

}   // namespace sim
