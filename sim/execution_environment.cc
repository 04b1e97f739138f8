// What happens besides fibers: steps that are on offer, and time with its timers.
#include <algorithm>

#include "sim/deadlock.h"
#include "sim/execution.h"
#include "sim/tsan.h"

namespace sim {

void Execution::offer(EnvStep& step) {
  const Hush hush;
  ENGINE_CHECK(step.index == EnvStep::kNotOffered, "step {} is offered twice", step.name);
  step.index = static_cast<std::uint32_t>(steps_.size());
  step.age = offers_++;
  step.priority = 0;
  steps_.push_back(&step);
  if (step.duty == EnvStep::Duty::must_happen) ++must_happen_;
}

void Execution::offer(EnvStep& step, engine::Nanos delay) {
  if (delay == engine::Nanos{0}) {
    offer(step);
    return;
  }
  const Hush hush;
  const Waiting mine{now_ + delay, &step};
  const auto later = [](const Waiting& a, const Waiting& b) { return a.due > b.due; };
  step.waits = true;
  // Before those that are due at the same time: they were offered first.
  waiting_.insert(std::lower_bound(waiting_.begin(), waiting_.end(), mine, later), mine);
}

void Execution::hurry(EnvStep& step) {
  if (!step.waits) return;
  withdraw(step);
  offer(step);
}

void Execution::offer_at_standstill(EnvStep& step, Before what) {
  ENGINE_CHECK(at_standstill_ == nullptr, "step {} is offered beside another", step.name);
  at_standstill_ = &step;
  standstill_before_ = what;
}

// For the step that waits for that.
bool Execution::stands_still(bool for_good) noexcept {
  if (at_standstill_ == nullptr) return false;
  if (standstill_before_ == Before::deadlock) return for_good;
  return std::exchange(stood_still_, now_) != now_;
}

void Execution::withdraw(EnvStep& step) noexcept {
  const Hush hush;
  if (at_standstill_ == &step) at_standstill_ = nullptr;
  if (step.waits) {
    step.waits = false;
    std::erase_if(waiting_, [&](const Waiting& each) { return each.step == &step; });
  }
  if (step.index == EnvStep::kNotOffered) return;
  EnvStep* const last = steps_.back();
  steps_[step.index] = last;
  last->index = step.index;
  steps_.pop_back();
  step.index = EnvStep::kNotOffered;
  if (step.duty == EnvStep::Duty::must_happen) --must_happen_;
}

void Execution::forget_waiting() noexcept {
  for (const Waiting& each : waiting_)
    each.step->waits = false;
  waiting_.clear();
}

void Execution::arm(engine::Timer& timer, engine::Nanos deadline) noexcept {
  const Hush hush;
  timer.deadline = std::max(deadline, now_);
  timer.sequence = timer_sequence_++;
  timer.armed = true;
  timers_.insert(timer);
  handed_over(&timer);
  refresh_timer_step();
}

bool Execution::disarm(engine::Timer& timer) noexcept {
  const Hush hush;
  if (!timer.armed) return false;
  timers_.erase(timers_.iterator_to(timer));
  timer.armed = false;
  refresh_timer_step();
  return true;
}

void Execution::refresh_timer_step() noexcept {
  const bool races = options_.timers_race && timers_ahead_ < kTimersAheadMax;
  const bool due = !timers_.empty() && (races || timers_.begin()->deadline <= now_);
  const bool offered = timer_step_.index != EnvStep::kNotOffered;
  if (options_.timers_race && !due && !timers_.empty()) ++timers_kept_waiting_;
  if (due && !offered) offer(timer_step_);
  if (!due && offered) withdraw(timer_step_);
}

bool Execution::advance_time() {
  if (live_ == 0) return false;
  const bool for_good = timers_.empty() && waiting_.empty();
  if (stands_still(for_good)) {
    offer(*std::exchange(at_standstill_, nullptr));
    return true;
  }
  if (!for_good) {
    timers_ahead_ = 0;
    const bool timer_next =
        waiting_.empty() || (!timers_.empty() && timers_.begin()->deadline <= waiting_.back().due);
    set_time(timer_next ? timers_.begin()->deadline : waiting_.back().due);
    refresh_timer_step();
    return true;
  }
  keep(describe_deadlock(*this));
  return false;
}

void Execution::set_time(engine::Nanos time) {
  now_ = std::max(now_, time);
  while (!waiting_.empty() && waiting_.back().due <= now_) {
    EnvStep& step = *waiting_.back().step;
    waiting_.pop_back();
    step.waits = false;
    offer(step);
  }
}

SimFiber* Execution::fire_timer() {
  engine::Timer& timer = *timers_.begin();
  if (timer.deadline > now_) ++timers_ahead_;
  set_time(timer.deadline);
  timers_.erase(timers_.begin());
  timer.armed = false;
  refresh_timer_step();
  return start_for_step(ActorId{ActorKind::timer, 0, ++fired_}, timer.object.name, [&timer] {
    taken_over(&timer);
    const engine::ContextScope scope{engine::ContextKind::completion};
    timer.fire();
  });
}

}   // namespace sim
