// What the story of a program's run says of it.
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "sim/strategy_replay.h"
#include "sim/tank.h"
#include "sim/trace_of.h"
#include "traces/story.h"

namespace sim {
namespace {

traces::Trace found_in(const Program& program) {
  const SearchResult result = search(program);
  EXPECT_TRUE(result.found);
  if (!result.found) return {};
  Execution execution;
  static_cast<void>(replay(execution, program, result.found->schedule, {.leaks = false}));
  traces::Trace trace = trace_of(execution);
  trace.world = traces::Trace::kProgram;
  return trace;
}

void expect_told(std::string_view story, std::initializer_list<std::string_view> parts) {
  std::size_t at = 0;
  for (const std::string_view part : parts) {
    const std::size_t found = story.find(part, at);
    EXPECT_NE(found, std::string_view::npos) << "'" << part << "', in this order, in\n" << story;
    if (found != std::string_view::npos) at = found;
  }
}

// A ticket is taken in two steps; then both are served.
void tickets() {
  engine::Atomic<int> next{"next", 0};
  engine::Atomic<int> inside{"inside", 0};
  Threads threads;
  for (const char* const name : {"alice", "bob"}) {
    threads.start(name, [&] {
      const int mine = next.load();
      next.store(mine + 1);
      if (mine == 0) expect(inside.fetch_add(1) == 0, "two are inside");
    });
  }
  threads.join();
}

TEST(Told, WhatIsDoneToAtomics) {
  const std::string story = traces::render_story(found_in(tickets), "");
  expect_told(story, {"Happened", "reads next", "put aside, about to set next", "reads next",
                      "sets next", "changes inside", "sets next", "changes inside",
                      "✗ The program fails its own check"});
}

// Of two exchanges one comes too late; who loses says so.
TEST(Told, AnExchangeThatDoesNotComeAbout) {
  const std::string story = traces::render_story(found_in([] {
                                                   engine::Atomic<int> owner{"owner", 0};
                                                   Threads threads;
                                                   for (const int mine : {1, 2}) {
                                                     threads.start("taker", [&owner, mine] {
                                                       int nobody = 0;
                                                       expect(owner.compare_exchange(nobody, mine),
                                                              "somebody was quicker");
                                                     });
                                                   }
                                                   threads.join();
                                                 }),
                                                 "");
  expect_told(story, {"Happened", "changes owner", "leaves owner as it is"});
}

// A reader that would be the writer without letting go first waits for itself.
TEST(Told, WhoReadsWhatSomebodyWaitsToWrite) {
  const Program program = [] {
    engine::RwLock lock{"cache"};
    Thread thread{"upgrader", [&] {
                    lock.lock_shared();
                    lock.lock();
                  }};
    thread.join();
  };
  expect_told(found_in(program).defect.detail,
              {"upgrader#2 waits to write-lock cache", "held to read by upgrader#2"});
}

constexpr int kWrongAt = __LINE__ + 2;
[[gnu::always_inline]] inline void close_the_till() {
  expect(false, "it does not balance");
}

// Of what is inlined into another each line is its own function's.
TEST(Told, WhereInWhatIsInlined) {
  constexpr int kCalledAt = __LINE__ + 1;
  const Program program = [] { close_the_till(); };
  const traces::Trace trace = found_in(program);
  const std::string place = "tests/unit/library/told_test.cc:";
  expect_told(trace.defect.detail,
              {"at close_the_till (" + place + std::to_string(kWrongAt) + ")"});
  EXPECT_EQ(trace.defect.detail.find("close_the_till (" + place + std::to_string(kCalledAt)),
            std::string::npos)
      << trace.defect.detail;
}

// The engine's own traces have none of these: what its atomics do is not what went wrong.
TEST(Told, OnlyWhereItIsWanted) {
  Execution execution;
  execution.reset({.trace = true});
  execution.run(tickets);
  const auto& events = execution.log().events;
  EXPECT_NE(events.kept(), 0U);
  for (std::size_t i = 0; i < events.kept(); ++i)
    EXPECT_NE(events[i].object_kind, engine::ObjectKind::atomic);
}

void philosophers() {
  engine::Mutex left{"fork"};
  engine::Mutex right{"fork"};
  Threads threads;
  const auto eat = [&](engine::Mutex& first, engine::Mutex& second) {
    threads.start("philosopher", [&] {
      const engine::MutexLock one{first};
      const engine::MutexLock two{second};
    });
  };
  eat(left, right);
  eat(right, left);
  threads.join();
}

TEST(Told, NamesakesByTheirNumbersAsInTheReport) {
  const SearchResult result = search(philosophers, {.lock_order = false});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.message,
            "philosopher#2 waits for fork@3, which philosopher#3 holds; philosopher#3 waits for "
            "fork@2, which philosopher#2 holds");
  Execution execution;
  static_cast<void>(replay(execution, philosophers, result.found->schedule));
  traces::Trace trace = trace_of(execution);
  trace.world = traces::Trace::kProgram;
  const std::string story = traces::render_story(trace, "");
  expect_told(story, {"threads: main, philosopher#2, philosopher#3", "Decided", "is put aside",
                      "about to lock fork@", "Happened", "locks fork@", "about to lock fork@",
                      "must wait for lock fork@"});
  EXPECT_EQ(story.find("philosopher #"), std::string::npos) << story;
  EXPECT_EQ(story.find("lock fork\n"), std::string::npos) << story;
}

// Who finds out looks at something else first: what matters is what was done to the balance while
// somebody was on the way to it.
TEST(Told, WhatOthersDidToWhatSomebodyWasStoppedAt) {
  const std::string story =
      traces::render_story(found_in([] {
                             engine::Atomic<int> balance{"balance", 0};
                             engine::Atomic<int> a{"a", 0};
                             engine::Atomic<int> b{"b", 0};
                             engine::Atomic<int> c{"c", 0};
                             Threads threads;
                             threads.start("alice", [&] { balance.store(balance.load() + 1); });
                             threads.start("bob", [&] { balance.fetch_add(1); });
                             threads.join();
                             int all = 0;
                             for (int i = 0; i < 4; ++i)
                               all += a.load() + b.load() + c.load();
                             expect(all == 0 && balance.peek() == 2, "a payment was lost");
                           }),
                           "");
  expect_told(story, {"Happened", "put aside, about to set balance", "bob", "changes balance",
                      "alice", "sets balance", "reads c", "✗"});
}

TEST(Told, WhereAReplayLeavesItsSchedule) {
  const SearchResult result = search(tickets);
  ASSERT_TRUE(result.found);
  ASSERT_FALSE(result.found->schedule.decisions.empty());
  Execution execution;
  std::optional<Divergence> divergence;
  static_cast<void>(
      replay(execution, tickets, result.found->schedule, {.divergence = &divergence}));
  EXPECT_FALSE(divergence) << divergence->text;
  static_cast<void>(replay(execution, [] {}, result.found->schedule, {.divergence = &divergence}));
  EXPECT_TRUE(divergence);
}

}   // namespace
}   // namespace sim
