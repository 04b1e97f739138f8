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

// Looks up to three times, and says which look was the last.
int gives_up() {
  Atomic<int> flag{"flag"};
  int looks = 0;
  Threads threads;
  threads.start("look", [&] {
    while (looks < 3) {
      ++looks;
      if (flag.load() != 0) return;
      engine::yield_now();
    }
    looks = 4;
  });
  threads.start("set", [&] { flag.store(1); });
  threads.join();
  return looks;
}

TEST(Explore, WhoGivesUpMayDoSoWithRetries) {
  std::set<int> seen;
  const Program program = [&] { seen.insert(gives_up()); };
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {5U}}) {
    seen.clear();
    const Exploration none = explore(program, {.preemptions = preemptions});
    EXPECT_TRUE(none.complete);
    EXPECT_FALSE(none.limits.empty());
    EXPECT_EQ(seen, (std::set<int>{1, 2}));
    seen.clear();
    const Exploration some = explore(program, {.preemptions = preemptions, .retries = 3});
    EXPECT_TRUE(some.complete);
    EXPECT_TRUE(some.limits.empty()) << some.limits;
    EXPECT_EQ(some.executions, 4U);
    EXPECT_EQ(seen, (std::set<int>{1, 2, 3, 4}));
  }
}

// Loops that look and do not yield: at one variable, at two, and with a compare-exchange.
TEST(Explore, LoopsThatOnlyLookWaitForAChange) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {0U}}) {
    std::set<int> seen;
    const Exploration result = explore(
        [&] {
          Atomic<int> a{"a"};
          Atomic<int> b{"b"};
          Atomic<bool> taken{"taken", true};
          int which = 0;
          Threads threads;
          threads.start("one", [&] {
            while (a.load() == 0)
              continue;
          });
          threads.start("two", [&] {
            while (which == 0)
              which = a.load() + 2 * b.load();
          });
          threads.start("lock", [&] {
            bool free = false;
            while (!taken.compare_exchange(free, true))
              free = false;
          });
          threads.start("change", [&] {
            a.store(1);
            b.store(1);
            taken.store(false);
          });
          threads.join();
          seen.insert(which);
        },
        {.preemptions = preemptions});
    EXPECT_TRUE(result.complete);
    EXPECT_FALSE(result.found) << result.found->finding.message;
    EXPECT_TRUE(seen.contains(3));
    EXPECT_EQ(seen.contains(1), !preemptions);
  }
}

// It takes a lock and looks, again and again: without preemptions nobody else would ever come.
TEST(Explore, AFiberThatSpinsWithoutYieldingHasItsTurnEnded) {
  const Exploration result = explore(
      [] {
        Atomic<bool> flag{"flag"};
        Mutex mutex{"mutex"};
        Threads threads;
        threads.start("spin", [&] {
          for (;;) {
            const engine::MutexLock lock{mutex};
            if (flag.load()) return;
          }
        });
        threads.start("set", [&] { flag.store(true); });
        threads.join();
      },
      {.preemptions = 0});
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found) << result.found->finding.message;
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
    retry,    // look for an odd value, yield, look once more, and give up
  } what;
  std::uint32_t object;
};
using Script = std::vector<std::vector<Step>>;
using Kinds = std::vector<Step::What>;

// Whoever waits is waited for by somebody who does nothing but open both gates.
Script random_script(Rng& rng, const Kinds& kinds, std::uint32_t steps_max) {
  Script script(2 + rng.below(2));
  bool waits = false;
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(steps_max);
    for (std::uint32_t i = 0; i < count; ++i) {
      steps.push_back({kinds[rng.below(static_cast<std::uint32_t>(kinds.size()))], rng.below(2)});
      waits |= steps.back().what == Step::What::wait;
    }
  }
  if (waits) script.push_back({{Step::What::notify, 0}, {Step::What::notify, 1}});
  return script;
}

// More than any of these programs has looks, so that whoever gives up may do so.
constexpr std::uint32_t kRetries = 8;

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
    case Step::What::retry:
      for (int looks = 0; looks < 2; ++looks) {
        if (variable.load() % 2 != 0) return;
        engine::yield_now();
      }
      shared.variables[1 - step.object].fetch_add(1);
      return;
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

// Against all schedules, if there are fewer than so many. How many there were, or 0.
std::uint64_t expect_each_class_once(const Script& script, std::uint64_t schedules_max) {
  std::set<std::string> all;
  unit::EverySchedule every;
  unit::Told told_every{every};
  Execution execution;
  std::uint64_t schedules = 0;
  do {
    execution.reset({.strategy = &told_every});
    EXPECT_FALSE(execution.run([&] { run_script(script); }).finding);
    all.insert(told_every.execution());
  } while (every.next() && ++schedules < schedules_max);
  if (schedules == schedules_max) return 0;
  std::multiset<std::string> explored;
  Dpor search{kRetries};
  unit::Told told{search};
  do {
    execution.reset({.strategy = &told});
    EXPECT_FALSE(execution.run([&] { run_script(script); }).finding);
    explored.insert(told.execution());
  } while (search.next() && explored.size() <= all.size());
  EXPECT_EQ(explored, (std::multiset<std::string>{all.begin(), all.end()}));
  EXPECT_NEAR(search.done(), 1, 1e-9);
  EXPECT_EQ(search.stored_events(), 0U);
  return schedules;
}

void expect_each_class_once(const Kinds& kinds, std::uint32_t steps_max, std::uint32_t rounds) {
  Rng rng{7 + kinds.size()};
  std::uint64_t schedules = 0;
  for (std::uint32_t round = 0; round < rounds; round += std::min(unit::sparse(), rounds / 10)) {
    const testing::ScopedTrace where{__FILE__, __LINE__, round};
    schedules += expect_each_class_once(random_script(rng, kinds, steps_max), 3'000);
  }
  EXPECT_GT(schedules, unit::sparse() == 1 ? 5'000U : 0U);
}

const Kinds kReadsAndWrites{Step::What::read, Step::What::write, Step::What::add, Step::What::swap};
const Kinds kLocks{Step::What::read, Step::What::write, Step::What::add,
                   Step::What::swap, Step::What::lock,  Step::What::try_lock};
const Kinds kChoicesAndWaiting{Step::What::read,   Step::What::write, Step::What::add,
                               Step::What::swap,   Step::What::lock,  Step::What::try_lock,
                               Step::What::choose, Step::What::wait};

TEST(Explore, ReadsAndWritesInEveryOrderThatMattersOnce) {
  expect_each_class_once(kReadsAndWrites, 3, 40);
}
TEST(Explore, LocksInEveryOrderThatMattersOnce) {
  expect_each_class_once(kLocks, 2, 40);
}
TEST(Explore, ChoicesAndWaitingInEveryOrderThatMattersOnce) {
  expect_each_class_once(kChoicesAndWaiting, 2, 40);
}
// Few programs: with every yield there are many more schedules.
TEST(Explore, WhoGivesUpInEveryOrderThatMattersOnce) {
  if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  using What = Step::What;
  const Step retry{What::retry, 0};
  const Step write{What::write, 0};
  const std::vector<Script> scripts{
      {{retry}, {write}},
      {{retry}, {{What::read, 1}}},
      {{retry}, {{What::add, 1}, write}},
      {{retry}, {{What::add, 0}, {What::add, 0}}},
      {{retry}, {{What::retry, 1}}},
      {{retry, {What::read, 1}}, {write}},
  };
  for (std::size_t i = 0; i < scripts.size(); ++i)
    EXPECT_NE(expect_each_class_once(scripts[i], 400'000), 0U) << i;
}

}   // namespace
}   // namespace sim
