// The searches find the bugs of the known programs, shrink them, and replay them.
#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "engine/fiber/rw_lock.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/library/programs_further.h"
#include "tests/unit/library/two_locks.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

struct Known {
  const char* name;
  Program program;
  FindingKind kind = FindingKind::assertion;
};

std::vector<Known> known_programs() {
  return {{"account", programs::account},
          {"deadlock01", programs::deadlock01, FindingKind::deadlock},
          {"lazy01", programs::lazy01},
          {"reorder_3", [] { programs::reorder(3); }},
          {"stack", programs::stack},
          {"token_ring", programs::token_ring},
          {"twostage", [] { programs::twostage(1, 1); }}};
}

TEST(Search, FindsShrinksAndReplaysWhatIsKnown) {
  for (const Known& known : known_programs()) {
    const SearchResult result = search(known.program);
    ASSERT_TRUE(result.found) << known.name;
    // Locks in opposite orders are a finding also where nobody had to wait.
    const bool order = known.kind == FindingKind::deadlock &&
                       result.found->finding.kind == FindingKind::lock_order;
    EXPECT_EQ(result.found->finding.kind, order ? FindingKind::lock_order : known.kind)
        << known.name;
    EXPECT_LE(result.found->preemptions, 2U) << known.name;
    Execution execution;
    for (int i = 0; i < 2; ++i) {
      const Outcome& again = replay(execution, known.program, result.found->schedule);
      ASSERT_TRUE(again.finding) << known.name;
      EXPECT_EQ(again.finding->signature(), result.found->finding.signature()) << known.name;
    }
  }
}

// Five preemptions, each at one place: a random walk does not come there in a million schedules.
TEST(Search, SafeStackFallsToPos) {
  if (unit::sparse() > 1) GTEST_SKIP() << "a hundred thousand schedules";
  const SearchResult result =
      search(programs::safe_stack, {.schedules = 200'000, .strategy = "pos", .lock_order = false});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::assertion);
  EXPECT_GE(result.found->preemptions, 4U);
}

TEST(Search, ExplorationFindsThemToo) {
  for (const Known& known : known_programs()) {
    const Exploration result = explore(known.program);
    ASSERT_TRUE(result.found) << known.name;
    const bool locks = known.kind == FindingKind::lock_order;   // here they do deadlock
    EXPECT_EQ(result.found->finding.kind, locks ? FindingKind::deadlock : known.kind) << known.name;
  }
}

// Schedules to the first finding, mean over searches from different seeds.
double mean_ordinal(const Program& program, const std::string& strategy, std::uint64_t searches) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < searches; ++i) {
    const SearchResult result = search(
        program,
        {.seed = 1 + i * 1'000'000, .strategy = strategy, .lock_order = false, .shrink_tries = 0});
    EXPECT_TRUE(result.found) << strategy;
    sum += result.schedules;
  }
  return static_cast<double>(sum) / static_cast<double>(searches);
}

// The published bar for guided search; a random walk takes a thousand schedules for the last one.
TEST(Search, GuidedStaysFlatOverAllSizesOfReorder) {
  if (unit::sparse() > 1) GTEST_SKIP() << "a mean over few means nothing";
  for (const int threads : {3, 4, 5, 10, 20, 50}) {
    EXPECT_LT(mean_ordinal([&] { programs::reorder(threads); }, "guided", 80), 6.0) << threads;
  }
}

// Whatever a program is like, what the portfolio loses to its best strategy is bounded.
TEST(Search, ThePortfolioIsNearItsBest) {
  if (unit::sparse() > 1) GTEST_SKIP() << "a mean over few means nothing";
  for (const Known& known : known_programs())
    EXPECT_LT(mean_ordinal(known.program, "portfolio", 20), 12.0) << known.name;
  EXPECT_LT(mean_ordinal([] { programs::reorder(20); }, "portfolio", 10), 30.0);
}

// --- the order of locks, without a deadlock having to happen ---

FindingKind kind_found(const Program& program, bool lock_order = true) {
  // Not one that begins with a schedule in which all who can deadlock do.
  const SearchResult result =
      search(program, {.schedules = 300, .strategy = "pos", .lock_order = lock_order});
  return result.found ? result.found->finding.kind : FindingKind::crash;
}

TEST(LockOrder, OppositeOrdersAreFoundBeforeTheyDeadlock) {
  EXPECT_EQ(kind_found(programs::deadlock01, false), FindingKind::deadlock);
  // A schedule under which the two do not meet.
  SearchResult result;
  for (std::uint64_t seed = 1; seed < 100 && !result.found; ++seed) {
    result = search(programs::deadlock01, {.seed = seed, .schedules = 1, .strategy = "random"});
    if (result.found && result.found->finding.kind == FindingKind::deadlock) result.found.reset();
  }
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::lock_order);
  EXPECT_EQ(result.found->preemptions, 0U);
  EXPECT_EQ(result.found->finding.place, "a, b");
  EXPECT_NE(result.found->finding.detail.find("second holds b"), std::string::npos)
      << result.found->finding.detail;
}

// Three locks in a ring.
TEST(LockOrder, LongerCycles) {
  const auto ring = [](int threads_in_all) {
    engine::Mutex a{"a"};
    engine::Mutex b{"b"};
    engine::Mutex c{"c"};
    const std::array<std::pair<engine::Mutex*, engine::Mutex*>, 3> pairs{
        {{&a, &b}, {&b, &c}, {&c, &a}}};
    Threads threads;
    for (int i = 0; i < threads_in_all; ++i) {
      threads.start("pair", [&, i] {
        const engine::MutexLock one{*pairs[static_cast<std::size_t>(i)].first};
        const engine::MutexLock two{*pairs[static_cast<std::size_t>(i)].second};
      });
    }
    threads.join();
  };
  EXPECT_EQ(kind_found([&] { ring(3); }), FindingKind::lock_order);
  EXPECT_EQ(kind_found([&] { ring(2); }), FindingKind::crash);   // nothing
}

// Who only tries does not wait, but may be waited for.
TEST(LockOrder, ATryIsHeldAndWaitsForNobody) {
  const auto two = [](auto&& one, auto&& other) {
    engine::Mutex a{"a"};
    engine::Mutex b{"b"};
    engine::RwLock r{"r"};
    Threads threads;
    threads.start("one", [&] { one(a, b, r); });
    threads.start("other", [&] { other(a, b, r); });
    threads.join();
  };
  const auto backs_off = [](engine::Mutex& first, engine::Mutex& second) {
    const engine::MutexLock lock{first};
    if (second.try_lock()) second.unlock();
  };
  const auto tries_first = [](engine::Mutex& first, engine::Mutex& second) {
    if (!first.try_lock()) return;
    {
      const engine::MutexLock lock{second};
    }
    first.unlock();
  };
  const auto nothing = FindingKind::crash;
  EXPECT_EQ(kind_found([&] {
              two([&](auto& a, auto& b, auto&) { backs_off(a, b); },
                  [&](auto& a, auto& b, auto&) { backs_off(b, a); });
            }),
            nothing);
  EXPECT_NE(kind_found([&] {
              two([&](auto& a, auto& b, auto&) { tries_first(a, b); },
                  [&](auto& a, auto& b, auto&) { tries_first(b, a); });
            }),
            nothing);
  EXPECT_EQ(kind_found([&] {
              two(
                  [](auto& a, auto&, auto& r) {
                    const engine::MutexLock lock{a};
                    if (r.try_lock_shared()) r.unlock_shared();
                  },
                  [](auto& a, auto&, auto& r) {
                    const engine::WriteLock write{r};
                    const engine::MutexLock lock{a};
                  });
            }),
            nothing);
  EXPECT_NE(kind_found([&] {
              two(
                  [](auto& a, auto&, auto& r) {
                    if (!r.try_lock_shared()) return;
                    {
                      const engine::MutexLock lock{a};
                    }
                    r.unlock_shared();
                  },
                  [](auto& a, auto&, auto& r) {
                    const engine::MutexLock lock{a};
                    const engine::WriteLock write{r};
                  });
            }),
            nothing);
}

TEST(LockOrder, WhatCannotMeetIsNotReported) {
  // One further lock around both.
  EXPECT_EQ(kind_found([] {
              engine::Mutex gate{"gate"};
              engine::Mutex a{"a"};
              engine::Mutex b{"b"};
              Threads threads;
              for (const bool swap : {false, true}) {
                threads.start("both", [&, swap] {
                  const engine::MutexLock around{gate};
                  const engine::MutexLock one{swap ? b : a};
                  const engine::MutexLock two{swap ? a : b};
                });
              }
              threads.join();
            }),
            FindingKind::crash);
  // One thread alone.
  EXPECT_EQ(kind_found([] {
              engine::Mutex a{"a"};
              engine::Mutex b{"b"};
              for (const bool swap : {false, true}) {
                const engine::MutexLock one{swap ? b : a};
                const engine::MutexLock two{swap ? a : b};
              }
            }),
            FindingKind::crash);
}

// --- what starting and joining say of it ---

constexpr FindingKind kNothingFound = FindingKind::crash;   // of kind_found()

TEST(LockOrder, WhoeverWasJoinedBeforeMeetsNobody) {
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              for (const bool swap : {false, true}) {
                Thread thread{"one at a time", [&, swap] { locks.take(swap); }};
                thread.join();
              }
            }),
            kNothingFound);
  // The maker, before it starts the thread and after it has joined it.
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              locks.take(false);
              Thread thread{"other", [&] { locks.take(true); }};
              thread.join();
              locks.take(false);
            }),
            kNothingFound);
  // Joined by one that is joined before the next is started.
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              Thread outer{"outer", [&] {
                             Threads inner;
                             inner.start("inner", [&] { locks.take(false); });
                             inner.join();
                           }};
              outer.join();
              Thread later{"later", [&] {
                             Thread inner{"inner", [&] { locks.take(true); }};
                             inner.join();
                           }};
              later.join();
            }),
            kNothingFound);
}

TEST(LockOrder, WhoeverIsNotJoinedMayMeet) {
  // The maker while the thread runs, whoever comes first.
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              Thread thread{"other", [&] { locks.take(true); }};
              locks.take(false);
              thread.join();
            }),
            FindingKind::lock_order);
  // A thread that goes on beside one that was joined and one that was started since.
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              Thread beside{"beside", [&] { locks.take(false); }};
              for (int i = 0; i < 2; ++i) {
                Thread other{"other", [&, i] {
                               if (i == 1) locks.take(true);
                             }};
                other.join();
              }
              beside.join();
            }),
            FindingKind::lock_order);
  // Who has joined another has not joined all.
  EXPECT_EQ(kind_found([] {
              TwoLocks locks;
              Thread first{"first", [&] { locks.take(false); }};
              Thread second{"second", [] {}};
              second.join();
              Thread third{"third", [&] { locks.take(true); }};
              first.join();
              third.join();
            }),
            FindingKind::lock_order);
}

// One after the other in the schedule at hand, which a lock or a flag made so.
TEST(LockOrder, TheScheduleAtHandSaysNothing) {
  const auto program = [] {
    TwoLocks locks;
    Threads threads;
    for (const bool swap : {false, true})
      threads.start("beside", [&, swap] { locks.take(swap); });
    threads.join();
  };
  Schedule by_the_rule;
  Execution execution;
  const Outcome& outcome = replay(execution, program, by_the_rule);
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->kind, FindingKind::lock_order);
  EXPECT_EQ(outcome.preemptions, 0U);
}

// What is over makes room for what may still meet.
TEST(LockOrder, ManyJoinedOnesHideNothing) {
  const auto rounds = [](bool meet) {
    TwoLocks locks;
    for (int i = 0; i < 10; ++i) {
      Thread alone{"alone", [&] { locks.take(false); }};
      alone.join();
      locks.take(false);
    }
    Threads threads;
    threads.start("one", [&] { locks.take(false); });
    if (!meet) threads.join();
    threads.start("other", [&] { locks.take(true); });
    threads.join();
  };
  EXPECT_EQ(kind_found([&] { rounds(true); }), FindingKind::lock_order);
  EXPECT_EQ(kind_found([&] { rounds(false); }), kNothingFound);
}

TEST(Search, SaysWhenAProgramIsNotDeterministic) {
  int runs = 0;
  const SearchResult result = search(
      [&] {
        Variable<int> x{"x"};
        for (int i = 0; i < runs; ++i)
          x.set(i);
        ++runs;
      },
      {.strategy = "random"});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.place, "determinism");
}

}   // namespace
}   // namespace sim
