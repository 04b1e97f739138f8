#include "sim/strategy_stall.h"

namespace sim {

void Stall::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  fibers_one_in_ = 4U << rng_.below(4);
  steps_one_in_ = 4U << rng_.below(4);
  release_one_in_ = 64U << 2 * rng_.below(4);
  act_one_in_ = 2U << rng_.below(5);
  switch_one_in_ = 4U << 2 * rng_.below(4);
}

// Early stops are the likelier ones, but none is out of reach.
std::uint64_t Stall::stop_after(std::uint64_t steps) {
  return steps + 1 + rng_.below(1U << rng_.below(8));
}

void Stall::started(SimFiber& fiber) {
  fiber.priority = rng_.one_in(fibers_one_in_) ? stop_after(fiber.steps) : kFree;
}

bool Stall::is_stalled(EnvStep& step) {
  if (step.priority == 0) step.priority = rng_.one_in(steps_one_in_) ? 1 : 2;
  return step.priority == 1;
}

std::uint32_t Stall::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  SimFiber& self = choices.self;
  if (choices.self_runnable && self.priority <= self.steps) self.priority = kStalled;

  std::uint32_t free_fibers = 0;
  for (const SimFiber* const fiber : choices.fibers)
    free_fibers += fiber->priority != kStalled ? 1 : 0;
  // The environment: one step that may go on now, or one that has to.
  std::uint32_t step = choices.size();
  std::uint32_t last = choices.size();   // a stalled one, if there is nothing else
  std::uint32_t seen = 0;
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& each = *choices.steps[i];
    if (each.duty == EnvStep::Duty::may_happen || (each.kind == ChoiceKind::fire && fibers != 0)) {
      if (rng_.one_in(kRareOneIn)) return fibers + i;
      continue;
    }
    last = fibers + i;
    if (is_stalled(each) && !rng_.one_in(release_one_in_)) continue;
    ++seen;
    if (rng_.one_in(seen)) step = fibers + i;
  }
  if (step != choices.size() && (free_fibers == 0 || rng_.one_in(act_one_in_))) return step;
  if (free_fibers != 0) return free_fiber(choices, free_fibers);
  // Everybody stands: somebody is let go.
  const bool let_step_go = last != choices.size() && (fibers == 0 || rng_.one_in(2));
  if (let_step_go) return last;
  if (fibers == 0) return choices.fallback;
  SimFiber& fiber = *choices.fibers[rng_.below(fibers)];
  fiber.priority = rng_.one_in(4) ? stop_after(fiber.steps) : kFree;
  return fiber.index;
}

std::uint32_t Stall::free_fiber(const Choices& choices, std::uint32_t count) {
  const SimFiber& self = choices.self;
  const bool goes_on = choices.self_runnable && choices.fallback == self.index;
  if (goes_on && self.priority != kStalled && !rng_.one_in(switch_one_in_)) return self.index;
  if (rng_.one_in(release_one_in_))
    choices.fibers[rng_.below(static_cast<std::uint32_t>(choices.fibers.size()))]->priority = kFree;
  std::uint32_t nth = rng_.below(count);
  for (const SimFiber* const fiber : choices.fibers) {
    if (fiber->priority == kStalled) continue;
    if (nth-- == 0) return fiber->index;
  }
  return choices.fallback;
}

std::uint32_t Stall::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                           std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
