// Who goes on at each scheduling point, and what the environment decides: by the strategy, else by
// the rule of schedule.h. Where the two differ, it is recorded.
#include "engine/base/check.h"
#include "sim/execution.h"
#include "sim/operation.h"
#include "sim/tsan.h"

namespace sim {

using engine::Point;

namespace {

bool goes_unnoticed(const Point& point, const Operation& operation) noexcept {
  if (operation.object == 0) return point.op != engine::OpKind::yield;
  return operation.kind == Operation::Kind::signal || operation.kind == Operation::Kind::wait;
}

}   // namespace

void Execution::point(const Point& point) {
  const bool tells = order_listener_ != nullptr && OrderListener::listens_to(point.op);
  if (tells || options_.trace_atomics) [[unlikely]] {
    stand_and_tell(point);
  } else {
    stand_at(point);
  }
}

void Execution::stand_and_tell(const Point& point) {
  const bool tells = order_listener_ != nullptr && OrderListener::listens_to(point.op);
  const std::uint32_t object = tells ? point.object->id : 0;   // may be gone when it is its turn
  stand_at(point);
  const Hush hush;
  if (tells && current_ != &root_) order_listener_->goes_on(point.op, object);
  if (options_.trace_atomics) log_operation(point);
}

void Execution::stand_at(const Point& point) {
  SimFiber* from = nullptr;
  SimFiber* next = nullptr;
  {
    const Hush hush;
    SimFiber& self = *current_;
    if (&self == &root_) return;
    from = &self;
    ++points_;
    ++self.steps;
    // Before anybody goes by what it says.
    if (point.object != nullptr && !point.object->lives()) [[unlikely]]
      object_is_gone(point);
    mix(static_cast<std::uint64_t>(self.id.value()) << 32U |
        static_cast<std::uint64_t>(point.op) << 24U |
        (point.object != nullptr ? point.object->id & 0xFFFFFFU : 0U));
    if (points_ >= points_max_ && !begins_fair_end()) [[unlikely]]
      too_many_points(point);
    if (every_point_ && point.object != nullptr) note_object(*point.object);
    if (point.op == engine::OpKind::work_run) renew();
    if (runnable_.size() + steps_.size() == 1 && !every_point_) {   // nothing but to go on
      self.yielded = false;
      return;
    }
    self.pending = &point;
    self.next = operation_at(point);
    if (goes_unnoticed(point, self.next)) {
      self.unnoticed = true;
      ++unnoticed_;
    }
    next = &decide(self, point);
    if (next == &self) return;
    hand_over(*next);
  }
  handed_over(from);
  from->switch_to(*next);
  const Hush hush;
  const std::uint32_t object = from->next.object;
  if (object != 0 && (point.object->id != object || !point.object->lives())) [[unlikely]]
    object_is_gone(point);   // meanwhile
}

void Execution::renew() {
  const Hush hush;
  strategy_->renewed(*current_);
}

void Execution::touched(const engine::SyncObject& object, engine::Access access) noexcept {
  if (!every_point_ || current_ == &root_) return;
  const Hush hush;
  strategy_->touched(*current_, object, access);
}

void Execution::unchanged(const engine::SyncObject& object) noexcept {
  if (options_.trace_atomics) [[unlikely]]
    log_unchanged(object);
  if (current_ == &root_) return;
  const Hush hush;
  if (order_listener_ != nullptr) order_listener_->unchanged(object);
  if (every_point_) strategy_->unchanged(*current_, object);
}

SimFiber& Execution::decide(SimFiber& self, const Point& point) {
  for (;;) {
    const auto fibers = static_cast<std::uint32_t>(runnable_.size());
    if (fibers == 0 && must_happen_ == 0) [[unlikely]] {
      if (!advance_time()) return root_;
      continue;
    }
    const std::uint32_t rule = fallback(self);
    std::uint32_t pick = rule;
    if (fibers + steps_.size() > 1 || every_point_) {
      const bool self_runnable = self.state == SimFiber::State::runnable;
      const Choices choices{runnable_, steps_,        kinds_, unnoticed_,
                            self,      self_runnable, rule,   point};
      if (fair_) [[unlikely]] {
        pick = fair_turn(self, rule);
        strategy_->overruled(choices, pick);
      } else {
        pick = strategy_->pick(choices);
      }
    }
    if (pick != rule || options_.trace) note_decision(self, point, pick, rule);
    if (pick < fibers) {
      SimFiber& next = *runnable_[pick];
      const bool could = self.state == SimFiber::State::runnable && rule == self.index;
      if (&next != &self && could && could_go_on(self, &point)) ++preemptions_;
      next.yielded = false;
      take_notice(next);
      return next;
    }
    EnvStep& step = *steps_[pick - fibers];
    mix(static_cast<std::uint64_t>(step.id.value()) << 32U | static_cast<std::uint64_t>(step.kind) |
        0x100U);
    withdraw(step);
    // Whoever gave way has done so.
    for (SimFiber* const fiber : runnable_)
      fiber->yielded = false;
    if (SimFiber* const started = step.happen()) {
      started->interrupted = &self;
      started->interrupted_id = self.id;
      take_notice(*started);
      return *started;
    }
    ++self.steps;   // after what the step itself had to decide
  }
}

// The rule of schedule.h.
std::uint32_t Execution::fallback(const SimFiber& self) noexcept {
  const bool runnable = self.state == SimFiber::State::runnable;
  const auto fibers = static_cast<std::uint32_t>(runnable_.size());
  if (runnable && !self.yielded && points_ - turn_began_ < options_.turn_points_max) [[likely]]
    return self.index;
  if (fibers == 0) return oldest_step();
  const SimFiber* const interrupted = self.interrupted;
  if (!runnable && interrupted != nullptr && interrupted->id == self.interrupted_id &&
      interrupted->state == SimFiber::State::runnable && !interrupted->yielded)
    return interrupted->index;
  const SimFiber* best = nullptr;
  for (const SimFiber* const fiber : runnable_) {
    if (fiber == &self || fiber->yielded) continue;
    if (best == nullptr || fiber->id < best->id) best = fiber;
  }
  if (best != nullptr) return best->index;
  // Everybody gave way: to the environment, else in turn.
  if (must_happen_ != 0) return oldest_step();
  const SimFiber* after = nullptr;
  for (const SimFiber* const fiber : runnable_) {
    if (best == nullptr || fiber->id < best->id) best = fiber;
    if (fiber->id > self.id && (after == nullptr || fiber->id < after->id)) after = fiber;
  }
  ENGINE_CHECK(best != nullptr, "no fiber can go on");
  return after != nullptr ? after->index : best->index;
}

bool Execution::begins_fair_end() noexcept {
  const bool gives_way = gave_way_at_ != 0 && points_ - gave_way_at_ < options_.turn_points_max;
  if (!options_.fair_end || fair_ || !gives_way) return false;
  points_max_ = options_.points_max * 2;
  fair_ = true;
  return true;
}

std::uint32_t Execution::fair_turn(const SimFiber& self, std::uint32_t rule) noexcept {
  const auto goes_on = [&](std::uint32_t pick) {
    return pick < runnable_.size() && runnable_[pick] == &self;
  };
  if (goes_on(rule)) return rule;
  SimFiber* next = nullptr;
  for (SimFiber* const fiber : runnable_) {
    if (fiber == &self) continue;
    if (next == nullptr || fiber->turn < next->turn ||
        (fiber->turn == next->turn && fiber->id < next->id))
      next = fiber;
  }
  if (must_happen_ != 0 && (next == nullptr || steps_turn_ < next->turn)) {
    steps_turn_ = ++turns_;
    return oldest_step();
  }
  if (next == nullptr) return rule;
  next->turn = ++turns_;
  return next->index;
}

std::uint32_t Execution::oldest_step() const noexcept {
  const EnvStep* best = nullptr;
  for (const EnvStep* const step : steps_) {
    if (step->duty == EnvStep::Duty::may_happen) continue;
    if (best == nullptr || step->age < best->age) best = step;
  }
  ENGINE_CHECK(best != nullptr, "nothing has to happen");
  return static_cast<std::uint32_t>(runnable_.size()) + best->index;
}

void Execution::note_decision(SimFiber& self, const Point& point, std::uint32_t pick,
                              std::uint32_t rule) {
  const auto fibers = static_cast<std::uint32_t>(runnable_.size());
  const bool is_fiber = pick < fibers;
  const ActorId to = is_fiber ? runnable_[pick]->id : steps_[pick - fibers]->id;
  const ChoiceKind kind = is_fiber ? ChoiceKind::run : steps_[pick - fibers]->kind;
  const std::uint32_t value = kind == ChoiceKind::fire ? 0 : to.value();
  if (pick != rule)
    outcome_.schedule.decisions.push_back(Decision{self.id, self.steps, kind, value});
  if (!options_.trace || (is_fiber && runnable_[pick] == &self)) return;
  const bool put_aside = is_fiber && self.state == SimFiber::State::runnable && !self.yielded;
  log_.decisions.add(
      {.point = points_,
       .events_before = log_.events.count(),
       .time_ns = now_.count(),
       .from = self.id,
       .from_step = self.steps,
       .kind = kind,
       .to = to,
       .value = 0,
       .what = is_fiber ? runnable_[pick]->name() : steps_[pick - fibers]->name,
       .put_aside = put_aside,
       .deviation = pick != rule,
       .op = point.op,
       .object_name = point.object != nullptr ? log_.keep(point.object->name) : nullptr,
       .object_id = point.object != nullptr ? point.object->id : 0,
       .where = point.where});
}

std::uint32_t Execution::choose(const char* what, std::uint32_t count, std::uint32_t one_in) {
  const Hush hush;
  SimFiber& self = *current_;
  ++self.steps;
  if (count <= 1) return 0;
  const std::uint32_t value = strategy_->value(self, what, count, one_in);
  mix(static_cast<std::uint64_t>(value) << 32U | 0x200U);
  if (value != 0)
    outcome_.schedule.decisions.push_back(Decision{self.id, self.steps, ChoiceKind::value, value});
  if (options_.trace && value != 0) {
    log_.decisions.add({.point = points_,
                        .events_before = log_.events.count(),
                        .time_ns = now_.count(),
                        .from = self.id,
                        .from_step = self.steps,
                        .kind = ChoiceKind::value,
                        .to = {},
                        .value = value,
                        .what = what,
                        .deviation = true});
  }
  return value;
}

}   // namespace sim
