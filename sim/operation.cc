#include "sim/operation.h"

#include "engine/fiber/completion.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/spin_lock.h"
#include "sim/sim_fiber.h"

namespace sim {

using engine::OpKind;
using engine::Point;

namespace {

// One that was woken looks again at what it waited for, unless being woken says it all.
const engine::SyncObject* looked_at_again(const SimFiber& fiber) noexcept {
  const OpKind waited = fiber.waiting.op;
  const bool says_it_all = waited == OpKind::condition_wait || waited == OpKind::completion_wait ||
                           waited == OpKind::read_lock || waited == OpKind::write_lock;
  if (fiber.steps == 0 || says_it_all || fiber.waiting.object == nullptr) return nullptr;
  return fiber.waiting.object->lives() ? fiber.waiting.object : nullptr;
}

}   // namespace

const engine::SyncObject* object_at(const SimFiber& fiber, const Point* point) noexcept {
  return point != nullptr ? object_at(*point) : looked_at_again(fiber);
}

Operation operation_of_woken(const SimFiber& fiber) noexcept {
  using Kind = Operation::Kind;
  const engine::SyncObject* const object = looked_at_again(fiber);
  if (object == nullptr) return {};
  const bool locks =
      fiber.waiting.op == OpKind::mutex_lock || fiber.waiting.op == OpKind::spin_lock;
  return {.object = object->id, .writes = true, .kind = locks ? Kind::acquire : Kind::plain};
}

// An object that is destroyed keeps nobody: it is to be told so. A lock's word may be read all the
// same, so that only one that seems to be taken has to be asked.
bool could_go_on(const SimFiber& fiber, const Point* point) noexcept {
  if (point == nullptr && fiber.steps != 0) point = &fiber.waiting;
  if (point == nullptr || point->object == nullptr) return true;
  const engine::SyncObject& object = *point->object;
  switch (point->op) {
    case OpKind::mutex_lock:
      return engine::Mutex::of(object).owner() == nullptr || !object.lives();
    case OpKind::spin_lock:
      return !engine::SpinLock::of(object).held() || !object.lives();
    case OpKind::completion_wait:
      return !object.lives() || engine::Completion::of(object).done();
    default:
      return true;
  }
}

}   // namespace sim
