// The bounded search: what may happen next, and what it costs.
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
    // Whoever ran last when its time came has nothing to do with the clock.
    begin_actor(id, step.kind == ChoiceKind::fire ? ThreadPaths::kRoot : running_);
  }
  step.priority = std::uint64_t{at->second} + 1;
  return at->second;
}

// What is on offer now and was not a moment ago was brought about by who ran last.
void Bounded::note_new(const Choices& choices) {
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
  return std::all_of(actor.read.begin(), actor.read.end(), [&](const Look& look) {
    return objects_[look.object].changes == look.changes;
  });
}

bool Bounded::is_held_back(const Actor& actor) const {
  return actor.retries == bounds_.retries && sees_no_change(actor);
}

bool Bounded::can_go_on(const SimFiber& fiber, const Point* point) const {
  return !is_held_back(actors_[ThreadPaths::of(fiber)]) && could_go_on(fiber, point);
}

// Who lets go of a spin lock may as well do so first: nobody else can touch it meanwhile. The same
// goes for a signal and for what waits for it.
bool Bounded::worth_stopping(const SimFiber& fiber, const Point* point) {
  if (point != nullptr && point->op == OpKind::yield) return true;
  if (stops_.contains(where_stands(fiber, point))) return true;
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
    const auto path = [&](std::uint32_t index) {
      return actors_[ThreadPaths::of(*choices.fibers[index])].path;
    };
    if (best == kNobody || path(i) < path(best)) best = i;
  }
  return best;
}

Bounded::Way Bounded::way_of(Id actor, std::uint32_t index, std::uint32_t cost) const {
  return {.actor = actor, .path = actors_[actor].path, .index = index, .cost = cost};
}

// Whose turn is over goes on only when nothing else can happen.
void Bounded::collect(const Choices& choices, const SimFiber* turn, bool turn_is_over) {
  const bool is_bounded = bounds_.preemptions != Bounds::kNone;
  ways_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    if (!turn_is_over || choices.fibers[i] != &choices.self) add_way_of(choices, i, turn);
  }
  collect_steps(choices, turn != nullptr);
  if (ways_.empty() && turn_is_over) add_way_of(choices, choices.self.index, turn);
  std::sort(ways_.begin(), ways_.end(), [](const Way& a, const Way& b) { return a.path < b.path; });
  for (std::uint32_t i = 0; i < ways_.size(); ++i)
    ways_[i].place = i;
  if (is_bounded) {
    std::erase_if(ways_, [&](const Way& way) {
      return way.cost != 0 && preemptions_ + way.cost > bounds_.preemptions;
    });
  }
  // Those that cost nothing come first, and of these the one of the rule of schedule.h: what is
  // found then has few decisions.
  std::stable_sort(ways_.begin(), ways_.end(),
                   [](const Way& a, const Way& b) { return a.cost < b.cost; });
  const std::uint32_t first = turn != nullptr ? turn->index : choices.fallback;
  auto rule =
      std::find_if(ways_.begin(), ways_.end(), [&](const Way& way) { return way.index == first; });
  // By the rule who cannot go on would try to, and wait; then the lowest-numbered fiber is next.
  if (rule == ways_.end()) {
    const auto comes_later = [&](const Way& way) {
      return way.cost != 0 || way.index >= choices.fibers.size();
    };
    rule = std::min_element(ways_.begin(), ways_.end(), [&](const Way& a, const Way& b) {
      if (comes_later(a) || comes_later(b)) return !comes_later(a) && comes_later(b);
      return choices.fibers[a.index]->id < choices.fibers[b.index]->id;
    });
  }
  if (rule != ways_.end()) std::rotate(ways_.begin(), rule, rule + 1);
}

void Bounded::add_way_of(const Choices& choices, std::uint32_t index, const SimFiber* turn) {
  const SimFiber& fiber = *choices.fibers[index];
  const Id id = ThreadPaths::of(fiber);
  if (!could_go_on(fiber, choices.about_to(fiber))) return;
  if (is_held_back(actors_[id])) {
    if (!probing_) ++left_out_[kLookInVain];
    return;
  }
  ways_.push_back(way_of(id, index, turn != nullptr && &fiber != turn ? 1 : 0));
}

void Bounded::collect_steps(const Choices& choices, bool goes_on) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const std::uint32_t interrupts = goes_on ? 1 : 0;
  EnvStep* timer = nullptr;
  for (EnvStep* const step : by_age_) {
    if (step->kind == ChoiceKind::fire) {
      timer = step;
      continue;
    }
    const std::uint32_t overtaken = overtaken_by(*step);
    ways_.push_back(way_of(id_of(*step), fibers + step->index, interrupts + overtaken));
  }
  if (timer == nullptr) return;
  const std::uint32_t early = ways_.empty() ? 0 : 1;
  ways_.push_back(way_of(id_of(*timer), fibers + timer->index, early));
}

// I/O is served in turn, each disk by itself.
bool Bounded::overtakes(const EnvStep& step, const EnvStep& older) const noexcept {
  return older.kind != ChoiceKind::fire && older.age < step.age &&
         !actors_[static_cast<Id>(older.priority - 1)].aside &&
         older.touches().device == step.touches().device;
}

std::uint32_t Bounded::overtaken_by(const EnvStep& step) const {
  return static_cast<std::uint32_t>(
      std::count_if(by_age_.begin(), by_age_.end(),
                    [&](const EnvStep* other) { return overtakes(step, *other); }));
}

// Nobody can go on as things are. Then queueing for a lock is an operation too, so that a deadlock
// can be told, and the order in the queue is explored.
void Bounded::collect_attempts(const Choices& choices) {
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Operation operation = operation_at(fiber, choices.about_to(fiber));
    if (operation.kind == Operation::Kind::acquire)
      ways_.push_back(way_of(ThreadPaths::of(fiber), i, 0));
  }
  std::sort(ways_.begin(), ways_.end(), [](const Way& a, const Way& b) { return a.path < b.path; });
  for (std::uint32_t i = 0; i < ways_.size(); ++i)
    ways_[i].place = i;
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
  turn_ = way.actor;
  if (way.index < choices.fibers.size()) return go_on(choices, way.index);
  EnvStep& step = *choices.steps[way.index - choices.fibers.size()];
  // An I/O that comes in between does so for what its end does: nothing else is seen of it.
  if (goes_on && step.kind == ChoiceKind::effect && bounds_.preemptions != Bounds::kNone)
    pair_ = way.actor;
  for (const EnvStep* const other : by_age_) {
    if (step.kind != ChoiceKind::fire && overtakes(step, *other))
      actors_[static_cast<Id>(other->priority - 1)].aside = true;
  }
  take_step(step);
  return way.index;
}

std::uint32_t Bounded::take_rule(const Choices& choices) {
  if (choices.fallback < choices.fibers.size()) {
    turn_ = ThreadPaths::of(*choices.fibers[choices.fallback]);
    return go_on(choices, choices.fallback);
  }
  // No timer before its time.
  EnvStep* step = choices.steps[choices.fallback - choices.fibers.size()];
  for (EnvStep* const other : by_age_) {
    if (step->kind == ChoiceKind::fire && other->kind != ChoiceKind::fire) step = other;
  }
  take_step(*step);
  return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
}

std::uint32_t Bounded::finish_pair(const Choices& choices) {
  const Id wanted = std::exchange(pair_, kNobody);
  for (EnvStep* const step : by_age_) {
    if (id_of(*step) != wanted) continue;
    take_step(*step);
    return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
  }
  return choices.fallback;
}

std::uint32_t Bounded::go_on(const Choices& choices, std::uint32_t index) {
  const SimFiber& fiber = *choices.fibers[index];
  const Point* const point = choices.about_to(fiber);
  running_ = ThreadPaths::of(fiber);
  let_go_of_ = kNone;
  running_from_ = where_stands(fiber, point);
  Actor& actor = actors_[running_];
  log({.place = {running_, Part::wakes}, .does = Does::change});
  if (actor.waits_for_change) {
    if (actor.retries != bounds_.retries && sees_no_change(actor)) ++actor.retries;
    actor.waits_for_change = false;
    actor.read.clear();
  }
  if (point != nullptr) {
    observe(running_from_);
  }
  if (const engine::SyncObject* const object = object_at(fiber, point)) {
    touch(running_, operation_at(fiber, point), *object);
  } else {
    actor.spins.clear();
    set_chain(running_, mix(actors_[running_].chain, running_from_));
  }
  if (actor.wakes != 0) {
    set_chain(running_, mix(actors_[running_].chain, actors_[running_].wakes));
    actors_[running_].wakes = 0;
  }
  return index;
}

void Bounded::take_step(EnvStep& step) {
  running_ = id_of(step);
  let_go_of_ = kNone;
  running_from_ = mix(static_cast<std::uint64_t>(step.kind), 5);
  set_chain(running_, mix(actors_[running_].chain, static_cast<std::uint64_t>(step.kind)));
  for (const EnvStep::Touch& touches : {step.touches(), step.also_touches()}) {
    switch (touches.what) {
      case EnvStep::Touch::What::nothing:
        break;
      case EnvStep::Touch::What::everything:
        touch_everything(running_);
        break;
      case EnvStep::Touch::What::range:
        transfer(running_, touches);
        break;
      case EnvStep::Touch::What::object:
        touch_object(running_, {slot_of(*touches.device), Part::itself},
                     touches.writes ? Does::change : Does::look, object_of(*touches.device));
        break;
      case EnvStep::Touch::What::timers:
        touch_object(running_, {0, Part::timers}, Does::change, timers());
        break;
    }
  }
}

}   // namespace sim
