// The portfolio gives more to who finds what is new, drops nobody, and decides by its seeds alone.
#include <map>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/strategy_portfolio.h"
#include "sim/strategy_replay.h"
#include "tests/unit/sim/busy_program.h"

namespace sim {
namespace {

constexpr std::uint64_t kPortfolioSeeds = 120;

std::uint64_t run(Execution& execution, Strategy& strategy, std::uint64_t seed) {
  execution.reset(
      {.seed = seed, .strategy = &strategy, .timers_race = seed % 2 == 1, .digest_events = true});
  return execution.run([&] { busy_program(execution); }).digest;
}

TEST(Portfolio, TheSameSeedsInTheSameOrderAreTheSameExecutions) {
  Portfolio first;
  Portfolio second;
  Execution execution;
  for (std::uint64_t seed = 0; seed < kPortfolioSeeds; ++seed) {
    const std::uint64_t digest = run(execution, first, seed);
    execution.reset({.seed = seed + 1, .strategy = &second});   // begun and not run
    EXPECT_EQ(run(execution, second, seed), digest) << seed;
    Replay replay{execution.outcome().schedule};
    EXPECT_EQ(run(execution, replay, seed), digest) << seed;
    EXPECT_FALSE(replay.divergence());
  }
}

TEST(Portfolio, DecidesAsTheChosenStrategyAlone) {
  Portfolio portfolio;
  Execution execution;
  std::map<std::string, std::uint64_t> before;
  std::uint64_t compared = 0;
  for (std::uint64_t seed = 0; seed < kPortfolioSeeds; ++seed) {
    const std::uint64_t digest = run(execution, portfolio, seed);
    for (const Portfolio::Arm& arm : portfolio.arms()) {
      const bool ran = arm.executions != before[arm.name];
      before[arm.name] = arm.executions;
      // Those that keep nothing from one execution to the next.
      if (!ran || !arm.strategy || arm.strategy->keeps_learning()) continue;
      EXPECT_EQ(run(execution, *arm.strategy, seed), digest) << arm.name;
      ++compared;
    }
  }
  EXPECT_GT(compared, kPortfolioSeeds / 4);
}

TEST(Portfolio, NobodyIsEverOut) {
  Portfolio portfolio;
  Execution execution;
  for (std::uint64_t seed = 0; seed < 600; ++seed)
    run(execution, portfolio, seed);
  for (const Portfolio::Arm& arm : portfolio.arms())
    EXPECT_GT(arm.executions, 0U) << arm.name;
}

std::vector<std::uint64_t> dealt(std::span<const Portfolio::Arm> arms) {
  std::vector<std::uint64_t> times(arms.size(), 0);
  for (std::uint64_t seed = 0; seed < 6000; ++seed)
    ++times[Portfolio::deal(arms, Portfolio::Situation::is_long, seed)];
  return times;
}

TEST(Portfolio, WhoFindsNewThingsGetsMore) {
  std::vector<Portfolio::Arm> arms(3);
  for (Portfolio::Arm& arm : arms)
    arm = {.name = "arm", .strategy = nullptr, .shares = {9, 1, 1}};
  for (const std::uint64_t times : dealt(arms))
    EXPECT_NEAR(static_cast<double>(times), 2000, 150);
  for (Portfolio::Arm& arm : arms)
    arm.tries = 40 * Portfolio::kOne;
  arms[1].gain = 40 * Portfolio::kOne;
  const std::vector<std::uint64_t> times = dealt(arms);
  EXPECT_GT(times[1], 3200U);
  EXPECT_GT(times[0], 1000U);   // half of its share, whatever it gained
  EXPECT_GT(times[2], 1000U);
}

// When reads see nothing new any more, who draws orders evenly gets most, and gains count no more.
TEST(Portfolio, WhenThereIsNothingNewOrdersAreWhatIsLeft) {
  std::vector<Portfolio::Arm> arms(3);
  for (Portfolio::Arm& arm : arms)
    arm = {.name = "arm", .strategy = nullptr, .shares = {8, 8, 1}};
  arms[2].shares[2] = 8;
  for (Portfolio::Arm& arm : arms)
    arm.tries = arm.gain = 100 * Portfolio::kOne;
  arms[2].gain = 0;
  std::vector<std::uint64_t> times(3, 0);
  for (std::uint64_t seed = 0; seed < 6000; ++seed)
    ++times[Portfolio::deal(arms, Portfolio::Situation::nothing_new, seed)];
  EXPECT_NEAR(static_cast<double>(times[2]), 4800, 150);
}

TEST(Portfolio, GainsAreOfThisSearchAndFade) {
  Portfolio portfolio;
  Execution execution;
  run(execution, portfolio, 1);
  const std::uint64_t first = portfolio.arms()[0].gain;   // all was new
  EXPECT_GT(first, Portfolio::kOne);
  for (std::uint64_t i = 0; i < 40; ++i) {
    execution.reset({.seed = 1, .strategy = &portfolio});
    execution.run([] {});
  }
  EXPECT_LT(portfolio.arms()[0].gain, first * 3 / 4);
}

}   // namespace
}   // namespace sim
