#include "sim/sampling.h"

#include <algorithm>
#include <bit>

namespace sim {

using engine::Point;

namespace {

std::uint32_t start_of(const Choices& choices, std::uint32_t random) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{random} * choices.fibers.size()) >> 32U);
}

}   // namespace

std::uint32_t unnoticed(const Choices& choices, std::uint32_t random) noexcept {
  if (choices.unnoticed == 0) return choices.size();
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const std::uint32_t start = start_of(choices, random);
  std::uint32_t after = choices.size();
  std::uint32_t before = choices.size();   // the start
  for (std::uint32_t i = fibers; i-- > 0;) {
    const SimFiber& fiber = *choices.fibers[i];
    if (!fiber.unnoticed) continue;
    if (fiber.next.object == 0 && choices.about_to(fiber) != nullptr) return i;   // starts another
    (i < start ? before : after) = i;
  }
  return after != choices.size() ? after : before;
}

std::uint32_t unnoticed(const Choices& choices, std::uint32_t random, Contention& contention) {
  const std::uint32_t first = unnoticed(choices, random);
  if (first != choices.size()) return first;
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  std::uint32_t i = start_of(choices, random);
  for (std::uint32_t n = 0; n < fibers; ++n) {
    SimFiber& fiber = *choices.fibers[i];
    const Point* const point = choices.about_to(fiber);
    const bool gives_way = &fiber == &choices.self && choices.fallback != i;
    if (point != nullptr && fiber.next.object != 0 && !gives_way &&
        !contention.matters(contention.event_at(fiber, *point)) && can_go_on(choices, i))
      return i;
    if (++i == fibers) i = 0;
  }
  return choices.size();
}

// --- Rounds ---

std::uint32_t Rounds::youngest_before_last(const Choices& choices) const noexcept {
  std::uint32_t best = choices.size();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const ActorId id = choices.fibers[i]->id;
    const bool gives_way = choices.fibers[i] == &choices.self && choices.fallback != i;
    if (id >= last_ || gives_way || !can_go_on(choices, i)) continue;
    if (best == choices.size() || id > choices.fibers[best]->id) best = i;
  }
  return best;
}

std::uint32_t Rounds::pick(const Choices& choices) noexcept {
  if (const std::uint32_t first = unnoticed(choices, 0); first != choices.size()) return first;
  std::uint32_t pick = youngest_before_last(choices);
  if (pick == choices.size()) {
    last_ = kNobody;
    const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
    for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
      const EnvStep& step = *choices.steps[i];
      if (step.duty == EnvStep::Duty::may_happen) continue;
      if (step.kind != ChoiceKind::fire || fibers == 0) return fibers + i;
    }
    pick = youngest_before_last(choices);
  }
  if (pick == choices.size()) return choices.fallback;
  last_ = choices.fibers[pick]->id;
  return pick;
}

// --- Priorities ---

// An exponential variable of rate 1 / crowd, the smallest of which is to be first. Its logarithm is
// taken piece by piece linearly, in integers: every compiler's is the same, and order is all that
// counts.
std::uint64_t Priorities::draw(std::uint32_t crowd) noexcept {
  const std::uint32_t uniform = rng_.next() | 1U;
  const auto zeros = static_cast<std::uint64_t>(std::countl_zero(uniform));
  const std::uint64_t rest = 0x80000000U - (uniform << zeros & 0x7FFFFFFFU);   // 1 to 2^31
  const std::uint64_t exponential = (zeros << 31U) + rest;
  return (std::uint64_t{1} << 62U) - exponential * std::min(crowd, 1U << 20U);
}

void Priorities::see_steps(const Choices& choices, Best& best) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& step = *choices.steps[i];
    const bool rare =
        step.duty == EnvStep::Duty::may_happen || (step.kind == ChoiceKind::fire && fibers != 0);
    if (rare) {
      if (rng_.one_in(kRareOneIn)) {
        best = {fibers + i, ~std::uint64_t{0}};
        return;
      }
      if (step.duty == EnvStep::Duty::may_happen || fibers != 0) continue;
    }
    if (step.priority == kNone) step.priority = draw(1);
    best.see(fibers + i, step.priority);
  }
}

void Priorities::happens(const Choices& choices, std::uint32_t index) noexcept {
  SimFiber& chosen = *choices.fibers[index];
  chosen.priority = kNone;
  const Operation happening = chosen.next;
  if (happening.object == 0) return;
  for (SimFiber* const fiber : choices.fibers) {
    if (fiber->next.object == happening.object && (fiber->next.writes || happening.writes))
      fiber->priority = kNone;
  }
}

}   // namespace sim
