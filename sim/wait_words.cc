#include "sim/wait_words.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sim/execution.h"

namespace sim {

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
std::string_view verb(OpKind op) noexcept {
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

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (std::size_t i = 0; i < names.size(); ++i)
    all += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return all;
}

Namer::Namer(const std::vector<const Wait*>& waits) {
  using Known = std::map<std::string_view, std::uint32_t>;
  Known fibers;
  Known objects;
  const auto note = [this](Known& known, std::string_view name, std::uint32_t number) {
    plain_ = plain_ && known.emplace(name, number).first->second == number;
  };
  for (const Wait* const wait : waits) {
    note(fibers, wait->fiber->name(), wait->fiber->birth);
    for (const SimFiber* const other : wait->others)
      note(fibers, other->name(), other->birth);
    const engine::SyncObject* const object = wait->fiber->waiting.object;
    if (object != nullptr && wait->what != Wait::For::end)
      note(objects, name_of(*object), object->id);
  }
}

namespace {

std::string names_of(const std::vector<const SimFiber*>& fibers, const Namer& names) {
  std::vector<std::string> all;
  for (const SimFiber* const fiber : fibers)
    all.push_back(names.of(*fiber));
  return listed(all);
}

}   // namespace

std::string words_of(const Wait& wait, const Namer& names) {
  const SimFiber& fiber = *wait.fiber;
  const std::string who = names.of(fiber);
  const std::string object =
      fiber.waiting.object != nullptr ? names.of(*fiber.waiting.object) : "nothing named";
  const bool itself = wait.others.size() == 1 && wait.others.front() == &fiber;
  const std::string others = itself ? "it" : names_of(wait.others, names);
  const std::string_view has = wait.others.size() > 1 ? "hold" : "holds";
  const std::string_view self = itself ? " itself" : "";
  switch (wait.what) {
    case Wait::For::holder:
      return fmt::format("{} waits for {}, which {} {}{}", who, object, others, has, self);
    case Wait::For::writer:
      return fmt::format("{} waits {} {}, which {} {} to write{}", who, verb(fiber.waiting.op),
                         object, others, has, self);
    case Wait::For::readers:
      return fmt::format("{} waits {} {}, which {} {} to read{}", who, verb(fiber.waiting.op),
                         object, others, has, self);
    case Wait::For::units:
      return fmt::format("{} waits for semaphore {}, which {} {} taken{}", who, object, others,
                         wait.others.size() > 1 ? "have" : "has", self);
    case Wait::For::turn:
      return fmt::format("{} waits {} {}, behind {}, who waits to write-lock it", who,
                         verb(fiber.waiting.op), object, others);
    case Wait::For::end:
      return fmt::format("{} waits for the end of {}", who, others);
    case Wait::For::wake_up:
      return fmt::format("{} waits {} {}, which nobody but {} is left to {}", who,
                         verb(fiber.waiting.op), object, others,
                         fiber.waiting.op == OpKind::condition_wait ? "notify" : "signal");
    case Wait::For::nobody:
      break;
  }
  return fmt::format("{} waits {} {}", who, verb(fiber.waiting.op), object);
}

namespace {

// Why the object of `wait` points to `other` in the graph.
std::string edge_words(const Wait& wait, const SimFiber& other) {
  switch (wait.what) {
    case Wait::For::writer:
      return "held to write by";
    case Wait::For::readers:
    case Wait::For::units: {
      std::string words = wait.what == Wait::For::units ? "taken by" : "held to read by";
      for (const SimFiber::Share& each : other.shares) {
        if (each.object == wait.fiber->waiting.object->id) words += "\nsince " + at(each.since);
      }
      return words;
    }
    case Wait::For::turn:
      return "first, to write,\ncomes";
    case Wait::For::end:
      return "is up to";
    case Wait::For::wake_up:
      return "nobody is left but";
    case Wait::For::holder:
    case Wait::For::nobody:
      break;
  }
  return "held by";
}

// Since when `fiber` has had the lock, as far as the log tells.
std::string since(const Execution& execution, const SimFiber& fiber,
                  const engine::SyncObject& lock) {
  const EventLog& log = execution.log();
  for (std::size_t i = log.events.kept(); i != 0; --i) {
    const LoggedEvent& event = log.events[i - 1];
    if (event.object_id != lock.id || event.actor != fiber.id) continue;
    const bool takes = event.op == OpKind::mutex_lock || event.op == OpKind::spin_lock ||
                       event.op == OpKind::read_lock || event.op == OpKind::write_lock;
    if (takes) return fmt::format(" since step {}, {}", event.point, at(event.where));
  }
  return {};
}

// Who has woken somebody there, as far as the log tells, and that this one did not hear it.
std::string last_wake_up(const Execution& execution, const SimFiber& fiber) {
  const EventLog& log = execution.log();
  if (fiber.waiting.object == nullptr || log.events.kept() == 0) return {};
  const std::uint32_t id = fiber.waiting.object->id;
  bool waits = false;   // going back: it has begun to, after what comes now
  for (std::size_t i = log.events.kept(); i != 0; --i) {
    const LoggedEvent& event = log.events[i - 1];
    if (event.op == OpKind::fiber_park && event.actor == fiber.id) waits = true;
    const bool wakes =
        event.op == OpKind::condition_notify || event.op == OpKind::completion_signal;
    if (event.object_id != id || !wakes) continue;
    std::string_view by = "somebody";
    for (std::size_t f = 0; f < log.fibers.kept(); ++f) {
      if (log.fibers[f].id == event.actor && log.fibers[f].name != nullptr) by = log.fibers[f].name;
    }
    return fmt::format(", {} last by {} at step {}, {}{}",
                       event.op == OpKind::condition_notify ? "notified" : "signalled", by,
                       event.point, at(event.where), waits ? ", before it waited" : "");
  }
  if (log.events.left_out() != 0) return {};
  return fiber.waiting.op == OpKind::condition_wait ? ", which nobody has notified"
                                                    : ", which nobody has signalled";
}

}   // namespace

std::string others_words(const Execution& execution, const Wait& wait) {
  const engine::SyncObject* const object = wait.fiber->waiting.object;
  std::vector<std::string> others;
  for (const SimFiber* const other : wait.others) {
    const bool holds = wait.what == Wait::For::holder || wait.what == Wait::For::writer ||
                       wait.what == Wait::For::readers;
    others.push_back(describe(*other) + (holds ? since(execution, *other, *object) : ""));
  }
  const std::string all = listed(others);
  switch (wait.what) {
    case Wait::For::holder:
      return ", held by " + all;
    case Wait::For::writer:
      return ", held to write by " + all;
    case Wait::For::readers:
      return ", held to read by " + all;
    case Wait::For::units:
      return ", taken by " + all;
    case Wait::For::turn:
      return ", behind " + all + ", who waits to write-lock it";
    case Wait::For::end:
    case Wait::For::wake_up:
    case Wait::For::nobody:
      break;
  }
  const OpKind op = wait.fiber->waiting.op;
  const bool wants_waking = op == OpKind::condition_wait || op == OpKind::completion_wait;
  return (wants_waking ? last_wake_up(execution, *wait.fiber) : "") +
         (all.empty() ? "" : ", left to " + all);
}

void add_edges(const Wait& wait, std::vector<FindingEdge>& edges) {
  const SimFiber& fiber = *wait.fiber;
  const engine::SyncObject& object = *fiber.waiting.object;
  const bool has_kinds = object.kind == engine::ObjectKind::rw_lock;
  const bool is_end = wait.what == Wait::For::end;
  const std::string name = is_end
                               ? fmt::format("end of {}@{}", wait.others.front()->name(), object.id)
                               : describe(object);
  edges.push_back({describe(fiber), name,
                   fmt::format("waits{}{}\n{}", has_kinds ? " " : "",
                               has_kinds ? verb(fiber.waiting.op) : "", at(fiber.waiting.where))});
  for (const SimFiber* const other : wait.others) {
    FindingEdge edge{name, describe(*other), edge_words(wait, *other)};
    const bool known = std::ranges::any_of(edges, [&](const FindingEdge& each) {
      return each.from == edge.from && each.to == edge.to && each.why == edge.why;
    });
    if (!known) edges.push_back(std::move(edge));
  }
}

}   // namespace sim
