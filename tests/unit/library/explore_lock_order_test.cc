// Locks that an exploration sees taken in opposite orders: told where it has not shown that nobody
// waits for ever, and of no consequence to what is explored. And how it counts when something
// fails.
#include <gtest/gtest.h>

#include "engine/fiber/mutex.h"
#include "sim/library/explore.h"
#include "sim/tank.h"
#include "tests/unit/library/programs.h"

namespace sim {
namespace {

void expect_same_executions(const Exploration& one, const Exploration& other) {
  EXPECT_EQ(one.executions, other.executions);
  EXPECT_EQ(one.cut_short, other.cut_short);
  EXPECT_EQ(one.complete, other.complete);
}

// The deadlock takes an interruption.
TEST(ExploreLockOrder, IsToldWhereTheDeadlockIsOutOfBounds) {
  const Exploration deaf = explore(programs::deadlock01, {.preemptions = 0, .lock_order = false});
  EXPECT_FALSE(deaf.found);
  const Exploration result = explore(programs::deadlock01, {.preemptions = 0});
  expect_same_executions(result, deaf);
  EXPECT_TRUE(result.complete);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::lock_order);
  EXPECT_EQ(result.found->ordinal, 1U);
  Execution execution;
  const Outcome& again = replay(execution, programs::deadlock01, result.found->schedule,
                                {.timers_race = result.found->timers_race});
  ASSERT_TRUE(again.finding);
  EXPECT_EQ(again.finding->signature(), result.found->finding.signature());
  EXPECT_EQ(again.digest, result.found->digest);
}

TEST(ExploreLockOrder, IsNotToldWhereTheDeadlockIs) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional{1U}, {}}) {
    const Exploration deaf =
        explore(programs::deadlock01, {.preemptions = preemptions, .lock_order = false});
    const Exploration result = explore(programs::deadlock01, {.preemptions = preemptions});
    expect_same_executions(result, deaf);
    ASSERT_TRUE(result.found && deaf.found);
    EXPECT_EQ(result.found->finding.kind, FindingKind::deadlock);
    EXPECT_EQ(result.found->ordinal, deaf.found->ordinal);
    EXPECT_EQ(result.found->digest, deaf.found->digest);
  }
}

// One is done with both before the other begins, who finds that out from something that the tank
// does not see: under a lock, but what is there is plain.
void one_after_the_other() {
  engine::Mutex a{"a"};
  engine::Mutex b{"b"};
  engine::Mutex state{"state"};
  bool done = false;
  Threads threads;
  threads.start("first", [&] {
    {
      const engine::MutexLock one{a};
      const engine::MutexLock two{b};
    }
    const engine::MutexLock lock{state};
    done = true;
  });
  threads.start("second", [&] {
    {
      const engine::MutexLock lock{state};
      if (!done) return;
    }
    const engine::MutexLock one{b};
    const engine::MutexLock two{a};
  });
  threads.join();
}

TEST(ExploreLockOrder, IsNotToldWhereNoScheduleHasTheDeadlock) {
  const Exploration all = explore(one_after_the_other);
  EXPECT_TRUE(all.complete);
  EXPECT_FALSE(all.found) << all.found->finding.message;
  // Within a bound that is not known.
  const Exploration some = explore(one_after_the_other, {.preemptions = 1});
  EXPECT_TRUE(some.complete);
  ASSERT_TRUE(some.found);
  EXPECT_EQ(some.found->finding.kind, FindingKind::lock_order);
}

TEST(ExploreLockOrder, IsToldWhereTheExplorationDidNotGetThere) {
  const Exploration result = explore(programs::deadlock01, {.executions_max = 1});
  EXPECT_FALSE(result.complete);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::lock_order);
  EXPECT_FALSE(explore(programs::deadlock01, {.executions_max = 1, .lock_order = false}).found);
}

TEST(ExploreCounts, TheExecutionThatFailedIsTheLastOne) {
  const Program at_once = [] { expect(false, "never"); };
  for (const Program& program : {at_once, Program{[] { programs::reorder(3); }}}) {
    for (const std::optional<std::uint32_t> preemptions : {std::optional{2U}, {}}) {
      const Exploration result = explore(program, {.preemptions = preemptions});
      ASSERT_TRUE(result.found);
      EXPECT_EQ(result.executions + result.cut_short, result.found->ordinal);
      EXPECT_GE(result.executions, 1U);
    }
  }
}

}   // namespace
}   // namespace sim
