#include "sim/strategy_pos.h"

namespace sim {

using engine::Access;
using engine::Point;

namespace {

bool race(const Point& a, const Point& b) noexcept {
  return a.object != nullptr && a.object == b.object &&
         (a.access == Access::write || b.access == Access::write);
}

}   // namespace

void Pos::begin(std::uint64_t seed) {
  rng_.reseed(seed);
}

void Pos::started(SimFiber& fiber) {
  fiber.priority = 0;
}

std::uint32_t Pos::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  if (const std::uint32_t starter = about_to_start(choices); starter != choices.size())
    return starter;
  const bool gives_way = choices.self_runnable && choices.fallback != choices.self.index;
  std::uint32_t best = choices.size();
  std::uint64_t best_priority = 0;
  for (std::uint32_t i = 0; i < fibers; ++i) {
    SimFiber& fiber = *choices.fibers[i];
    if (fiber.priority == 0) fiber.priority = draw();
    if (gives_way && &fiber == &choices.self) fiber.priority = 1;
    if (fiber.priority <= best_priority) continue;
    best = i;
    best_priority = fiber.priority;
  }
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& step = *choices.steps[i];
    const bool rare =
        step.duty == EnvStep::Duty::may_happen || (step.kind == ChoiceKind::fire && fibers != 0);
    if (rare) {
      if (rng_.one_in(kRareOneIn)) return fibers + i;
      if (step.duty == EnvStep::Duty::may_happen || fibers != 0) continue;
    }
    if (step.priority == 0) step.priority = draw();
    if (step.priority <= best_priority) continue;
    best = fibers + i;
    best_priority = step.priority;
  }
  if (best == choices.size()) best = choices.fallback;
  if (best >= fibers) return best;
  // The operation of the chosen one happens now.
  SimFiber& chosen = *choices.fibers[best];
  chosen.priority = 0;
  const Point* const happening = choices.about_to(chosen);
  if (happening == nullptr) return best;
  for (SimFiber* const fiber : choices.fibers) {
    if (fiber == &chosen) continue;
    const Point* const pending = choices.about_to(*fiber);
    if (pending != nullptr && race(*pending, *happening)) fiber->priority = 0;
  }
  return best;
}

std::uint32_t Pos::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                         std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
