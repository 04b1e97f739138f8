#include "sim/strategy_pct.h"

#include <algorithm>
#include <functional>

namespace sim {

void Pct::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  choices_ = 0;
  low_ = kHigh - 1;
  changes_.clear();
  const auto expected =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(expected_, 1, 1U << 30U));
  const std::uint32_t depth = 1 + rng_.below(std::max(options_.depth_max, 1U));
  for (std::uint32_t i = 1; i < depth; ++i)
    changes_.push_back(1 + rng_.below(expected));
  std::sort(changes_.begin(), changes_.end(), std::greater<>{});
  rare_at_ = 1 + rng_.below(expected + expected / 2);
}

void Pct::started(SimFiber& fiber) {
  fiber.priority = high();
}

std::uint32_t Pct::pick(const Choices& choices) {
  ++choices_;
  if (expected_ == 0) return walk(choices);
  if (const std::uint32_t starter = about_to_start(choices); starter != choices.size())
    return starter;
  SimFiber& self = choices.self;
  bool demote = false;
  while (!changes_.empty() && changes_.back() <= choices_) {
    changes_.pop_back();
    demote = true;
  }
  // Whoever gives way, or has had its turn, comes last from now on.
  if (choices.self_runnable && (demote || choices.fallback != self.index)) self.priority = low_--;

  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  std::uint32_t best = choices.size();
  std::uint64_t best_priority = 0;
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (choices.fibers[i]->priority <= best_priority) continue;
    best = i;
    best_priority = choices.fibers[i]->priority;
  }
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& step = *choices.steps[i];
    if (step.duty == EnvStep::Duty::may_happen) {
      if (choices_ < rare_at_) continue;
      return fibers + i;
    }
    if (step.priority == 0) step.priority = first_priority(choices, step);
    if (step.priority <= best_priority) continue;
    best = fibers + i;
    best_priority = step.priority;
  }
  return best != choices.size() ? best : choices.fallback;
}

// Whatever, so that the execution ends.
std::uint32_t Pct::walk(const Choices& choices) {
  const std::uint32_t pick = rng_.below(choices.size());
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  if (pick < fibers) {
    const bool gives_way = choices.self_runnable && choices.self.yielded;
    return gives_way && pick == choices.self.index ? choices.fallback : pick;
  }
  return choices.steps[pick - fibers]->duty == EnvStep::Duty::may_happen ? choices.fallback : pick;
}

void Pct::end(std::uint64_t /*points*/) {
  if (expected_ == 0) expected_ = std::max<std::uint64_t>(choices_, 1);
}

std::uint64_t Pct::first_priority(const Choices& choices, const EnvStep& step) noexcept {
  return step.kind == ChoiceKind::fire && !choices.fibers.empty() ? low_-- : high();
}

std::uint32_t Pct::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                         std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
