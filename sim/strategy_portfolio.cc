#include "sim/strategy_portfolio.h"

#include <algorithm>
#include <utility>

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
std::unique_ptr<Strategy> pct(std::uint64_t length) {
  return std::make_unique<Pct>(Pct::Options{.depth_max = 4, .choices_expected = length});
}

}   // namespace

Portfolio::Portfolio() {
  const auto add = [this](const char* name, std::uint32_t share_short, std::uint32_t share_long,
                          std::unique_ptr<Strategy> strategy) {
    arms_.push_back({.name = name,
                     .strategy = std::move(strategy),
                     .share_short = share_short,
                     .share_long = share_long});
  };
  add("guided", 16, 8, nullptr);
  add("surw", 12, 3, std::make_unique<Surw>());
  add("random", 3, 8, std::make_unique<RandomWalk>());
  add("stall", 1, 8, std::make_unique<Stall>());
  add("pos", 4, 4, std::make_unique<Pos>());
  add("pct 25", 3, 1, pct(25));
  add("pct 100", 1, 3, pct(100));
  add("pct 400", 1, 3, pct(400));
  add("pct 1600", 1, 3, pct(1600));
}

void Portfolio::forget() {
  guided_.forget();
  for (Arm& arm : arms_) {
    if (arm.strategy) arm.strategy->forget();
  }
}

std::size_t Portfolio::deal(std::span<const Arm> arms, bool are_short, std::uint64_t seed) {
  Rng rng{seed ^ 0x706F7274666F6CULL};
  const bool by_gain = rng.one_in(2);
  // Those of whom little is known are thought well of.
  const auto weight = [&](const Arm& arm) {
    const std::uint64_t share = are_short ? arm.share_short : arm.share_long;
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
  // The first execution is the guided one's, which has nothing to go by yet: partial-order
  // sampling.
  arm_ = points_max_ == 0 ? 0 : deal(arms_, points_max_ <= kShortPoints, seed);
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
  guided_.saw(choices, pick);
  return pick;
}

std::uint32_t Portfolio::value(const SimFiber& self, const char* what, std::uint32_t count,
                               std::uint32_t one_in) {
  return chosen().value(self, what, count, one_in);
}

void Portfolio::end(std::uint64_t points) {
  points_max_ = std::max({points_max_, points, std::uint64_t{1}});
  if (arms_[arm_].strategy) arms_[arm_].strategy->end(points);
  const ReadsFrom::Novelty& novelty = guided_.learn();
  for (Arm& arm : arms_) {
    arm.gain -= arm.gain / kFadesOneIn;
    arm.tries -= arm.tries / kFadesOneIn;
  }
  Arm& arm = arms_[arm_];
  ++arm.executions;
  arm.tries += kOne;
  arm.gain += std::min(
      novelty.pairs.size() * kNewPair + (novelty.combination ? kNewCombination : 0), kGainMax);
}

}   // namespace sim
