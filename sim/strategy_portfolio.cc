#include "sim/strategy_portfolio.h"

#include <algorithm>
#include <utility>

#include "engine/fiber/context.h"
#include "sim/strategy_pct.h"
#include "sim/strategy_pos.h"
#include "sim/strategy_random.h"
#include "sim/strategy_stall.h"
#include "sim/strategy_surw.h"

namespace sim {
namespace {

constexpr std::uint64_t kNewPair = Portfolio::kOne;
constexpr std::uint64_t kNewCombination = Portfolio::kOne / 8;
constexpr std::uint64_t kGainMax = 4 * Portfolio::kOne;   // of one execution
// A gain is worth half after about forty executions.
constexpr std::uint64_t kFadesOneIn = 64;

// In a portfolio PCT is given its length: it would learn it by a walk of each workload, of which
// only a few schedules are run.
std::unique_ptr<Strategy> pct(std::uint64_t length, Contention& contention) {
  return std::make_unique<Pct>(
      Pct::Options{.depth_max = 4, .steps_expected = length, .contention = &contention});
}

}   // namespace

Portfolio::Portfolio() {
  const auto add = [this](const char* name, Shares shares, std::unique_ptr<Strategy> strategy) {
    arms_.push_back({.name = name, .strategy = std::move(strategy), .shares = shares});
  };
  Contention& contention = guided_.contention();
  add("guided", {16, 8, 6}, nullptr);
  add("surw", {12, 3, 8}, std::make_unique<Surw>(Surw::Selection::few_objects, &contention));
  add("random", {3, 8, 3}, std::make_unique<RandomWalk>());
  add("stall", {1, 8, 1}, std::make_unique<Stall>());
  add("pos", {4, 4, 16}, std::make_unique<Pos>(&contention));
  add("pct 25", {3, 1, 2}, pct(25, contention));
  add("pct 100", {1, 3, 2}, pct(100, contention));
  add("pct 400", {1, 3, 1}, pct(400, contention));
  add("pct 1600", {1, 3, 1}, pct(1600, contention));
}

void Portfolio::forget() {
  guided_.forget();
  for (Arm& arm : arms_) {
    if (arm.strategy) arm.strategy->forget();
  }
}

std::size_t Portfolio::deal(std::span<const Arm> arms, Situation situation, std::uint64_t seed) {
  Rng rng{seed ^ 0x706F7274666F6CULL};
  const bool by_gain = rng.one_in(2) && situation != Situation::nothing_new;
  // Those of whom little is known are thought well of.
  const auto weight = [&](const Arm& arm) {
    const std::uint64_t share = arm.shares[static_cast<std::size_t>(situation)];
    return by_gain ? share * (arm.gain + 4 * kOne) * 64 / (arm.tries + 4 * kOne) : share;
  };
  std::uint64_t sum = 0;
  for (const Arm& arm : arms)
    sum += weight(arm);
  std::uint64_t at = rng.next64() % sum;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (at < weight(arms[i])) return i;
    at -= weight(arms[i]);
  }
  return 0;
}

void Portfolio::begin(std::uint64_t seed) {
  Situation situation = points_max_ <= kShortPoints ? Situation::is_short : Situation::is_long;
  if (nothing_new_for_ >= kLongTime) situation = Situation::nothing_new;
  // The first execution is the guided one's, which has nothing to go by yet.
  arm_ = points_max_ == 0 ? 0 : deal(arms_, situation, seed);
  watches_ = situation != Situation::nothing_new || executions_ % kWatchOneIn == 0;
  chosen().begin(seed);
  asks_always_ = chosen().wants_every_point();
  if (arms_[arm_].strategy) guided_.watch();
}

void Portfolio::started(SimFiber& fiber) {
  chosen().started(fiber);
}

std::uint32_t Portfolio::pick(const Choices& choices) {
  if (!arms_[arm_].strategy) return guided_.pick(choices);
  const std::uint32_t pick =
      asks_always_ || choices.size() > 1 ? arms_[arm_].strategy->pick(choices) : choices.fallback;
  if (watches_) {
    guided_.saw(choices, pick);
  } else if (choices.size() > 1) {   // the others look at labels all the same
    guided_.contention().fix_ordinals(engine::t_thread.next_object_id);
  }
  return pick;
}

std::uint32_t Portfolio::value(const SimFiber& self, const char* what, std::uint32_t count,
                               std::uint32_t one_in) {
  return chosen().value(self, what, count, one_in);
}

void Portfolio::end(std::uint64_t points) {
  points_max_ = std::max({points_max_, points, std::uint64_t{1}});
  ++executions_;
  Arm& arm = arms_[arm_];
  ++arm.executions;
  if (arm.strategy) arm.strategy->end(points);
  if (arm.strategy && !watches_) return;
  const ReadsFrom::Novelty& novelty = guided_.learn();
  for (Arm& each : arms_) {
    each.gain -= each.gain / kFadesOneIn;
    each.tries -= each.tries / kFadesOneIn;
  }
  arm.tries += kOne;
  arm.gain += std::min(
      novelty.pairs.size() * kNewPair + (novelty.combination ? kNewCombination : 0), kGainMax);
  nothing_new_for_ = novelty.pairs.empty() ? nothing_new_for_ + 1 : 0;
}

}   // namespace sim
