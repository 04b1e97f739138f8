// Exhaustive exploration: exact numbers where they are known, and against brute force.
#include <deque>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/rng.h"
#include "sim/strategies.h"
#include "sim/tsan.h"
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
  EXPECT_NEAR(result.done, 0.5, 0.1);
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

TEST(Explore, LoopsThatWaitEnd) {
  const Exploration result = explore(programs::peterson_waiting);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_LT(result.executions, 30U);
}

// --- against brute force: random programs of reads, writes and locked sections ---

struct Step {
  enum class What : std::uint8_t { read, write, add, lock, try_lock } what;
  std::uint32_t object;
};
using Script = std::vector<std::vector<Step>>;

Script random_script(Rng& rng) {
  Script script(2 + rng.below(2));
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(3);
    for (std::uint32_t i = 0; i < count; ++i)
      steps.push_back({static_cast<Step::What>(rng.below(5)), rng.below(2)});
  }
  return script;
}

// Runs the script and tells what every fiber saw and in what order objects were changed: equal for
// equivalent executions, different for others. The notes are the judge's, kept outside of the
// program that runs: hence hushed.
std::string run_script(const Script& script) {
  std::deque<Atomic<std::uint32_t>> variables;
  std::deque<Mutex> mutexes;
  std::vector<std::string> changes(4);
  for (int i = 0; i < 2; ++i) {
    variables.emplace_back("variable");
    mutexes.emplace_back("mutex");
  }
  std::vector<std::string> seen(script.size());
  const auto note = [](const auto& write) {
    const Hush hush;
    write();
  };
  Threads threads;
  for (std::size_t t = 0; t < script.size(); ++t) {
    threads.start("fiber", [&, t] {
      for (const Step& step : script[t]) {
        Atomic<std::uint32_t>& variable = variables[step.object];
        std::string& order = changes[step.object];
        std::string& locked = changes[2 + step.object];
        switch (step.what) {
          case Step::What::read:
            static_cast<void>(variable.load());
            note([&] { seen[t] += std::to_string(order.size()); });
            break;
          case Step::What::write:
            variable.store(1);
            note([&] { order += std::to_string(t); });
            break;
          case Step::What::add:
            variable.fetch_add(1);
            note([&] { order += std::to_string(t); });
            break;
          case Step::What::lock: {
            mutexes[step.object].lock();
            note([&] { locked += std::to_string(t); });
            variable.fetch_add(1);
            note([&] { order += std::to_string(t); });
            mutexes[step.object].unlock();
            note([&] { locked += "u"; });
            break;
          }
          default: {
            const bool got = mutexes[step.object].try_lock();
            note([&] { locked += (got ? "T" : "t") + std::to_string(t); });
            if (got) {
              mutexes[step.object].unlock();
              note([&] { locked += "u"; });
            }
            break;
          }
        }
      }
    });
  }
  threads.join();
  std::string all;
  for (const std::string& each : changes)
    all += each + '/';
  for (const std::string& each : seen)
    all += each + ';';
  return all;
}

TEST(Explore, SeesWhatRandomSchedulesSeeAndNothingTwice) {
  Rng rng{7};
  for (std::uint32_t round = 0; round < 60; round += unit::sparse()) {
    const Script script = random_script(rng);
    std::multiset<std::string> explored;
    const Exploration result = explore([&] { explored.insert(run_script(script)); });
    ASSERT_TRUE(result.complete);
    const std::set<std::string> different{explored.begin(), explored.end()};
    EXPECT_EQ(explored.size(), different.size()) << round;
    std::set<std::string> sampled;
    StrategyBox box;
    ASSERT_TRUE(box.choose("random,pos,urw"));
    Execution execution;
    for (std::uint64_t seed = 0; seed < 1500; ++seed) {
      execution.reset({.seed = seed, .strategy = &box.for_seed(seed)});
      execution.run([&] { sampled.insert(run_script(script)); });
    }
    for (const std::string& each : sampled)
      EXPECT_TRUE(different.contains(each)) << round << " missed " << each;
  }
}

}   // namespace
}   // namespace sim
