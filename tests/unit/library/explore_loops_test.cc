// Exhaustive exploration of programs whose loops wait, retry, spin, or give up.
#include <functional>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "engine/fiber/spin_lock.h"
#include "tests/unit/library/programs.h"

namespace sim {
namespace {

using engine::Atomic;
using engine::Mutex;

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

struct Shared {
  Atomic<int> a{"a"};
  Atomic<int> b{"b"};
  Atomic<bool> taken{"taken", true};
};

// One waits for what another changes.
Exploration explore_waiting(const std::function<void(Shared&)>& wait,
                            std::optional<std::uint32_t> preemptions) {
  return explore(
      [&] {
        Shared shared;
        Threads threads;
        threads.start("wait", [&] { wait(shared); });
        threads.start("change", [&] {
          shared.a.store(1);
          shared.b.store(1);
          shared.taken.store(false);
        });
        threads.join();
      },
      {.preemptions = preemptions});
}

// Loops that look and do not yield: at one variable, with a compare-exchange, and at two.
TEST(Explore, LoopsThatOnlyLookWaitForAChange) {
  for (const std::optional<std::uint32_t> preemptions : {std::optional<std::uint32_t>{}, {0U}}) {
    const auto clean = [&](const std::function<void(Shared&)>& wait) {
      const Exploration result = explore_waiting(wait, preemptions);
      EXPECT_TRUE(result.complete);
      EXPECT_FALSE(result.found) << result.found->finding.message;
      EXPECT_FALSE(result.limits.empty());
    };
    clean([](Shared& shared) {
      while (shared.a.load() == 0)
        continue;
    });
    clean([](Shared& shared) {
      bool free = false;
      while (!shared.taken.compare_exchange(free, true))
        free = false;
    });
    std::set<int> seen;
    clean([&](Shared& shared) {
      int which = 0;
      while (which == 0)
        which = shared.a.load() + 2 * shared.b.load();
      seen.insert(which);
    });
    EXPECT_EQ(seen, preemptions ? (std::set<int>{3}) : (std::set<int>{1, 2, 3}));
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

TEST(Explore, LoopsThatWaitEnd) {
  const Exploration result = explore(programs::peterson_waiting);
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_LT(result.executions, 30U);
}

}   // namespace
}   // namespace sim
