// Memory that some schedules leave behind is found, shrunk and replayed; what a program keeps is
// not taken for it.
#include "sim/library/leaks.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sim/library/explore.h"
#include "sim/library/program_heap.h"
#include "sim/tank.h"
#include "tests/unit/library/leaks.h"
#include "tests/unit/library/programs.h"

namespace sim {
namespace {

// Two make what is not there yet, and look before they take the place.
void lazy_table(bool exchange) {
  engine::Atomic<Table*> table{"table", nullptr};
  Threads threads;
  for (const char* const name : {"alice", "bob"}) {
    threads.start(name, [&] {
      if (table.load() != nullptr) return;
      auto* const mine = new Table;
      if (!exchange) {
        table.store(mine);
        return;
      }
      Table* nobodys = nullptr;
      if (!table.compare_exchange(nobodys, mine)) delete mine;
    });
  }
  threads.join();
  delete table.load();
}

TEST_F(Leaks, OneThatARaceLosesIsFoundShrunkAndReplayed) {
  const Program program = [] { lazy_table(false); };
  const SearchResult result = search(program);
  ASSERT_TRUE(result.found);
  const Found& found = *result.found;
  EXPECT_EQ(found.finding.kind, FindingKind::leak);
  EXPECT_EQ(found.finding.message, "24 bytes in 1 block lost, each time this schedule is run");
  EXPECT_EQ(found.preemptions, 1U);
  EXPECT_LE(found.schedule.decisions.size(), 3U);
  Execution execution;
  for (int i = 0; i < 2; ++i) {
    const Outcome& again = replay(execution, program, found.schedule);
    ASSERT_TRUE(again.finding);
    EXPECT_EQ(again.finding->signature(), found.finding.signature());
    EXPECT_EQ(again.finding->message, found.finding.message);
    EXPECT_EQ(again.digest, found.digest);
    // The one whose pointer is lost, and where it took the memory.
    EXPECT_TRUE(again.finding->fiber.starts_with("alice#") ||
                again.finding->fiber.starts_with("bob#"))
        << again.finding->fiber;
    EXPECT_NE(again.finding->detail.find(again.finding->fiber + " takes 24 bytes at step"),
              std::string::npos)
        << again.finding->detail;
    EXPECT_NE(again.finding->detail.find("leaks_test.cc:"), std::string::npos)
        << again.finding->detail;
  }
  // Any other schedule is clean.
  const Outcome& by_the_rule = replay(execution, program, Schedule{});
  EXPECT_FALSE(by_the_rule.finding);
}

TEST_F(Leaks, ExplorationFindsIt) {
  const Exploration result = explore([] { lazy_table(false); });
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
  const Exploration bounded = explore([] { lazy_table(false); }, {.preemptions = 1});
  ASSERT_TRUE(bounded.found);
  EXPECT_EQ(bounded.found->finding.kind, FindingKind::leak);
  EXPECT_TRUE(explore([] { lazy_table(true); }).complete);
  EXPECT_TRUE(explore([] { lazy_table(false); }, {.preemptions = 0}).complete);
}

constexpr int kOrders = 120;   // in which five can come

// What it leaves behind is held, but in one order of five threads: there it is as much, and lost.
void keeps_or_loses(std::unique_ptr<Table>& kept, int loses) {
  std::string order;
  engine::Mutex mutex{"mutex"};
  Threads threads;
  for (const char each : {'a', 'b', 'c', 'd', 'e'}) {
    threads.start("add", [&, each] {
      const engine::MutexLock lock{mutex};
      order += each;
    });
  }
  threads.join();
  int number = 0;
  std::string before = order;
  while (std::ranges::prev_permutation(before).found)
    ++number;
  auto made = std::make_unique<Table>();
  if (number == loses) {
    static_cast<void>(made.release());
  } else {
    kept = std::move(made);
  }
}

TEST_F(Leaks, OneAmongManyExecutionsThatKeepAsMuchIsFound) {
  std::unique_ptr<Table> kept;
  const Exploration none = explore([&] { keeps_or_loses(kept, kOrders); });
  EXPECT_TRUE(none.complete);
  EXPECT_FALSE(none.found);
  EXPECT_EQ(none.executions, std::uint64_t{kOrders});
  for (int loses = 0; loses < kOrders; loses += 17) {
    const Program program = [&] { keeps_or_loses(kept, loses); };
    for (const auto preemptions : {std::optional<std::uint32_t>{}, std::optional{4U}}) {
      const Exploration result = explore(program, {.shrink_tries = 0, .preemptions = preemptions});
      ASSERT_TRUE(result.found) << loses;
      EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
    }
  }
}

// Each execution's is held in a place of its own, of which nothing is known yet.
TEST_F(Leaks, OneAmongManyExecutionsThatKeepElsewhereIsFound) {
  std::vector<std::unique_ptr<Table>> kept(1'000);
  for (int loses = 0; loses < kOrders; loses += 17) {
    std::size_t runs = 0;
    const Exploration result =
        explore([&] { keeps_or_loses(kept.at(runs++), loses); }, {.shrink_tries = 0});
    ASSERT_TRUE(result.found) << loses;
    EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
  }
}

TEST_F(Leaks, NobodyLooksWhereItIsNotWanted) {
  const Program program = [] { lazy_table(false); };
  EXPECT_FALSE(search(program, {.schedules = 200, .leaks = false}).found);
  EXPECT_TRUE(explore(program, {.leaks = false}).complete);
}

TEST_F(Leaks, WhatEveryScheduleLosesIsFoundAtOnce) {
  const SearchResult result = search([] {
    Variable<int*> kept{"kept", nullptr};
    Thread thread{"maker", [&] { kept.set(new int{1}); }};
    thread.join();
  });
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
  EXPECT_EQ(result.found->ordinal, 1U);
  EXPECT_TRUE(result.found->schedule.decisions.empty());
}

// --- no false alarms ---

void expect_nothing(const Program& program) {
  for (const char* const strategy : {"portfolio", "random", "guided"}) {
    const SearchResult result = search(program, {.schedules = 300, .strategy = strategy});
    EXPECT_FALSE(result.found) << strategy << ": " << result.found->finding.message << "\n"
                               << result.found->finding.detail;
  }
  EXPECT_FALSE(explore(program).found);
}

TEST_F(Leaks, WhatIsFreedIsClean) {
  expect_nothing([] {
    Variable<std::shared_ptr<std::string>> shared{"shared"};
    Threads threads;
    for (int i = 0; i < 3; ++i) {
      threads.start("add", [&, i] {
        shared.set(std::make_shared<std::string>(100, 'a'));
        std::map<int, std::string> mine{{i, std::string(50, 'b')}};
      });
    }
    threads.join();
  });
  expect_nothing([] {   // new in all its forms
    struct alignas(256) Wide {
      std::array<char, 300> bytes{};
    };
    const auto wide = std::make_unique<Wide>();
    const auto wides = std::make_unique<Wide[]>(3);   // NOLINT(modernize-avoid-c-arrays)
    for (const void* const place : {static_cast<void*>(wide.get()), static_cast<void*>(&wides[1])})
      expect(reinterpret_cast<std::uintptr_t>(place) % 256 == 0, "out of line");
    const std::unique_ptr<char> may_fail{new (std::nothrow) char};
    const auto none = std::make_unique<int[]>(0);   // NOLINT(modernize-avoid-c-arrays)
    Thread thread{"large", [] { const std::vector<int> large(100'000, 1); }};
    thread.join();
  });
  expect_nothing([] { programs::lockinc(3); });
  expect_nothing([] { programs::readers_writers(1, 2); });
}

TEST_F(Leaks, WhatIsMadeOnceIsKept) {
  expect_nothing([] {
    static const auto table = std::make_unique<Table>();
    thread_local std::vector<int> scratch(100);
    Threads threads;
    threads.start("look", [] { expect(table->rows[0] == 0, "a row"); });
    threads.start("use", [] { scratch[0] = 1; });
    threads.join();
  });
}

// It is run four times in all, if it has lost something the first time.
TEST_F(Leaks, WhatIsLostNowAndThenIsNone) {
  int runs = 0;
  expect_nothing([&] {
    [[maybe_unused]] int* volatile kept = runs++ < 3 ? new int{1} : nullptr;
    kept = nullptr;
  });
}

// A cache by what was seen, which differs between schedules; a pool that grows when two are in use.
TEST_F(Leaks, CachesAndPoolsArePatientlyFilled) {
  std::map<int, std::string> seen;
  std::vector<std::unique_ptr<Table>> pool;
  std::vector<int> order;
  expect_nothing([&] {
    Variable<int> x{"x", 0};
    Threads threads;
    for (int i = 1; i <= 4; ++i) {
      threads.start("user", [&, i] {
        std::unique_ptr<Table> mine;
        if (pool.empty()) {
          mine = std::make_unique<Table>();
        } else {
          mine = std::move(pool.back());
          pool.pop_back();
        }
        x.set(x.get() * 5 + i);
        pool.push_back(std::move(mine));
      });
    }
    threads.join();
    seen.emplace(x.peek(), std::string(40, 'x'));
    order.push_back(x.peek());
  });
  EXPECT_GT(seen.size(), 10U);
  EXPECT_GT(pool.size(), 1U);
  EXPECT_GT(order.size(), 300U);
}

// --- several searches at a time ---

TEST_F(Leaks, OneSearchInTheMidstOfAnotherSeesThemToo) {
  std::optional<SearchResult> inner;
  const SearchResult outer = search(
      [&] {
        if (!inner) {
          std::thread other{[&] { inner = search([] { lazy_table(false); }); }};
          other.join();
        }
        lazy_table(false);
      },
      {.shrink_tries = 0});
  for (const SearchResult* const result :
       std::initializer_list<const SearchResult*>{&*inner, &outer}) {
    ASSERT_TRUE(result->found);
    EXPECT_EQ(result->found->finding.kind, FindingKind::leak);
    EXPECT_EQ(result->not_looked_for, "");
  }
}

// Taken by another search, what a program keeps points to what it takes in this one.
TEST_F(Leaks, WhatAnotherHeapPointsToIsKept) {
  std::unique_ptr<std::unique_ptr<Table>> holder;
  const Program program = [&holder] {
    if (holder == nullptr) holder = std::make_unique<std::unique_ptr<Table>>();
    *holder = std::make_unique<Table>();
  };
  EXPECT_FALSE(search(program, {.schedules = 3}).found);
  ProgramHeap* const first = ProgramHeap::acquire();
  const SearchResult result = search(program, {.schedules = 30});
  first->let_go();
  EXPECT_FALSE(result.found);
  EXPECT_EQ(result.not_looked_for, "");
}

TEST_F(Leaks, SearchesAtTheSameTimeSeeTheirOwn) {
  std::array<std::optional<SearchResult>, 2> results;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      const bool exchange = i % 2 == 0;
      results[i] =
          search([exchange] { lazy_table(exchange); }, {.schedules = 200, .shrink_tries = 0});
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(results[i]->found.has_value(), i % 2 == 1) << i;
}

// The caller's counts grow with each execution; the program is run once for each.
TEST_F(Leaks, WhoCountsExecutionsCountsRight) {
  std::multiset<std::string> orders;
  const Exploration result = explore([&] {
    Variable<int> x{"x", 0};
    Threads threads;
    for (int i = 1; i <= 3; ++i)
      threads.start("add", [&, i] { x.set(x.get() * 4 + i); });
    threads.join();
    orders.insert(std::string(50, 'o') + std::to_string(x.peek()));
  });
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found);
  EXPECT_EQ(orders.size(), result.executions);
}

// Blocks of which nothing is left but each other, and what was freed pointed to.
TEST_F(Leaks, OneThatFreedMemoryStillPointsToIsFound) {
  struct Node {
    std::array<std::unique_ptr<int>, 4> rest;
    Node* other = nullptr;
  };
  const SearchResult result = search([] {
    Variable<bool> second{"second", false};
    Threads threads;
    threads.start("make", [&] {
      auto list = std::make_unique<Node>();
      list->other = new Node;
      list->other->other = new Node;
      list->other->other->other = list->other;
      if (second.get()) return;   // forgets the others
      delete list->other->other;
      delete list->other;
    });
    threads.start("set", [&] { second.set(true); });
    threads.join();
  });
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::leak);
  EXPECT_EQ(result.found->finding.message,
            "80 bytes in 2 blocks lost, each time this schedule is run");
}

TEST_F(Leaks, ASearchThatCannotSeeThemSaysSo) {
  std::vector<ProgramHeap*> taken;
  while (ProgramHeap* const heap = ProgramHeap::acquire())
    taken.push_back(heap);
  EXPECT_EQ(taken.size(), ProgramHeap::kHeapsMax);
  const Program program = [] { lazy_table(false); };
  const SearchResult blind = search(program, {.schedules = 200});
  EXPECT_FALSE(blind.found);
  EXPECT_TRUE(blind.not_looked_for.starts_with("leaks, ")) << blind.not_looked_for;
  EXPECT_EQ(explore(program).not_looked_for, blind.not_looked_for);
  EXPECT_EQ(explore(program, {.preemptions = 1}).not_looked_for, blind.not_looked_for);
  EXPECT_EQ(search(program, {.schedules = 1, .leaks = false}).not_looked_for, "");
  for (ProgramHeap* const heap : taken)
    heap->let_go();
  const SearchResult result = search(program, {.schedules = 200, .shrink_tries = 0});
  EXPECT_TRUE(result.found);
  EXPECT_EQ(result.not_looked_for, "");
}

}   // namespace
}   // namespace sim
