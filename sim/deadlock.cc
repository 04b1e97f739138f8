#include "sim/deadlock.h"

#include <set>

#include <fmt/format.h>

#include "engine/fiber/mutex.h"
#include "engine/fiber/rw_lock.h"
#include "sim/execution.h"

namespace sim {

using engine::ObjectKind;
using engine::OpKind;

namespace {

std::string_view verb(OpKind op) {
  switch (op) {
    case OpKind::mutex_lock:
      return "to lock mutex";
    case OpKind::read_lock:
      return "to read-lock";
    case OpKind::write_lock:
      return "to write-lock";
    case OpKind::spin_lock:
      return "for spin lock";
    case OpKind::condition_wait:
      return "for condition";
    case OpKind::completion_wait:
      return "for completion";
    case OpKind::rcu_synchronize:
      return "for the readers of";
    case OpKind::timer_cancel:
      return "for the callback of timer";
    case OpKind::work_run:
      return "for work on queue";
    case OpKind::work_done:
      return "for the end of work on queue";
    default:
      return "for";
  }
}

// The fiber that holds `object`, where the object knows.
const SimFiber* holder(const engine::SyncObject& object) {
  const engine::Fiber* owner = nullptr;
  if (object.kind == ObjectKind::mutex) owner = engine::Mutex::of(object).owner();
  if (object.kind == ObjectKind::rw_lock) owner = engine::RwLock::of(object).owner();
  return static_cast<const SimFiber*>(owner);
}

// Where a worker waits when it has nothing to do, it is no part of the trouble.
bool is_idle_worker(const SimFiber& fiber) {
  return fiber.waiting.op == OpKind::work_run;
}

}   // namespace

std::string describe(const SimFiber& fiber) {
  switch (fiber.id.kind()) {
    case ActorKind::io:
      return fmt::format("io {}.{} ({})", fiber.id.device(), fiber.id.ordinal(), fiber.name());
    case ActorKind::timer:
      return fmt::format("timer {} ({})", fiber.id.ordinal(), fiber.name());
    case ActorKind::fiber:
    case ActorKind::step:
      break;
  }
  return fmt::format("{}#{}", fiber.name(), fiber.id.ordinal());
}

std::string describe_waits(const Execution& execution) {
  std::string text;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    text += describe(*fiber);
    if (fiber->state == SimFiber::State::runnable) {
      text += " can run\n";
      continue;
    }
    const engine::Point& waiting = fiber->waiting;
    text += fmt::format(" waits {}", verb(waiting.op));
    if (waiting.object != nullptr)
      text += fmt::format(" {}@{}", waiting.object->name, waiting.object->id);
    text += fmt::format(" at {}:{}", waiting.where.file_name(), waiting.where.line());
    const SimFiber* const owner = waiting.object != nullptr ? holder(*waiting.object) : nullptr;
    if (owner != nullptr) text += fmt::format(", held by {}", describe(*owner));
    text += '\n';
  }
  return text;
}

Finding describe_deadlock(const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::deadlock;
  std::set<std::string> objects;
  std::size_t stuck = 0;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    if (is_idle_worker(*fiber)) continue;
    ++stuck;
    const engine::SyncObject* const object = fiber->waiting.object;
    objects.insert(object != nullptr ? object->name : "nothing named");
  }
  for (const std::string& object : objects)
    finding.place += (finding.place.empty() ? "" : ", ") + object;
  if (stuck == 0) {
    finding.place = "worker not stopped";
    finding.message = "everything has ended but workers that nobody stopped";
  } else {
    finding.message = fmt::format("{} fiber{} for ever for {}", stuck,
                                  stuck == 1 ? " waits" : "s wait", finding.place);
  }
  finding.detail = describe_waits(execution);
  return finding;
}

}   // namespace sim
