// Each strategy decides alike for one seed, and what it decided can be replayed exactly.
#include <algorithm>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "engine/fiber/completion.h"
#include "sim/strategies.h"
#include "sim/strategy_around.h"
#include "sim/strategy_pct.h"
#include "sim/strategy_pos.h"
#include "sim/strategy_random.h"
#include "sim/strategy_replay.h"
#include "sim/tsan.h"
#include "tests/unit/sim/busy_program.h"

namespace sim {
namespace {

constexpr std::uint64_t kStrategySeeds = 30;

std::vector<std::unique_ptr<Strategy>> all_strategies() {
  std::vector<std::unique_ptr<Strategy>> all;
  all.push_back(std::make_unique<RandomWalk>(RandomWalk::Temper::plain));
  all.push_back(std::make_unique<RandomWalk>(RandomWalk::Temper::varied));
  all.push_back(std::make_unique<Pct>(Pct::Options{.depth_max = 4, .steps_expected = 400}));
  all.push_back(std::make_unique<Pos>());
  return all;
}

TEST(Strategy, SameSeedSameDigestOtherSeedsOther) {
  for (const auto& strategy : all_strategies()) {
    for (const bool race : {false, true}) {
      std::set<std::uint64_t> digests;
      for (std::uint64_t seed = 0; seed < kStrategySeeds; ++seed) {
        const ExecutionOptions options{
            .seed = seed, .strategy = strategy.get(), .timers_race = race, .digest_events = true};
        Execution execution{options};
        const auto body = [&] { busy_program(execution); };
        const std::uint64_t first = execution.run(body).digest;
        EXPECT_FALSE(execution.outcome().finding) << execution.outcome().finding->message;
        EXPECT_EQ(execution.run(body).digest, first) << seed;
        digests.insert(first);
      }
      EXPECT_GT(digests.size(), kStrategySeeds - 3);
    }
  }
}

// Around a strategy that is told less, or asked less, than by itself it would decide otherwise.
TEST(Strategy, DecidesAsBySelfWithAnotherAroundIt) {
  for (const StrategyName& name : strategy_names()) {
    StrategyBox by_itself;
    StrategyBox inside;
    ASSERT_TRUE(by_itself.choose(name.name));
    ASSERT_TRUE(inside.choose(name.name));
    StrategyAround around{inside.for_seed(0)};
    const auto digest = [&](Strategy& strategy, std::uint64_t seed) {
      Execution execution{
          {.seed = seed, .strategy = &strategy, .timers_race = true, .digest_events = true}};
      return execution.run([&] { busy_program(execution); }).digest;
    };
    EXPECT_EQ(around.keeps_learning(), by_itself.for_seed(0).keeps_learning()) << name.name;
    for (std::uint64_t seed = 0; seed < 2 * kStrategySeeds; ++seed) {
      EXPECT_EQ(around.will_learn(), by_itself.for_seed(0).will_learn()) << name.name;
      ASSERT_EQ(digest(around, seed), digest(by_itself.for_seed(0), seed)) << name.name << seed;
      if (seed % kStrategySeeds == 10) {
        around.forget();
        by_itself.forget();
      }
    }
  }
}

// Counts what it is told and asked; decides by the rule.
class Counter final : public Strategy {
 public:
  void begin(std::uint64_t /*seed*/) override { ++counts["begin"]; }
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override {
    ++counts["pick"];
    return choices.fallback;
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t /*count*/,
                      std::uint32_t /*one_in*/) override {
    ++counts["value"];
    return 0;
  }
  void started(SimFiber& /*fiber*/) override { ++counts["started"]; }
  void renewed(SimFiber& /*fiber*/) override { ++counts["renewed"]; }
  void touched(const SimFiber& /*self*/, const engine::SyncObject& /*object*/,
               engine::Access /*access*/) override {
    ++counts["touched"];
  }
  void unchanged(const SimFiber& /*self*/, const engine::SyncObject& /*object*/) override {
    ++counts["unchanged"];
  }
  void woken(const SimFiber& /*fiber*/) override { ++counts["woken"]; }
  void overruled(const Choices& /*choices*/, std::uint32_t /*pick*/) override {
    ++counts["overruled"];
  }
  void end(std::uint64_t /*points*/) override { ++counts["end"]; }

  std::map<std::string, int> counts;
};

TEST(Strategy, IsToldAllThatHappensWithAnotherAroundIt) {
  Counter by_itself;
  Counter inside;
  StrategyAround around{inside};
  for (Strategy* const strategy : std::initializer_list<Strategy*>{&by_itself, &around}) {
    Execution execution{{.strategy = strategy, .points_max = 1'000, .fair_end = true}};
    const Outcome& outcome = execution.run([&] {
      engine::Atomic<int> count{"count"};
      const engine::SyncObject raw{engine::ObjectKind::variable, "raw"};
      engine::Completion ended{"ended"};
      execution.spawn("other", [&] {
        int expected = 1;
        count.compare_exchange(expected, 2);
        engine::also_touches(raw);
        execution.renew();
        static_cast<void>(execution.choose("what", 2));
        ended.signal();
      });
      ended.wait();
      for (;;)
        engine::yield_now();
    });
    EXPECT_EQ(outcome.points, 2'000U);
  }
  EXPECT_EQ(inside.counts, by_itself.counts);
  EXPECT_EQ(inside.counts.size(), 10U);
}

// A seed means the same under every compiler, optimisation and sanitizer. The value changes when
// the primitives' scheduling points, a strategy or the program itself change; then put in the new
// one, and see that all builds agree on it.
TEST(Strategy, DigestsAreTheSameInEveryBuild) {
  std::uint64_t all = 0;
  for (const auto& strategy : all_strategies()) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      Execution execution{
          {.seed = seed, .strategy = strategy.get(), .timers_race = true, .digest_events = true}};
      all = all * 31 + execution.run([&] { busy_program(execution); }).digest;
    }
  }
  EXPECT_EQ(all, 14807563990664894837U);
}

TEST(Strategy, ReplayIsExactAlsoThroughText) {
  for (const auto& strategy : all_strategies()) {
    for (std::uint64_t seed = 0; seed < kStrategySeeds; ++seed) {
      ExecutionOptions options{
          .seed = seed, .strategy = strategy.get(), .timers_race = true, .digest_events = true};
      options.trace = seed % 2 == 0;   // with names
      Execution execution{options};
      const auto body = [&] { busy_program(execution); };
      const Outcome original = execution.run(body);
      const auto schedule = Schedule::from_text(original.schedule.to_text());
      ASSERT_TRUE(schedule);
      EXPECT_EQ(schedule->decisions, original.schedule.decisions);
      Replay replay{*schedule};
      options.strategy = &replay;
      execution.reset(options);
      const Outcome& again = execution.run(body);
      EXPECT_FALSE(replay.divergence()) << replay.divergence()->text;
      EXPECT_EQ(again.digest, original.digest);
      EXPECT_EQ(again.points, original.points);
      EXPECT_EQ(again.preemptions, original.preemptions);
      EXPECT_EQ(again.schedule.decisions, original.schedule.decisions);
    }
  }
}

TEST(Strategy, TheEmptyScheduleHasNoPreemptions) {
  Replay replay{{}};
  Execution execution{{.strategy = &replay}};
  const Outcome& outcome = execution.run([&] { busy_program(execution); });
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(outcome.preemptions, 0U);
  EXPECT_TRUE(outcome.schedule.decisions.empty());
  EXPECT_FALSE(replay.divergence());
}

TEST(Strategy, ReplayNamesTheFirstDivergence) {
  RandomWalk walk;
  ExecutionOptions options{.seed = 3, .strategy = &walk, .trace = true};
  Execution execution{options};
  Schedule schedule = execution.run([&] { busy_program(execution); }).schedule;
  const ActorId nobody = ActorId::fiber(77);
  const auto run = std::find_if(schedule.decisions.begin(), schedule.decisions.end(),
                                [](const Decision& d) { return d.kind == ChoiceKind::run; });
  ASSERT_NE(run, schedule.decisions.end());
  run->value = nobody.value();
  Replay replay{schedule};
  options.strategy = &replay;
  execution.reset(options);
  execution.run([&] { busy_program(execution); });
  ASSERT_TRUE(replay.divergence());
  EXPECT_NE(replay.divergence()->text.find("run fiber:77: that could not happen then"),
            std::string::npos)
      << replay.divergence()->text;
  EXPECT_NE(replay.divergence()->text.find("at "), std::string::npos);
}

TEST(Strategy, ReplayTellsDecisionsThatWereNeverReached) {
  Replay replay{{.decisions = {{ActorId::fiber(2), 1000, ChoiceKind::run, 1}}, .names = {}}};
  Execution execution{{.strategy = &replay}};
  execution.run([&] { busy_program(execution); });
  ASSERT_TRUE(replay.divergence());
  EXPECT_NE(replay.divergence()->text.find("1 of 1"), std::string::npos);
}

TEST(Strategy, ReplayKnowsAFiberByTheNameThatATextHasForIt) {
  for (const char* const was : {"actor_a", "actor a", "actor_b"}) {
    Replay replay{{.decisions = {}, .names = {{ActorId::fiber(2).value(), was}}}};
    Execution execution{{.strategy = &replay}};
    execution.run([&] {
      engine::Completion ended{"ended"};
      execution.spawn("actor a", [&] { ended.signal(); });
      ended.wait();
    });
    EXPECT_EQ(replay.divergence().has_value(), was == std::string_view{"actor_b"}) << was;
  }
}

// Wrong only if the reader runs between two stores of the writer: one preemption, depth 2.
void torn_pair(Execution& execution, unsigned padding) {
  struct State {
    engine::Atomic<int> a{"a"};
    engine::Atomic<int> b{"b"};
    engine::Atomic<int> noise{"noise"};
    engine::Completion ended{"ended", 2};
  } state;
  execution.spawn("writer", [&] {
    for (unsigned i = 0; i < padding; ++i)
      state.noise.store(1);
    state.a.store(1);
    state.b.store(1);
    for (unsigned i = 0; i < padding; ++i)
      state.noise.store(2);
    state.ended.signal();
  });
  execution.spawn("reader", [&] {
    const int a = state.a.load();
    const int b = state.b.load();
    ENGINE_CHECK(a == b, "torn");
    state.ended.signal();
  });
  state.ended.wait();
}

std::uint64_t seeds_to_find(Strategy& strategy, unsigned padding, std::uint64_t seeds_max) {
  for (std::uint64_t seed = 0; seed < seeds_max; ++seed) {
    Execution execution{{.seed = seed, .strategy = &strategy}};
    if (execution.run([&] { torn_pair(execution, padding); }).finding) return seed + 1;
  }
  return seeds_max + 1;
}

TEST(Strategy, EachFindsABugOfDepthTwo) {
  for (const auto& strategy : all_strategies())
    EXPECT_LT(seeds_to_find(*strategy, 4, 5000), 5000U);
}

// A plain walk has no chance here: the reader is done long before the writer is there.
TEST(Strategy, PctFindsABugOfDepthTwoBehindManyPoints) {
  Pct pct{{.depth_max = 3, .steps_expected = 110}};
  EXPECT_LT(seeds_to_find(pct, 50, 2000), 2000U);
}

TEST(Strategy, PctMakesFewPreemptions) {
  Pct pct{{.depth_max = 3, .steps_expected = 100}};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Execution execution{{.seed = seed, .strategy = &pct}};
    // At most one for each change; one for each fiber that is born more important, and two for each
    // on its way to its first point; one for each that is woken.
    EXPECT_LE(execution.run([&] { torn_pair(execution, 50); }).preemptions, 2U + 2U * 3U + 1U);
    EXPECT_GT(pct.steps(), 1U);
  }
}

// All have been started before the first of them goes on, and still in any order.
TEST(Strategy, StartingIsOverAtOnce) {
  Pct pct{{.depth_max = 3, .steps_expected = 20}};
  Pos pos;
  for (Strategy* const strategy : {static_cast<Strategy*>(&pct), static_cast<Strategy*>(&pos)}) {
    std::set<int> first;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Execution execution{{.seed = seed, .strategy = strategy}};
      int started = 0;
      int ran = 0;
      execution.run([&] {
        for (int i = 0; i < 3; ++i) {
          execution.spawn("child", [&, i] {
            const Hush hush;
            EXPECT_GE(started, 2);   // the third is on its way
            if (ran++ == 0) first.insert(i);
          });
          ++started;
        }
      });
      EXPECT_EQ(ran, 3);
    }
    EXPECT_EQ(first.size(), 3U);
  }
}

// From one walk, whatever its seed; from then on a seed means one execution.
TEST(Strategy, PctLearnsOnceHowLongExecutionsAre) {
  Pct pct{{.depth_max = 3, .steps_expected = 0}};
  Execution execution;
  const auto run = [&](std::uint64_t seed, unsigned padding) {
    execution.reset({.seed = seed, .strategy = &pct});
    return execution.run([&] { torn_pair(execution, padding); }).digest;
  };
  EXPECT_TRUE(pct.will_learn());
  run(1, 50);
  EXPECT_FALSE(pct.will_learn());
  const std::uint64_t digest = run(2, 50);
  for (std::uint64_t seed = 3; seed < 9; ++seed)
    run(seed, 50);
  EXPECT_EQ(run(2, 50), digest);
  pct.forget();
  EXPECT_TRUE(pct.will_learn());
  EXPECT_LT(seeds_to_find(pct, 50, 500), 500U);   // an assumed length of 1 finds nothing
}

}   // namespace
}   // namespace sim
