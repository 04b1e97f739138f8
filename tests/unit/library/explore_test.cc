// Exhaustive exploration: exact numbers where they are known, and what it says of itself.
#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/fiber/rcu.h"
#include "sim/strategy_dpor.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::Atomic;
using engine::Mutex;

// Of as many threads as can be waited for: n! executions.
const int kThreads = unit::sparse() > 1 ? 5 : 7;

std::uint64_t executions_of(const Program& program) {
  const Exploration result = explore(program);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found) << result.found->finding.message;
  EXPECT_EQ(result.cut_short, 0U);
  return result.executions;
}

TEST(Explore, AtomicIncrementsInEveryOrder) {
  std::uint64_t factorial = 1;
  for (int threads = 2; threads <= kThreads; ++threads) {
    factorial *= static_cast<std::uint64_t>(threads);
    EXPECT_EQ(executions_of([&] { programs::ainc(threads); }), factorial) << threads;
  }
}

TEST(Explore, LockedIncrementsInEveryOrder) {
  std::uint64_t factorial = 1;
  for (int threads = 2; threads <= kThreads; ++threads) {
    factorial *= static_cast<std::uint64_t>(threads);
    EXPECT_EQ(executions_of([&] { programs::lockinc(threads); }), factorial) << threads;
  }
}

TEST(Explore, EachReaderBeforeOrAfterTheWriter) {
  for (const int readers : {2, 8, 13}) {
    if (readers > 8 && unit::sparse() > 1) continue;
    EXPECT_EQ(executions_of([&] { programs::readers(readers); }), 1U << readers) << readers;
  }
}

TEST(Explore, WritersInEveryOrderWithReadersAnywhere) {
  if (unit::sparse() > 8) GTEST_SKIP() << "every execution or none";
  // Readers look at one of writers + 1 values, in each order of the writers.
  EXPECT_EQ(executions_of([] { programs::readers_writers(3, 2); }), 2U * 27);
  EXPECT_EQ(executions_of([] { programs::readers_writers(4, 3); }), 6U * 256);
  EXPECT_EQ(executions_of([] { programs::readers_writers(2, 4); }), 24U * 25);
}

// The search that sleep sets alone prune runs into dead ends here, and the one that remembers what
// to wake up needs memory exponential in the number of threads.
TEST(Explore, LastZeroWithoutADeadEndInLittleMemory) {
  for (int threads = 2; threads <= (unit::sparse() > 1 ? 5 : 10); ++threads) {
    std::uint64_t executions = 0;
    std::uint64_t stored_max = 0;
    Dpor search;
    Execution execution;
    do {
      execution.reset({.strategy = &search});
      ASSERT_FALSE(execution.run([&] { programs::lastzero(threads); }).finding);
      ++executions;
      stored_max = std::max(stored_max, search.stored_events());
    } while (search.next());
    const auto n = static_cast<std::uint64_t>(threads);
    EXPECT_EQ(executions, (n + 3) << n >> 2U) << threads;
    const std::uint64_t events = 2 * n + n + 1;
    EXPECT_LE(stored_max, events * events) << threads;
  }
}

TEST(Explore, ReadersOfALockBeforeAndAfterAWriterInEveryCombination) {
  for (const int readers : {1, 3, unit::sparse() > 1 ? 4 : 6})
    EXPECT_EQ(executions_of([&] { programs::locked_readers(readers, 1); }), 1U << 2 * readers);
}

// Where each of them comes before or after a writer there are more selections than any memory
// holds.
TEST(Explore, ReadersOfALockInLittleMemory) {
  for (const auto& [readers, writers] : {std::pair{4, 1}, {8, 1}, {24, 1}, {4, 2}, {12, 3}}) {
    Dpor search;
    Execution execution;
    const std::uint64_t events = 2 * static_cast<std::uint64_t>(readers + writers);
    std::uint64_t stored_max = 0;
    for (int executions = 0; executions < 3000; ++executions) {
      execution.reset({.strategy = &search});
      const Program program = [&] { programs::locked_readers(readers, writers); };
      ASSERT_FALSE(execution.run(program).finding);
      const bool has_more = search.next();
      stored_max = std::max(stored_max, search.stored_ways());
      ASSERT_LE(search.stored_events(), events * events) << readers << ", " << writers;
      ASSERT_LE(search.stored_ways(), events * events) << readers << ", " << writers;
      if (!has_more) break;
    }
    EXPECT_GT(stored_max, 1U);
  }
}

TEST(Explore, Peterson) {
  std::uint64_t both = 0;
  const Exploration result = explore([&] { both += programs::peterson() ? 1 : 0; });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_EQ(both, 4U);
}

TEST(Explore, SemaphoresAndBarriers) {
  const Exploration result = explore([] {
    Semaphore items{"items"};
    Barrier barrier{"barrier", 3};
    Variable<int> made{"made"};
    Threads threads;
    threads.start("make", [&] {
      made.set(1);
      items.release();
      barrier.arrive_and_wait();
    });
    threads.start("take", [&] {
      items.acquire();
      expect(made.get() == 1, "taken before it was made");
      barrier.arrive_and_wait();
    });
    barrier.arrive_and_wait();
    expect(made.peek() == 1, "past the barrier before it was made");
    threads.join();
  });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_GT(result.executions, 5U);
}

TEST(Explore, ChoicesOfTheEnvironmentAreExplored) {
  std::multiset<std::uint32_t> seen;
  Execution* current = nullptr;
  const Exploration result = explore([&] {
    current = static_cast<Execution*>(&engine::current_executor());
    seen.insert(current->choose("size", 3) * 10 + current->choose("fault", 2, 8));
  });
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(seen, (std::multiset<std::uint32_t>{0, 1, 10, 11, 20, 21}));
}

TEST(Explore, SaysHowFarItGot) {
  const Exploration result =
      explore([] { programs::ainc(7); }, {.executions_max = 2520, .probes = 50});
  EXPECT_FALSE(result.complete);
  EXPECT_NEAR(result.done, 0.5, 1e-6);
  EXPECT_EQ(result.interleavings.number, 5040.0);
}

// Two with n steps each have (2n)! / n!^2 interleavings, whatever they have to do with each other;
// where it is everything, each of them is explored.
TEST(Explore, EstimatesTheNumberOfInterleavings) {
  double expected = 1;
  for (int n = 1; n <= 6; ++n) {
    expected = expected * (2 * n) * (2 * n - 1) / (n * n);
    for (const bool of_one : {true, false}) {
      const Exploration result = explore(
          [=] {
            Variable<int> mine{"mine"};
            Variable<int> other{"other"};
            Threads threads;
            for (Variable<int>* const each : {&mine, of_one ? &mine : &other}) {
              threads.start("steps", [each, n] {
                for (int i = 0; i < n; ++i)
                  each->set(i);
              });
            }
            threads.join();
          },
          {.probes = 200});
      ASSERT_TRUE(result.complete);
      EXPECT_EQ(static_cast<double>(result.executions), of_one ? expected : 1) << n;
      EXPECT_NEAR(result.interleavings.number, expected, n == 1 ? 0 : expected / 8) << n;
      EXPECT_GE(result.interleavings.number, static_cast<double>(result.executions)) << n;
    }
  }
}

// Two that set what the other looks at, and go on for longer if that is not what they have set.
void steps_by_turn() {
  Variable<int> turn{"turn"};
  Threads threads;
  for (int id = 1; id <= 2; ++id) {
    threads.start("steps", [&, id] {
      turn.set(id);
      if (turn.get() == 1) return;
      for (int i = 0; i < 4; ++i)
        turn.set(id);
    });
  }
  threads.join();
}

TEST(Explore, WalksFurtherWhereTheFirstWalksDiffer) {
  for (const std::optional<std::uint32_t> bound : {std::optional<std::uint32_t>{}, {3U}}) {
    std::uint64_t runs = 0;
    const auto explore_counting = [&](const Program& program) {
      runs = 0;
      const Exploration result = explore([&] { ++runs, program(); },
                                         {.probes = 10, .preemptions = bound, .lock_order = false});
      EXPECT_TRUE(result.complete);
      return result;
    };
    // One of them is run twice, and within bounds there is one that shows where they could be
    // spent.
    const std::uint64_t walks = bound ? 12 : 11;
    const Exploration uneven = explore_counting(steps_by_turn);
    const std::uint64_t begun = uneven.executions + uneven.cut_short;
    EXPECT_GT(runs, begun + walks);
    EXPECT_LE(runs, begun + walks + begun / 4);
    const Exploration even = explore_counting([] { programs::lockinc(4); });
    EXPECT_EQ(runs, even.executions + even.cut_short + walks);
  }
}

// Few walks may well come upon those parts of the tree that are smaller than others.
TEST(Explore, EstimatesNeverLessThanItHasCounted) {
  for (const std::optional<std::uint32_t> bound : {std::optional<std::uint32_t>{}, {0U}, {2U}}) {
    const Exploration result = explore(steps_by_turn, {.probes = 1, .preemptions = bound});
    ASSERT_TRUE(result.complete);
    EXPECT_GE(result.interleavings.number, static_cast<double>(result.executions));
  }
}

// While one sleeps with the lock held, the others wait for it; afterwards they come in any order.
TEST(Explore, GoesOnWhenTimeHasPassed) {
  std::set<std::string> orders;
  const Exploration result = explore([&] {
    Mutex mutex{"mutex"};
    std::string order;
    Threads threads;
    mutex.lock();
    for (const char* const name : {"a", "b", "c"}) {
      threads.start("locker", [&, name] {
        const engine::MutexLock lock{mutex};
        order += name;
      });
    }
    engine::sleep_for(engine::Nanos{1000});
    mutex.unlock();
    threads.join();
    orders.insert(order);
  });
  EXPECT_TRUE(result.complete);
  EXPECT_TRUE(result.limits.empty());
  EXPECT_EQ(orders.size(), 6U);
}

TEST(Explore, ReadSectionsAndAGracePeriod) {
  std::set<bool> seen;
  const Exploration result = explore([&] {
    engine::Rcu rcu{"rcu"};
    Atomic<bool> published{"published", true};
    bool freed = false;
    Threads threads;
    for (int i = 0; i < 2; ++i) {
      threads.start("read", [&] {
        const engine::RcuSection section{rcu};
        const bool there = published.load();
        seen.insert(there);
        if (there) expect(!freed, "read after it was freed");
      });
    }
    threads.start("free", [&] {
      published.store(false);
      rcu.synchronize();
      freed = true;
    });
    threads.join();
  });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found) << result.found->finding.message;
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_GT(result.executions, 10U);
}

// --- programs that are not the tank's alone ---

TEST(Explore, AProgramWhoseRunsDifferIsToldSo) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {1U}}) {
    int runs = 0;
    const Exploration result = explore(
        [&] {
          Variable<int> x{"x", 0};
          for (int i = 0; i < (runs == 0 ? 1 : 2); ++i)
            x.set(i);
          ++runs;
        },
        {.probes = 5, .preemptions = preemptions});
    ASSERT_TRUE(result.found);
    EXPECT_TRUE(result.found->not_deterministic);
    EXPECT_FALSE(result.complete);
    EXPECT_EQ(runs, 2);
  }
}

TEST(Explore, AWalkThatFailedIsToldWhereNothingElseIs) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {1U}}) {
    int runs = 0;
    const Exploration result = explore(
        [&] {
          Variable<int> x{"x", 0};
          x.set(1);
          expect(++runs != 4, "the fourth");   // the third walk
        },
        {.probes = 5, .preemptions = preemptions});
    ASSERT_TRUE(result.found);
    EXPECT_TRUE(result.found->not_deterministic);
    EXPECT_FALSE(result.complete);
    EXPECT_GT(runs, 5);
  }
}

TEST(Explore, TheTimeEndsWalksToo) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {1U}}) {
    int runs = 0;
    static_cast<void>(explore(
        [&] { ++runs; }, {.seconds_max = 1e-9, .probes = 1'000'000, .preemptions = preemptions}));
    EXPECT_LT(runs, 10);
  }
}

}   // namespace
}   // namespace sim
