// Exhaustive exploration: exact numbers where they are known, and against brute force.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/rcu.h"
#include "engine/fiber/spin_lock.h"
#include "sim/rng.h"
#include "sim/strategy_dpor.h"
#include "tests/unit/library/every_schedule.h"
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
  EXPECT_GT(result.interleavings, 5040.0);
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

TEST(Explore, FindsALoopThatWaitsForEver) {
  const Exploration result = explore(
      [] {
        Variable<bool> never{"never"};
        while (!never.get())
          engine::yield_now();
      },
      {.points_max = 1000});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::endless);
}

TEST(Explore, SpinLocksAndRetries) {
  for (const int threads : {2, 3}) {
    const Exploration result = explore([&] { programs::spin_lock(threads); });
    EXPECT_TRUE(result.complete);
    EXPECT_FALSE(result.found) << result.found->finding.message;
    EXPECT_GT(result.executions, 1U);
    EXPECT_EQ(result.cut_short, 0U);
    const Exploration seqlock = explore([&] { programs::seqlock(threads - 1); });
    EXPECT_TRUE(seqlock.complete);
    EXPECT_FALSE(seqlock.found) << seqlock.found->finding.message;
    EXPECT_GT(seqlock.executions, 3U);
  }
  EXPECT_TRUE(explore([] { programs::spin_lock(2, true); }).found);
  EXPECT_TRUE(explore([] { programs::seqlock(1, true); }).found);
}

TEST(Explore, ALockThatIsTriedAgainAndAgain) {
  const Exploration result = explore([] {
    Mutex mutex{"mutex"};
    Threads threads;
    for (int i = 0; i < 3; ++i) {
      threads.start("try", [&] {
        while (!mutex.try_lock())
          engine::yield_now();
        mutex.unlock();
      });
    }
    threads.join();
  });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_GT(result.executions, 6U);
}

// It waits for either of two things, and two others do one each: any may be what it sees first.
TEST(Explore, AChangeOfEitherOfTwoLetsALoopGoOn) {
  std::set<int> seen;
  const Exploration result = explore([&] {
    Atomic<int> a{"a"};
    Atomic<int> b{"b"};
    int first = 0;
    Threads threads;
    threads.start("wait", [&] {
      for (;;) {
        const int now = a.load() + 2 * b.load();
        if (now != 0) {
          first = now;
          return;
        }
        engine::yield_now();
      }
    });
    threads.start("a", [&] { a.store(1); });
    threads.start("b", [&] { b.store(1); });
    threads.join();
    seen.insert(first);
  });
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(seen, (std::set<int>{1, 2, 3}));
}

TEST(Explore, SpinLocksOfTheEngine) {
  const Exploration result = explore([] {
    engine::SpinLock lock{"lock"};
    int inside = 0;
    Threads threads;
    for (int i = 0; i < 4; ++i) {
      threads.start("spin", [&] {
        const engine::SpinGuard guard{lock};
        expect(++inside == 1, "two are inside");
        --inside;
      });
    }
    threads.join();
  });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_EQ(result.executions, 24U);
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

TEST(Explore, LoopsThatWaitEnd) {
  const Exploration result = explore(programs::peterson_waiting);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_LT(result.executions, 30U);
}

// --- against every schedule: random programs ---

struct Step {
  enum class What : std::uint8_t {
    read,
    write,
    add,
    swap,       // if the value is even
    lock,       // and add
    try_lock,   // and add, if it works
    choose,
    wait,     // for a gate to be opened
    notify,   // open it, and wake one or all, after the lock has been given back
  } what;
  std::uint32_t object;
};
using Script = std::vector<std::vector<Step>>;

// Whoever waits is waited for by somebody who does nothing but open both gates.
Script random_script(Rng& rng, std::uint32_t kinds, std::uint32_t steps_max) {
  Script script(2 + rng.below(2));
  bool waits = false;
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(steps_max);
    for (std::uint32_t i = 0; i < count; ++i) {
      steps.push_back({static_cast<Step::What>(rng.below(kinds)), rng.below(2)});
      waits |= steps.back().what == Step::What::wait;
    }
  }
  if (waits) script.push_back({{Step::What::notify, 0}, {Step::What::notify, 1}});
  return script;
}

struct Gate {
  Mutex mutex{"gate"};
  engine::Condition opened{"opened"};
  bool open = false;
};

struct Shared {
  std::array<Atomic<std::uint32_t>, 2> variables{Atomic<std::uint32_t>{"a"},
                                                 Atomic<std::uint32_t>{"b"}};
  std::array<Mutex, 2> mutexes{Mutex{"m"}, Mutex{"n"}};
  std::array<Gate, 2> gates{};
};

void run_step(Shared& shared, const Step& step) {
  Atomic<std::uint32_t>& variable = shared.variables[step.object];
  Mutex& mutex = shared.mutexes[step.object];
  Gate& gate = shared.gates[step.object];
  switch (step.what) {
    case Step::What::read:
      // What is done next depends on what was seen.
      if (variable.load() % 2 != 0) shared.variables[1 - step.object].store(7);
      return;
    case Step::What::write:
      variable.store(1);
      return;
    case Step::What::add:
      variable.fetch_add(1);
      return;
    case Step::What::swap: {
      std::uint32_t even = 0;
      static_cast<void>(variable.compare_exchange(even, 5));
      return;
    }
    case Step::What::lock: {
      const engine::MutexLock lock{mutex};
      variable.fetch_add(1);
      return;
    }
    case Step::What::try_lock:
      if (!mutex.try_lock()) return;
      variable.fetch_add(1);
      mutex.unlock();
      return;
    case Step::What::choose:
      variable.store(static_cast<Execution&>(engine::current_executor()).choose("value", 2));
      return;
    case Step::What::wait: {
      const engine::MutexLock lock{gate.mutex};
      gate.opened.wait(gate.mutex, [&] { return gate.open; });
      return;
    }
    case Step::What::notify: {
      {
        const engine::MutexLock lock{gate.mutex};
        gate.open = true;
      }
      gate.opened.notify_all();
      return;
    }
  }
}

void run_script(const Script& script) {
  Shared shared;
  Threads threads;
  for (const std::vector<Step>& steps : script) {
    threads.start("fiber", [&] {
      for (const Step& step : steps)
        run_step(shared, step);
    });
  }
  threads.join();
}

void expect_each_class_once(std::uint32_t kinds, std::uint32_t steps_max, std::uint32_t rounds) {
  Rng rng{7 + kinds};
  std::uint64_t schedules = 0;
  for (std::uint32_t round = 0; round < rounds; round += std::min(unit::sparse(), rounds / 10)) {
    const Script script = random_script(rng, kinds, steps_max);
    std::set<std::string> all;
    unit::EverySchedule every;
    unit::Told told_every{every};
    Execution execution;
    std::uint64_t mine = 0;
    do {
      execution.reset({.strategy = &told_every});
      ASSERT_FALSE(execution.run([&] { run_script(script); }).finding);
      all.insert(told_every.execution());
    } while (every.next() && ++mine < 3'000);
    if (mine == 3'000) continue;   // too many to try them all
    schedules += mine;
    std::multiset<std::string> explored;
    Dpor search;
    unit::Told told{search};
    do {
      execution.reset({.strategy = &told});
      ASSERT_FALSE(execution.run([&] { run_script(script); }).finding);
      explored.insert(told.execution());
      ASSERT_LE(explored.size(), all.size()) << round;
    } while (search.next());
    EXPECT_EQ(explored, (std::multiset<std::string>{all.begin(), all.end()})) << round;
    EXPECT_NEAR(search.done(), 1, 1e-9);
    EXPECT_EQ(search.stored_events(), 0U);
  }
  EXPECT_GT(schedules, unit::sparse() == 1 ? 5'000U : 0U);
}

TEST(Explore, ReadsAndWritesInEveryOrderThatMattersOnce) {
  expect_each_class_once(static_cast<std::uint32_t>(Step::What::lock), 3, 40);
}
TEST(Explore, LocksInEveryOrderThatMattersOnce) {
  expect_each_class_once(static_cast<std::uint32_t>(Step::What::choose), 2, 40);
}
TEST(Explore, ChoicesAndWaitingInEveryOrderThatMattersOnce) {
  expect_each_class_once(static_cast<std::uint32_t>(Step::What::notify), 2, 40);
}

}   // namespace
}   // namespace sim
