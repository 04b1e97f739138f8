#include "sim/strategy_pct.h"

#include <algorithm>
#include <functional>

#include "engine/fiber/context.h"
#include "sim/sampling.h"

namespace sim {

Pct::Pct(Options options) : options_{options} {
  forget();
}

void Pct::forget() {
  expected_.fill(options_.steps_expected);
  learns_ = options_.steps_expected == 0;
  if (learns_) own_contention_ = std::make_unique<Contention>();
}

void Pct::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  steps_ = 0;
  low_ = kHigh - 1;
  by_kind_ = rng_.one_in(2);
  kinds_.clear();
  // One execution does not teach much.
  counts_ = contention() != nullptr && rng_.one_in(options_.contention != nullptr ? 2 : 4)
                ? kContended
                : kAll;
  const auto expected =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(expected_[counts_], 1, 1U << 30U));
  // A depth above that of the bug costs little; one below finds nothing.
  const std::uint32_t deeper = options_.depth_max > 1 && !rng_.one_in(8) ? 1 : 0;
  const std::uint32_t depth = 1 + deeper * (1 + rng_.below(options_.depth_max - 1));
  changes_.clear();
  for (std::uint32_t i = 1; i < depth; ++i)
    changes_.push_back(1 + rng_.below(expected));
  std::sort(changes_.begin(), changes_.end(), std::greater<>{});
  rare_at_ = 1 + rng_.below(expected + expected / 2);
  if (!learns_) return;
  own_contention_->begin();
  rounds_.begin();
}

void Pct::started(SimFiber& fiber) {
  fiber.priority = high();
}

std::uint64_t& Pct::priority_of_kind(const SimFiber& fiber) {
  if (kinds_.size() <= fiber.kind) kinds_.resize(std::size_t{fiber.kind} + 1, 0);
  std::uint64_t& priority = kinds_[fiber.kind];
  if (priority == 0) priority = high();
  return priority;
}

Pct::Rank Pct::rank_of(const SimFiber& fiber) {
  return {by_kind_ ? priority_of_kind(fiber) : fiber.priority, fiber.priority};
}

// Comes last from now on; by kinds, with all of its kind, if there are others.
void Pct::demote(const Choices& choices) {
  SimFiber& self = choices.self;
  const bool crowd =
      by_kind_ && std::any_of(choices.fibers.begin(), choices.fibers.end(),
                              [&](const SimFiber* fiber) { return fiber->kind != self.kind; });
  (crowd ? priority_of_kind(self) : self.priority) = low_--;
}

void Pct::count_step(const Choices& choices) {
  if (counts_ == kContended) {
    if (!choices.self_runnable) return;
    if (!contention()->matters(contention()->event_at(choices.self, choices.point))) return;
  }
  ++steps_;
}

std::uint32_t Pct::pick(const Choices& choices) {
  if (learns_) return learn(choices);
  if (const std::uint32_t index = unnoticed(choices, rng_.next()); index != choices.size())
    return index;
  count_step(choices);
  SimFiber& self = choices.self;
  bool changes = false;
  while (!changes_.empty() && changes_.back() <= steps_) {
    changes_.pop_back();
    changes = true;
  }
  // Whoever gives way, or has had its turn, comes last from now on.
  if (choices.self_runnable && (changes || choices.fallback != self.index)) demote(choices);

  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  std::uint32_t best = choices.size();
  Rank best_rank{};
  const bool waits = choices.self_runnable && self.yielded && fibers > 1;
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (waits && i == self.index) continue;   // all of its kind have come last
    const Rank rank = rank_of(*choices.fibers[i]);
    if (rank <= best_rank) continue;
    best = i;
    best_rank = rank;
  }
  for (std::uint32_t i = 0; i < choices.steps.size(); ++i) {
    EnvStep& step = *choices.steps[i];
    if (step.duty == EnvStep::Duty::may_happen) {
      if (steps_ < rare_at_) continue;
      return fibers + i;
    }
    if (step.priority == 0) step.priority = first_priority(choices, step);
    const Rank rank{step.priority, step.priority};
    if (rank <= best_rank) continue;
    best = fibers + i;
    best_rank = rank;
  }
  return best != choices.size() ? best : choices.fallback;
}

std::uint32_t Pct::learn(const Choices& choices) {
  if (choices.size() > 1) own_contention_->fix_ordinals(engine::t_thread.next_object_id);
  if (unnoticed(choices, 0) == choices.size()) ++steps_;
  const std::uint32_t pick = rounds_.pick(choices);
  if (pick >= choices.fibers.size()) return pick;
  SimFiber& fiber = *choices.fibers[pick];
  if (const engine::Point* const point = choices.about_to(fiber))
    learnt_.push_back(own_contention_->happens(fiber, *point));
  return pick;
}

void Pct::end(std::uint64_t /*points*/) {
  if (!learns_) return;
  learns_ = false;
  own_contention_->end();
  std::uint64_t contended = 0;
  for (const Contention::EventId event : learnt_)
    contended += Contention::is_event(event) && own_contention_->contended(event) ? 1 : 0;
  learnt_.clear();
  expected_[kAll] = std::max<std::uint64_t>(steps_, 1);
  expected_[kContended] = std::max<std::uint64_t>(contended, 1);
}

std::uint64_t Pct::first_priority(const Choices& choices, const EnvStep& step) noexcept {
  return step.kind == ChoiceKind::fire && !choices.fibers.empty() ? low_-- : high();
}

std::uint32_t Pct::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                         std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
