#include "sim/strategy_sparse.h"

#include <algorithm>
#include <functional>

namespace sim {

void Sparse::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  step_odds_ = rng_.one_in(4) ? 0 : kAlways >> (1U + rng_.below(8));
  turn_odds_ = rng_.one_in(4) ? 0 : kAlways >> rng_.below(5);
  value_odds_ = kAlways >> rng_.below(4);
  chances_ = 0;
  places_.clear();
  constexpr std::uint64_t kChancesAtFirst = 400;
  const auto expected = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      chances_expected_ != 0 ? chances_expected_ : kChancesAtFirst, 1U << 30U));
  for (std::uint32_t i = 0; i < preemptions_max_; ++i)
    places_.push_back(1 + rng_.below(expected));
  std::sort(places_.begin(), places_.end(), std::greater<>{});
}

std::uint32_t Sparse::pick(const Choices& choices) {
  if (follows_rule_) return choices.fallback;
  if (!choices.steps.empty() && strikes(step_odds_)) {
    const std::uint32_t step = some_step(choices);
    if (step != choices.size()) return step;
  }
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const SimFiber& self = choices.self;
  if (choices.self_runnable && !self.yielded) {
    if (fibers < 2 || choices.fallback != self.index) return choices.fallback;
    ++chances_;
    if (places_.empty() || places_.back() > chances_) return self.index;
    places_.pop_back();
    const std::uint32_t other = rng_.below(fibers - 1);
    return other + (other >= self.index ? 1 : 0);
  }
  if (fibers < 2 || !strikes(turn_odds_)) return choices.fallback;
  return rng_.below(fibers);
}

// None of those that should be rare, but rarely: choices.size().
std::uint32_t Sparse::some_step(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const std::uint32_t pick = rng_.below(static_cast<std::uint32_t>(choices.steps.size()));
  const EnvStep& step = *choices.steps[pick];
  const bool rare =
      step.duty == EnvStep::Duty::may_happen || (step.kind == ChoiceKind::fire && fibers != 0);
  if (rare && !rng_.one_in(kRareOneIn)) return choices.size();
  return fibers + pick;
}

std::uint32_t Sparse::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                            std::uint32_t one_in) {
  if (follows_rule_ || !strikes(value_odds_)) return 0;
  return rng_.answer(count, one_in);
}

void Sparse::end(std::uint64_t /*points*/) {
  chances_expected_ = std::max<std::uint64_t>(chances_, 1);
}

}   // namespace sim
