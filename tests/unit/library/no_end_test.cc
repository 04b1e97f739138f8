// Programs that never end, or die: each is a finding that says how, in bounded time.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "sim/finding_folder.h"
#include "sim/strategies.h"
#include "sim/tank.h"
#include "sim/trace_of.h"
#include "tests/unit/library/sanitized.h"

namespace sim {
namespace {

namespace fs = std::filesystem;

// Each takes its fork, and when it cannot have the other's puts it back and takes a `pause`.
void polite_philosophers(const std::function<void()>& pause) {
  engine::Mutex left{"left"};
  engine::Mutex right{"right"};
  Threads threads;
  const auto eat = [&pause](engine::Mutex& mine, engine::Mutex& other) {
    for (;;) {
      mine.lock();
      if (other.try_lock()) break;
      mine.unlock();
      pause();
    }
    other.unlock();
    mine.unlock();
  };
  threads.start("plato", [&] { eat(left, right); });
  threads.start("kant", [&] { eat(right, left); });
  threads.join();
}
void hasty_philosophers() {
  polite_philosophers([] {});
}
// In step with each other they never get both, though each try may be the one.
void considerate_philosophers() {
  polite_philosophers([] { engine::yield_now(); });
}

// Whoever has its turn, nobody goes first.
void after_you() {
  engine::Atomic<int> plato{"plato"};
  engine::Atomic<int> kant{"kant"};
  Threads threads;
  const auto go = [](engine::Atomic<int>& mine, engine::Atomic<int>& other) {
    while (other.load() == 0)
      engine::yield_now();
    mine.store(1);
  };
  threads.start("plato", [&] { go(plato, kant); });
  threads.start("kant", [&] { go(kant, plato); });
  threads.join();
}

void nobody_sets_it() {
  engine::Atomic<int> flag{"flag"};
  Threads threads;
  threads.start("waiter", [&] {
    while (flag.load() == 0) {
    }
  });
  threads.join();
}

void nobody_frees_it() {
  engine::Atomic<int> taken{"taken"};
  Threads threads;
  for (const char* name : {"first", "second"}) {
    threads.start(name, [&] {
      while (taken.exchange(1) != 0) {
      }
    });
  }
  threads.join();
}

// Polls under the lock that the setter needs, and gives it up only for a moment.
void polling_under_a_lock() {
  engine::Mutex mutex{"mutex"};
  Variable<bool> set{"set", false};
  Threads threads;
  threads.start("poller", [&] {
    for (;;) {
      const engine::MutexLock lock{mutex};
      if (set.get()) break;
    }
  });
  threads.start("setter", [&] {
    const engine::MutexLock lock{mutex};
    set.set(true);
  });
  threads.join();
}

void never_given_back() {
  engine::Mutex mutex{"mutex"};
  engine::Atomic<int> turns{"turns"};
  Threads threads;
  threads.start("hog", [&] {
    mutex.lock();
    for (;;)
      turns.fetch_add(1);
  });
  threads.start("meek", [&] { const engine::MutexLock lock{mutex}; });
  threads.join();
}

void woken_too_early() {
  engine::Mutex mutex{"mutex"};
  engine::Condition ready{"ready"};
  Threads threads;
  threads.start("waiter", [&] {
    const engine::MutexLock lock{mutex};
    ready.wait(mutex);
  });
  threads.start("waker", [&] {
    const engine::MutexLock lock{mutex};
    ready.notify_one();
  });
  threads.join();
}

void null_for_a_moment() {
  static int target = 0;
  engine::Atomic<int*> pointer{"pointer", &target};
  Threads threads;
  threads.start("writer", [&] {
    pointer.store(nullptr);
    pointer.store(&target);
  });
  threads.start("reader", [&] { *static_cast<volatile int*>(pointer.load()) = 1; });
  threads.join();
}

void thrown() {
  Threads threads;
  threads.start("thrower", [] { throw std::runtime_error{"the last straw"}; });
  threads.join();
}

int depth(int levels) {
  volatile char frame[1024];   // the compiler must not see through it
  frame[0] = 1;
  return levels == 0 ? 0 : depth(levels - 1) + frame[0];
}

void deep(int kib) {
  Threads threads;
  threads.start("deep", [kib] { expect(depth(kib) == kib, "wrong depth"); });
  threads.join();
}

constexpr std::uint64_t kPoints = 100'000;

SearchResult search_briefly(const Program& program) {
  return search(program, {.schedules = 1'000, .points_max = kPoints, .shrink_seconds = 0.5});
}

TEST(NoEnd, OfASearchIsALivelock) {
  const SearchResult result = search_briefly(hasty_philosophers);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::endless);
  EXPECT_NE(result.found->finding.message.find("livelock: kant, plato go on"), std::string::npos)
      << result.found->finding.message;
}

TEST(NoEnd, OfASearchIsNoneWhereFairTurnsEndIt) {
  for (const StrategyName& strategy : strategy_names()) {
    const SearchResult result =
        search(considerate_philosophers,
               {.schedules = 300, .strategy = std::string{strategy.name}, .points_max = kPoints});
    EXPECT_FALSE(result.found) << strategy.name << ": " << result.found->finding.message;
    EXPECT_EQ(result.schedules, 300U) << strategy.name;
  }
  // There is such a schedule, and it is the first one.
  const SearchResult unfair = search(considerate_philosophers,
                                     {.points_max = kPoints, .fair_end = false, .shrink_tries = 0});
  ASSERT_TRUE(unfair.found);
  EXPECT_EQ(unfair.found->finding.kind, FindingKind::endless);
  EXPECT_EQ(unfair.schedules, 1U);
}

TEST(NoEnd, OfASearchIsALivelockWhereFairTurnsDoNot) {
  const SearchResult result = search_briefly(after_you);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.message,
            "no end after 200000 scheduling points; livelock: kant, plato go on, and none gets "
            "anywhere");
  // It ends where it did without asking for fair turns once more.
  Execution execution;
  const Outcome& again = replay(execution, after_you, result.found->schedule,
                                {.points_max = result.found->finding.point, .fair_end = false});
  ASSERT_TRUE(again.finding);
  EXPECT_EQ(again.digest, result.found->digest);
  EXPECT_EQ(again.points, 2 * kPoints);
}

// Decisions without end, and none that can go: what goes round is kept once.
TEST(NoEnd, OfASearchTakesLittleRoomAndReplays) {
  const SearchResult result =
      search(hasty_philosophers, {.points_max = 300'000, .shrink_seconds = 0.5});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::endless);
  ASSERT_GT(result.found->schedule.decisions.size(), 100'000U);
  Execution execution;
  const ReplayOptions options{.points_max = result.found->finding.point, .fair_end = false};
  static_cast<void>(replay(execution, hasty_philosophers, result.found->schedule, options));
  const fs::path folder = fs::path{testing::TempDir()} / "wavetank-livelock";
  ASSERT_TRUE(write_finding(folder, trace_of(execution), "replay"));
  std::uintmax_t bytes = 0;
  for (const fs::directory_entry& file : fs::directory_iterator{folder})
    bytes += file.file_size();
  EXPECT_LT(bytes, 600'000U);
  const auto trace = load_trace(folder);
  fs::remove_all(folder);
  ASSERT_TRUE(trace) << trace.error();
  const auto schedule = Schedule::from_text(trace->schedule);
  ASSERT_TRUE(schedule);
  EXPECT_EQ(schedule->decisions, result.found->schedule.decisions);
  std::optional<Divergence> divergence;
  ReplayOptions from_file = options;
  from_file.divergence = &divergence;
  const Outcome& again = replay(execution, hasty_philosophers, *schedule, from_file);
  EXPECT_FALSE(divergence);
  EXPECT_EQ(again.digest, result.found->digest);
}

TEST(NoEnd, OfASearchIsStarvation) {
  const SearchResult result = search_briefly(never_given_back);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::endless);
  const std::string& message = result.found->finding.message;
  const bool goes_on = message.find("hog goes on by itself") != std::string::npos;
  const bool starves =
      message.find("starved: meek, for mutex, while hog goes on") != std::string::npos;
  EXPECT_TRUE(goes_on || starves) << message;
}

TEST(NoEnd, OfWaitingIsALostWakeUp) {
  const SearchResult result = search_briefly(woken_too_early);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::deadlock);
  EXPECT_EQ(result.found->finding.message.find("lost wake-up: "), 0U)
      << result.found->finding.message;
}

TEST(NoEnd, OfAnExplorationIsFoundWhereEverybodySpins) {
  for (const Program& program : {Program{nobody_sets_it}, Program{nobody_frees_it}}) {
    for (const std::optional<std::uint32_t> bound : {std::optional<std::uint32_t>{}, {1}}) {
      const Exploration result =
          explore(program,
                  {.points_max = 20'000, .shrink_seconds = 0.5, .probes = 5, .preemptions = bound});
      ASSERT_TRUE(result.found);
      EXPECT_EQ(result.found->finding.kind, FindingKind::endless);
    }
  }
}

TEST(NoEnd, OfAnExplorationIsNoneWhereOthersOnlyNeedATurn) {
  const Exploration result = explore(polling_under_a_lock, {.seconds_max = 1});
  EXPECT_FALSE(result.found) << result.found->finding.message;
  EXPECT_GT(result.executions + result.cut_short, 0U);
}

// Three writers with eight writes each: 10^10 orders.
TEST(NoEnd, OfAnExplorationComesWithItsTime) {
  const auto program = [] {
    Variable<int> value{"value"};
    Threads threads;
    for (const char* name : {"a", "b", "c"}) {
      threads.start(name, [&] {
        for (int i = 0; i < 8; ++i)
          value.set(i);
      });
    }
    threads.join();
  };
  for (const std::optional<std::uint32_t> bound : {std::optional<std::uint32_t>{}, {10}}) {
    const Exploration result =
        explore(program, {.executions_max = ~0ULL, .seconds_max = 0.2, .preemptions = bound});
    EXPECT_FALSE(result.found);
    EXPECT_FALSE(result.complete);
    EXPECT_GT(result.executions + result.cut_short, 0U);
  }
}

TEST(NoEnd, OfASearchComesWithItsTime) {
  const SearchResult result =
      search(polling_under_a_lock, {.schedules = ~0ULL, .seconds_max = 0.2});
  EXPECT_FALSE(result.found) << "fair schedules let the setter in: "
                             << result.found->finding.message;
  EXPECT_GT(result.schedules, 0U);
}

TEST(Crash, IsAFindingThatReplays) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer tells more";
  const SearchResult result = search_briefly(null_for_a_moment);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.signature(), "crash Segmentation fault in reader");
  Execution execution;
  for (int i = 0; i < 2; ++i) {
    const Outcome& again = replay(execution, null_for_a_moment, result.found->schedule);
    ASSERT_TRUE(again.finding);
    EXPECT_EQ(again.finding->signature(), result.found->finding.signature());
    EXPECT_EQ(again.digest, execution.outcome().digest);
  }
  EXPECT_TRUE(explore(null_for_a_moment).found);
}

TEST(Crash, OfAnExceptionSaysWhich) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer tells more";
  const SearchResult result = search_briefly(thrown);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.signature(), "crash uncaught exception in thrower");
  EXPECT_NE(result.found->finding.detail.find("the last straw"), std::string::npos);
}

TEST(Crash, OfAStackSaysSoAndALargerOneDoes) {
  if (kSanitized) GTEST_SKIP() << "stacks are others there";
  const auto search_with = [](std::size_t stack_bytes) {
    return search([] { deep(500); }, {.schedules = 1, .stack_bytes = stack_bytes});
  };
  const SearchResult small = search_with(std::size_t{128} * 1024);
  ASSERT_TRUE(small.found);
  EXPECT_EQ(small.found->finding.signature(), "crash stack overflow in deep");
  EXPECT_FALSE(search_with(std::size_t{4} * 1024 * 1024).found);
}

TEST(Crash, OutsideOfFibersIsAsBefore) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer tells more";
  EXPECT_DEATH(
      {
        static_cast<void>(search_briefly([] {}));
        std::abort();
      },
      "");
  const auto dies_in_between = [] {
    static_cast<void>(search([] {}, {.schedules = 1}));
    throw std::runtime_error{"nobody's"};
  };
  EXPECT_THROW(dies_in_between(), std::runtime_error);
}

}   // namespace
}   // namespace sim
