#include "sim/strategy_random.h"

namespace sim {

void RandomWalk::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  switch_odds_ = kAlways;
  step_odds_ = kAlways;
  rare_one_in_ = kRareOneIn;
  by_kind_ = false;
  if (temper_ == Temper::plain) return;
  const std::uint32_t draw = rng_.next();
  // 1, 1/2, 1/4 .. 1/128, and the same for the environment.
  switch_odds_ = kAlways >> (draw & 7U);
  step_odds_ = kAlways >> (draw >> 3U & 7U);
  rare_one_in_ = kRareOneIn << (draw >> 6U & 3U);
  by_kind_ = (draw >> 8U & 1U) != 0;
}

std::uint32_t RandomWalk::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const auto steps = static_cast<std::uint32_t>(choices.steps.size());
  if (temper_ == Temper::plain && steps == 0) return rng_.below(fibers);
  if (fibers == 0) return pick_step(choices);
  if (steps != 0) {
    const bool act = temper_ == Temper::plain ? rng_.below(fibers + steps) >= fibers
                                              : (rng_.next() >> 16U) * 2 < step_odds_;
    if (act) return pick_step(choices);
  }
  if (choices.self_runnable && !choices.self.yielded && (rng_.next() >> 16U) >= switch_odds_)
    return choices.self.index;
  return pick_fiber(choices);
}

std::uint32_t RandomWalk::pick_fiber(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  std::uint32_t pick = rng_.below(fibers);
  // One of a crowd is turned down as often as it has others beside it.
  for (int tries = 0; by_kind_ && tries < 16; ++tries) {
    const std::uint32_t crowd = choices.kinds.live(*choices.fibers[pick]);
    if (crowd <= 1 || rng_.one_in(crowd)) break;
    pick = rng_.below(fibers);
  }
  return pick;
}

std::uint32_t RandomWalk::pick_step(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const auto steps = static_cast<std::uint32_t>(choices.steps.size());
  std::uint32_t pick = rng_.below(steps);
  const EnvStep& step = *choices.steps[pick];
  const bool rare =
      step.duty == EnvStep::Duty::may_happen || (step.kind == ChoiceKind::fire && fibers != 0);
  if (rare && !rng_.one_in(rare_one_in_)) {
    if (fibers != 0) return choices.fallback;
    pick = rng_.below(steps);
  }
  return fibers + pick;
}

std::uint32_t RandomWalk::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                                std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
