#include "sim/deadlock.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/fiber/mutex.h"
#include "engine/fiber/rw_lock.h"
#include "sim/execution.h"

namespace sim {

using engine::ObjectKind;
using engine::OpKind;

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
  if (!object.lives()) return nullptr;
  const engine::Fiber* owner = nullptr;
  if (object.kind == ObjectKind::mutex) owner = engine::Mutex::of(object).owner();
  if (object.kind == ObjectKind::rw_lock) owner = engine::RwLock::of(object).owner();
  return static_cast<const SimFiber*>(owner);
}

// Where a worker waits when it has nothing to do, it is no part of the trouble.
bool is_idle_worker(const SimFiber& fiber) {
  return fiber.waiting.op == OpKind::work_run;
}

// Somebody may wait for what is destroyed.
const char* name_of(const engine::SyncObject& object) noexcept {
  return object.lives() ? object.name : "(destroyed)";
}

std::string describe(const engine::SyncObject& object) {
  if (!object.lives()) return name_of(object);
  return fmt::format("{}@{}", object.name, object.id);
}

std::string at(const std::source_location& where) {
  return fmt::format("{}:{}", where.file_name(), where.line());
}

bool waits_for_lock(const SimFiber& fiber) {
  switch (fiber.waiting.op) {
    case OpKind::mutex_lock:
    case OpKind::read_lock:
    case OpKind::write_lock:
    case OpKind::spin_lock:
      return fiber.state != SimFiber::State::runnable;
    default:
      return false;
  }
}

// The fiber that has to do something before this one can go on, where that is known.
const SimFiber* awaited(const SimFiber& fiber) {
  const bool waits = fiber.state == SimFiber::State::parked;
  return waits && fiber.waiting.object != nullptr ? holder(*fiber.waiting.object) : nullptr;
}

// Fibers of which each waits for the next, and the last for the first. Empty when there are none.
std::vector<const SimFiber*> find_circle(const Execution& execution) {
  for (const SimFiber* const first : execution.live_fibers()) {
    std::vector<const SimFiber*> way;
    for (const SimFiber* fiber = first; fiber != nullptr; fiber = awaited(*fiber)) {
      const auto been_there = std::find(way.begin(), way.end(), fiber);
      if (been_there != way.end()) return {been_there, way.end()};
      way.push_back(fiber);
    }
  }
  return {};
}

// Names without numbers, where they tell the fibers and the locks of a circle apart.
bool names_suffice(const std::vector<const SimFiber*>& circle) {
  std::set<std::string_view> fibers;
  std::set<std::string_view> locks;
  for (const SimFiber* const fiber : circle) {
    fibers.insert(fiber->name());
    locks.insert(name_of(*fiber->waiting.object));
  }
  return fibers.size() == circle.size() && locks.size() == circle.size();
}

void describe_circle(const std::vector<const SimFiber*>& circle, Finding& finding) {
  const bool plain = names_suffice(circle);
  std::string words;
  for (std::size_t i = 0; i < circle.size(); ++i) {
    const SimFiber& waits = *circle[i];
    const SimFiber& holds = *circle[(i + 1) % circle.size()];
    const engine::SyncObject& lock = *waits.waiting.object;
    words += fmt::format("{}{} waits for {}, which {} holds", i == 0 ? "" : "; ",
                         plain ? waits.name() : describe(waits), plain ? lock.name : describe(lock),
                         plain ? holds.name() : describe(holds));
    finding.circle.push_back(
        {describe(waits), describe(lock), fmt::format("waits\n{}", at(waits.waiting.where))});
    finding.circle.push_back({describe(lock), describe(holds), "held by"});
  }
  finding.message = words;
}

// The lab's own, which whoever is stuck keeps others waiting for: which of them depends on what
// else goes on, so they do not tell one deadlock from another. In a program of somebody's own any
// name is the program's.
bool is_of_the_lab(const Execution& execution, std::string_view object) {
  const std::string_view lab = execution.options().lab;
  return !lab.empty() && object.starts_with(lab);
}

std::string join(const std::set<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// Who has it to read, as the log tells, which has to be whole; empty: nobody, or it is not known.
std::string readers(const Execution& execution, const engine::SyncObject& lock) {
  const EventLog& log = execution.log();
  if (lock.kind != ObjectKind::rw_lock || !lock.lives() || log.events.left_out() != 0) return {};
  std::set<std::string> names;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    int times = 0;
    for (std::size_t i = 0; i < log.events.kept(); ++i) {
      const LoggedEvent& event = log.events[i];
      if (event.object_id != lock.id || event.actor != fiber->id) continue;
      if (event.op == OpKind::read_lock) ++times;
      if (event.op == OpKind::read_unlock) --times;
    }
    if (times > 0) names.insert(describe(*fiber));
  }
  return join(names);
}

void describe_waits(const Execution& execution, Finding& finding) {
  std::string& text = finding.detail;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    text += describe(*fiber);
    if (fiber->state == SimFiber::State::runnable) {
      text += " can run\n";
      continue;
    }
    const engine::Point& waiting = fiber->waiting;
    text += fmt::format(" waits {}", verb(waiting.op));
    if (waiting.object != nullptr) text += " " + describe(*waiting.object);
    text += " at " + at(waiting.where);
    const SimFiber* const owner = waiting.object != nullptr ? holder(*waiting.object) : nullptr;
    if (owner != nullptr) text += fmt::format(", held by {}", describe(*owner));
    const std::string all = waiting.object != nullptr && owner == nullptr
                                ? readers(execution, *waiting.object)
                                : std::string{};
    if (!all.empty()) text += ", held to read by " + all;
    text += '\n';
    if (!is_idle_worker(*fiber)) finding.add_stack(fiber->stands);
  }
}

}   // namespace

Finding describe_deadlock(const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::deadlock;
  const std::vector<const SimFiber*> circle = find_circle(execution);
  std::set<std::string> objects;
  std::size_t stuck = 0;
  bool wakes_missing = true;
  for (const SimFiber* const fiber : circle.empty() ? execution.live_fibers() : circle) {
    if (is_idle_worker(*fiber)) continue;
    ++stuck;
    wakes_missing &=
        fiber->waiting.op == OpKind::condition_wait || fiber->waiting.op == OpKind::completion_wait;
    const engine::SyncObject* const object = fiber->waiting.object;
    objects.insert(object != nullptr ? name_of(*object) : "nothing named");
  }
  const std::string all = join(objects);
  // Unless they are all that is waited for.
  std::set<std::string> telling = objects;
  std::erase_if(telling, [&](const std::string& each) { return is_of_the_lab(execution, each); });
  const bool bystanders = circle.empty() && !telling.empty();
  finding.place = bystanders ? join(telling) : all;
  if (!circle.empty()) {
    describe_circle(circle, finding);
  } else if (stuck == 0) {
    finding.place = "worker not stopped";
    finding.message = "everything has ended but workers that nobody stopped";
  } else {
    finding.message =
        fmt::format("{}{} fiber{} for ever for {}", wakes_missing ? "lost wake-up: " : "", stuck,
                    stuck == 1 ? " waits" : "s wait", all);
  }
  describe_waits(execution, finding);
  return finding;
}

Finding describe_endless(const Execution& execution) {
  Finding finding;
  finding.kind = FindingKind::endless;
  std::set<std::string> going;
  std::set<std::string> starved;
  std::set<std::string> locks;
  std::size_t goers = 0;
  for (const SimFiber* const fiber : execution.live_fibers()) {
    if (waits_for_lock(*fiber)) {
      starved.emplace(fiber->name());
      locks.emplace(name_of(*fiber->waiting.object));
    } else if (fiber->state == SimFiber::State::runnable) {
      going.emplace(fiber->name());
      ++goers;
    }
  }
  finding.message = fmt::format("no end after {} scheduling points", execution.points());
  const std::string all = join(going);
  if (!starved.empty() && !going.empty()) {
    finding.message += fmt::format("; starved: {}, for {}, while {} on", join(starved), join(locks),
                                   all + (goers == 1 ? " goes" : " go"));
  } else if (goers > 1) {
    finding.message += fmt::format("; livelock: {} go on, and none gets anywhere", all);
  } else if (goers == 1) {
    finding.message += fmt::format("; {} goes on by itself", all);
  }
  describe_waits(execution, finding);
  return finding;
}

}   // namespace sim
