// Shrinking leaves what is needed and nothing else.
#include "sim/shrink.h"

#include <algorithm>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "engine/fiber/mutex.h"
#include "sim/execution.h"
#include "sim/strategy_random.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

using Program = std::function<void(Execution&)>;

std::optional<ShrinkTrial> replay_fails(const Program& program, const Schedule& schedule) {
  Replay replay{schedule};
  Execution execution{{.strategy = &replay}};
  const Outcome& outcome = execution.run([&] { program(execution); });
  if (!outcome.finding) return std::nullopt;
  return ShrinkTrial{outcome.schedule, outcome.preemptions};
}

ShrinkAttempt replaying(const Program& program) {
  return one_by_one([=](const Schedule& schedule) { return replay_fails(program, schedule); });
}

std::optional<Schedule> find(const Program& program) {
  RandomWalk walk{RandomWalk::Temper::plain};
  for (std::uint64_t seed = 0; seed < 100'000; ++seed) {
    Execution execution{{.seed = seed, .strategy = &walk}};
    const Outcome& outcome = execution.run([&] { program(execution); });
    if (outcome.finding) return outcome.schedule;
  }
  return std::nullopt;
}

// The classic: an increment that is no single step. Noise on either side makes long schedules.
void lost_update(Execution& execution) {
  struct State {
    engine::Atomic<int> value{"value"};
    engine::Atomic<int> noise{"noise"};
    engine::Completion ended{"ended", 3};
  } state;
  for (int i = 0; i < 2; ++i) {
    execution.spawn("adder", [&] {
      for (int n = 0; n < 20; ++n)
        state.noise.fetch_add(1);
      state.value.store(state.value.load() + 1);
      for (int n = 0; n < 20; ++n)
        state.noise.fetch_add(1);
      state.ended.signal();
    });
  }
  execution.spawn("noise", [&] {
    for (int n = 0; n < 60; ++n)
      state.noise.fetch_add(1);
    state.ended.signal();
  });
  state.ended.wait();
  ENGINE_CHECK(state.value.load() == 2, "an update is lost");
}

TEST(Shrink, ALostUpdateNeedsOnePreemption) {
  const auto schedule = find(lost_update);
  ASSERT_TRUE(schedule);
  EXPECT_GT(schedule->decisions.size(), 10U);
  const auto small = shrink(*schedule, replaying(lost_update));
  ASSERT_TRUE(small);
  EXPECT_TRUE(small->complete);
  EXPECT_EQ(small->best.preemptions, 1U) << small->best.schedule.to_text();
  EXPECT_LE(small->best.schedule.decisions.size(), 2U) << small->best.schedule.to_text();
}

void opposite_locks(Execution& execution) {
  struct State {
    engine::Mutex a{"a"};
    engine::Mutex b{"b"};
    engine::Completion ended{"ended", 2};
  } state;
  execution.spawn("ab", [&] {
    {
      const engine::MutexLock first{state.a};
      const engine::MutexLock second{state.b};
    }
    state.ended.signal();
  });
  execution.spawn("ba", [&] {
    {
      const engine::MutexLock first{state.b};
      const engine::MutexLock second{state.a};
    }
    state.ended.signal();
  });
  state.ended.wait();
}

TEST(Shrink, OppositeLocksNeedOnePreemption) {
  const auto schedule = find(opposite_locks);
  ASSERT_TRUE(schedule);
  const auto small = shrink(*schedule, replaying(opposite_locks));
  ASSERT_TRUE(small);
  EXPECT_EQ(small->best.preemptions, 1U);
  EXPECT_LE(small->best.schedule.decisions.size(), 2U) << small->best.schedule.to_text();
}

// Fails if both values are not 0 and the second is above 2.
void two_values(Execution& execution) {
  for (int i = 0; i < 10; ++i)
    execution.choose("noise", 100);
  const std::uint32_t a = execution.choose("a", 1000);
  for (int i = 0; i < 10; ++i)
    execution.choose("noise", 100);
  const std::uint32_t b = execution.choose("b", 1000);
  ENGINE_CHECK(a == 0 || b <= 2);
}

TEST(Shrink, ValuesBecomeFewAndSmall) {
  const auto schedule = find(two_values);
  ASSERT_TRUE(schedule);
  const auto small = shrink(*schedule, replaying(two_values));
  ASSERT_TRUE(small);
  ASSERT_EQ(small->best.schedule.decisions.size(), 2U);
  EXPECT_EQ(small->best.schedule.decisions[0].value, 1U);
  EXPECT_EQ(small->best.schedule.decisions[1].value, 3U);
}

TEST(Shrink, NeighboursThatOnlyGoTogetherGo) {
  const auto decision = [](std::uint32_t step) {
    return Decision{ActorId::fiber(2), step, ChoiceKind::run, 1};
  };
  const auto has = [](const Schedule& s, const Decision& d) {
    return std::find(s.decisions.begin(), s.decisions.end(), d) != s.decisions.end();
  };
  const Schedule all{{decision(1), decision(2), decision(3)}, {}};
  const auto attempt = [&](const Schedule& s) -> std::optional<ShrinkTrial> {
    const bool fails = has(s, decision(1)) && has(s, decision(2)) == has(s, decision(3));
    if (!fails) return std::nullopt;
    return ShrinkTrial{s, s.decisions.size()};
  };
  const auto small = shrink(all, one_by_one(attempt));
  ASSERT_TRUE(small);
  EXPECT_EQ(small->best.schedule.decisions, std::vector{decision(1)});
}

TEST(Shrink, StopsWhenItMayTryNoMore) {
  const auto schedule = find(lost_update);
  ASSERT_TRUE(schedule);
  std::uint64_t tries = 0;
  const auto counted = one_by_one([&](const Schedule& s) {
    ++tries;
    return replay_fails(lost_update, s);
  });
  const auto small = shrink(*schedule, counted, {.tries_max = 5, .out_of_time = {}});
  ASSERT_TRUE(small);
  EXPECT_FALSE(small->complete);
  EXPECT_LE(tries, 6U);
}

TEST(Shrink, SaysSoWhenThereIsNothingToShrink) {
  EXPECT_FALSE(shrink({}, replaying(opposite_locks)));
}

}   // namespace
}   // namespace sim
