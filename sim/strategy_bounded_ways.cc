// The bounded search: what may happen next, what it costs, and what it depends on.
#include <algorithm>
#include <utility>

#include "sim/strategy_bounded.h"

namespace sim {

using engine::OpKind;
using engine::Point;

// --- who can do what ---

Bounded::Id Bounded::id_of(EnvStep& step) {
  if (step.priority != 0) return static_cast<Id>(step.priority - 1);
  const auto [at, is_new] = steps_.emplace(step.id.value(), kNobody);
  if (is_new) {
    const Id id = at->second = paths_.started(running_);
    if (actors_.size() <= id) actors_.resize(id + 1);
    actors_[id].acts = true;
    set_chain(id, mix(actors_[running_].chain, id));
  }
  step.priority = std::uint64_t{at->second} + 1;
  return at->second;
}

// Whoever can run now and could not a moment ago has been started or woken by who ran last; and
// what is on offer now was brought about by it.
void Bounded::note_new(const Choices& choices) {
  for (const SimFiber* const fiber : choices.fibers) {
    const Id id = ThreadPaths::of(*fiber);
    Actor& actor = actors_[id];
    if (actor.seen_at + 1 != picks_ && fiber != &choices.self && id != running_)
      set_chain(id, mix(actor.chain, actors_[running_].chain));
    actor.seen_at = picks_;
  }
  by_age_.assign(choices.steps.begin(), choices.steps.end());
  std::sort(by_age_.begin(), by_age_.end(),
            [](const EnvStep* a, const EnvStep* b) { return a->age < b->age; });
  for (EnvStep* const step : by_age_)
    static_cast<void>(id_of(*step));
}

void Bounded::note_yield(const Choices& choices) {
  if (choices.point.op != OpKind::yield || !choices.self_runnable) return;
  Actor& actor = actors_[ThreadPaths::of(choices.self)];
  actor.waits_for_change = !actor.read.empty();
}

bool Bounded::sees_no_change(const Actor& actor) const {
  if (!actor.waits_for_change) return false;
  return std::all_of(actor.read.begin(), actor.read.end(),
                     [&](const auto& read) { return objects_[read.first].writes == read.second; });
}

bool Bounded::can_go_on(const SimFiber& fiber, const Point* point) {
  if (sees_no_change(actors_[ThreadPaths::of(fiber)])) return false;
  const Point* const at = point == nullptr && fiber.steps != 0 ? &fiber.waiting : point;
  if (at != nullptr && at->op == OpKind::spin_lock && object_of(*at->object).held) return false;
  return could_go_on(fiber, point);
}

// Who lets go of a spin lock may as well do so first: nobody else can touch it meanwhile. The same
// goes for a signal and for what waits for it.
bool Bounded::worth_stopping(const SimFiber& fiber, const Point* point) {
  if (point != nullptr && point->op == OpKind::yield) return true;
  const engine::SyncObject* const object = object_at(fiber, point);
  if (object == nullptr) return false;
  const OpKind op = point != nullptr ? point->op : fiber.waiting.op;
  if (op == OpKind::spin_unlock || op == OpKind::completion_signal || op == OpKind::completion_wait)
    return false;
  return object_of(*object).shared;
}

// Where interruptions cost nothing: somebody whose next operation is of no concern to the others.
std::uint32_t Bounded::find_local(const Choices& choices) {
  std::uint32_t best = kNobody;
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Point* const point = choices.about_to(fiber);
    if (!can_go_on(fiber, point) || worth_stopping(fiber, point)) continue;
    if (best == kNobody || ThreadPaths::of(fiber) < ThreadPaths::of(*choices.fibers[best]))
      best = i;
  }
  return best;
}

void Bounded::collect(const Choices& choices, bool goes_on) {
  ways_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    if (!can_go_on(fiber, choices.about_to(fiber))) continue;
    const std::uint32_t cost = goes_on && &fiber != &choices.self ? 1 : 0;
    ways_.push_back({ThreadPaths::of(fiber), i, cost});
  }
  std::sort(ways_.begin(), ways_.end(),
            [](const Way& a, const Way& b) { return a.actor < b.actor; });
  collect_steps(choices, goes_on);
  if (bounds_.preemptions != Bounds::kNone) {
    std::erase_if(ways_, [&](const Way& way) {
      return way.cost != 0 && preemptions_ + way.cost > bounds_.preemptions;
    });
  }
  // The rule of schedule.h comes first: what is found then has few decisions.
  const std::uint32_t first = goes_on ? choices.self.index : choices.fallback;
  const auto rule =
      std::find_if(ways_.begin(), ways_.end(), [&](const Way& way) { return way.index == first; });
  if (rule != ways_.end()) std::rotate(ways_.begin(), rule, rule + 1);
}

void Bounded::collect_steps(const Choices& choices, bool goes_on) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const std::uint32_t interrupts = goes_on ? 1 : 0;
  std::uint32_t overtaken = 0;
  EnvStep* timer = nullptr;
  for (EnvStep* const step : by_age_) {
    if (step->kind == ChoiceKind::fire) {
      timer = step;
      continue;
    }
    ways_.push_back({id_of(*step), fibers + step->index, interrupts + overtaken});
    if (!actors_[id_of(*step)].aside) ++overtaken;
  }
  if (timer == nullptr) return;
  const std::uint32_t early = ways_.empty() ? 0 : 1;
  ways_.push_back({id_of(*timer), fibers + timer->index, early});
}

// Nobody can go on as things are. Then queueing for a lock is an operation too, so that a deadlock
// can be told, and the order in the queue is explored.
void Bounded::collect_attempts(const Choices& choices) {
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Operation operation = operation_at(fiber, choices.about_to(fiber));
    if (operation.kind == Operation::Kind::acquire) ways_.push_back({ThreadPaths::of(fiber), i, 0});
  }
  std::sort(ways_.begin(), ways_.end(),
            [](const Way& a, const Way& b) { return a.actor < b.actor; });
}

// Everybody waits for a change: they look again, for ever.
std::uint32_t Bounded::look_again(const Choices& choices) {
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    if (sees_no_change(actors_[ThreadPaths::of(*choices.fibers[i])])) return go_on(choices, i);
  }
  if (choices.fallback < choices.fibers.size()) return go_on(choices, choices.fallback);
  return choices.fallback;
}

// --- it happens ---

std::uint32_t Bounded::take(const Choices& choices, const Way& way, bool goes_on) {
  if (bounds_.preemptions != Bounds::kNone) preemptions_ += way.cost;
  if (way.index < choices.fibers.size()) return go_on(choices, way.index);
  EnvStep& step = *choices.steps[way.index - choices.fibers.size()];
  // An I/O that comes in between does so for what its end does: nothing else is seen of it.
  if (goes_on && step.kind == ChoiceKind::effect && bounds_.preemptions != Bounds::kNone)
    pair_ = way.actor;
  for (const EnvStep* const other : by_age_) {
    if (other->age < step.age && other->kind != ChoiceKind::fire && step.kind != ChoiceKind::fire)
      actors_[static_cast<Id>(other->priority - 1)].aside = true;
  }
  take_step(choices, step);
  return way.index;
}

std::uint32_t Bounded::take_rule(const Choices& choices) {
  if (choices.fallback < choices.fibers.size()) return go_on(choices, choices.fallback);
  // No timer before its time.
  EnvStep* step = choices.steps[choices.fallback - choices.fibers.size()];
  for (EnvStep* const other : by_age_) {
    if (step->kind == ChoiceKind::fire && other->kind != ChoiceKind::fire) step = other;
  }
  take_step(choices, *step);
  return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
}

std::uint32_t Bounded::finish_pair(const Choices& choices) {
  const Id wanted = std::exchange(pair_, kNobody);
  for (EnvStep* const step : by_age_) {
    if (id_of(*step) != wanted) continue;
    take_step(choices, *step);
    return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
  }
  return choices.fallback;
}

std::uint32_t Bounded::go_on(const Choices& choices, std::uint32_t index) {
  const SimFiber& fiber = *choices.fibers[index];
  const Point* const point = choices.about_to(fiber);
  running_ = ThreadPaths::of(fiber);
  Actor& actor = actors_[running_];
  if (actor.waits_for_change) {
    actor.waits_for_change = false;
    // What it has seen change comes before whatever it does now.
    for (const auto& [object, writes] : actor.read) {
      if (objects_[object].writes != writes)
        set_chain(running_, mix(actor.chain, objects_[object].last_write));
    }
    actor.read.clear();
  }
  if (const engine::SyncObject* const object = object_at(fiber, point)) {
    Object& state = object_of(*object);
    const OpKind op = point != nullptr ? point->op : fiber.waiting.op;
    if (op == OpKind::spin_lock) state.held = true;
    if (op == OpKind::spin_unlock) state.held = false;
    touch(running_, operation_at(fiber, point), state);
  }
  return index;
}

void Bounded::take_step(const Choices& /*choices*/, EnvStep& step) {
  running_ = id_of(step);
  set_chain(running_, mix(actors_[running_].chain, static_cast<std::uint64_t>(step.kind)));
  const EnvStep::Touch touches = step.touches();
  switch (touches.what) {
    case EnvStep::Touch::What::everything:
      touch_everything(running_);
      break;
    case EnvStep::Touch::What::range:
      transfer(running_, touches);
      break;
    case EnvStep::Touch::What::object:
      touch(running_, {.object = touches.device->id, .writes = true}, object_of(*touches.device));
      break;
    case EnvStep::Touch::What::timers:
      touch(running_, {.object = kTimers, .writes = true}, timers());
      break;
  }
}

// --- what depends on what ---

// Timers are one object: which of them fires first is decided between all of them.
Bounded::Object& Bounded::object_of(const engine::SyncObject& object) {
  if (object.kind == engine::ObjectKind::timer) return timers();
  return object_called(object.id, hash_of(object));
}

Bounded::Object& Bounded::timers() {
  return object_called(kTimers, kTimersName);
}

Bounded::Object& Bounded::object_called(std::uint32_t id, std::uint64_t name) {
  if (objects_.size() <= id) objects_.resize(id + 1);
  Object& state = objects_[id];
  if (state.execution != execution_) {
    std::vector<Transfer> transfers = std::move(state.transfers);
    transfers.clear();
    state = {};
    state.execution = execution_;
    state.transfers = std::move(transfers);
    state.name = name;
    state.shared = shared_.contains(name);
  }
  return state;
}

// Which object it is need not be told but by its name: what a fiber does next follows from its
// chain.
void Bounded::touch(Id id, const Operation& operation, Object& object) {
  using Kind = Operation::Kind;
  Actor& actor = actors_[id];
  if (object.toucher == kNobody) {
    object.toucher = id;
  } else if (object.toucher != id && (operation.writes || object.written) && !object.shared) {
    object.shared = true;
    more_shared_ |= shared_.insert(object.name).second;
  }
  object.written |= operation.writes;
  std::uint64_t before = object.last_write;
  if (operation.kind == Kind::signal) {
    before = 0;
  } else if (operation.kind == Kind::wait) {
    before = object.signals;
  } else if (operation.writes) {
    before = mix(before, object.reads);
  }
  const std::uint64_t now = mix(mix(actor.chain, object.name), before);
  set_chain(id, now);
  if (operation.kind == Kind::signal) {
    object.signals += mix(now, 1);
    ++object.writes;
  } else if (operation.writes) {
    object.last_write = now;
    object.reads = 0;
    ++object.writes;
  } else if (operation.kind != Kind::wait) {
    object.reads += mix(now, 1);
    actor.read.emplace_back(operation.object, object.writes);
  }
}

void Bounded::transfer(Id id, const EnvStep::Touch& touch) {
  std::vector<Transfer>& transfers = object_of(*touch.device).transfers;
  std::uint64_t before = 0;
  for (const Transfer& other : transfers) {
    const bool meets = other.begin < touch.end && touch.begin < other.end;
    if (meets && (touch.writes || other.writes)) before += mix(other.hash, 1);
  }
  const std::uint64_t now = mix(mix(actors_[id].chain, touch.begin), before);
  set_chain(id, now);
  if (touch.writes) {
    std::erase_if(transfers, [&](const Transfer& other) {
      return touch.begin <= other.begin && other.end <= touch.end;
    });
  }
  transfers.push_back({touch.begin, touch.end, now, touch.writes});
}

void Bounded::touch_everything(Id id) {
  const std::uint64_t now = mix(sum_, id);
  for (Id other = 0; other < actors_.size(); ++other) {
    if (actors_[other].acts) set_chain(other, mix(actors_[other].chain, now));
  }
}

}   // namespace sim
