// What a deadlock is told as: who waits for whom, in the finding's one line, its graph, and all
// that is made of them.
#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/tank.h"
#include "sim/trace_of.h"
#include "traces/chrome_json.h"
#include "traces/circle.h"
#include "traces/story.h"
#include "traces/svg.h"

namespace sim {
namespace {

struct ToldDeadlock {
  Finding finding;       // as the search tells it
  traces::Trace trace;   // of its replay
};

ToldDeadlock deadlock_of(const Program& program) {
  const SearchResult result = search(program, {.lock_order = false});
  EXPECT_TRUE(result.found);
  if (!result.found) return {};
  EXPECT_EQ(result.found->finding.kind, FindingKind::deadlock);
  Execution execution;
  static_cast<void>(
      replay(execution, program, result.found->schedule, {.lock_order = false, .leaks = false}));
  ToldDeadlock deadlock{result.found->finding, trace_of(execution)};
  deadlock.trace.world = traces::Trace::kProgram;
  EXPECT_EQ(deadlock.trace.defect.message, deadlock.finding.message);
  EXPECT_EQ(deadlock.trace.defect.place, deadlock.finding.place);
  return deadlock;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// An edge between those, and that it says why.
void expect_edge(const ToldDeadlock& deadlock, std::string_view from, std::string_view to,
                 std::string_view why) {
  const auto& circle = deadlock.finding.circle;
  EXPECT_TRUE(std::ranges::any_of(circle,
                                  [&](const FindingEdge& edge) {
                                    return edge.from.starts_with(from) && edge.to.starts_with(to) &&
                                           has(edge.why, why);
                                  }))
      << from << " -> " << to << ": " << why;
}

// All pictures and texts say what the finding says, and the graph has each of its edges.
void expect_told_alike(const ToldDeadlock& deadlock) {
  const traces::Trace& trace = deadlock.trace;
  const auto in_one_line = [](std::string text) {
    std::string line;   // as the texts are wrapped, and the pictures' lines are elements
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '<') i = std::min(text.find('>', i), text.size());
      const bool is_space =
          i < text.size() && (text[i] == '\n' || text[i] == ' ' || text[i] == '>');
      if (!is_space) line += text[i];
    }
    return line;
  };
  std::string message = deadlock.finding.message;
  std::erase(message, ' ');
  EXPECT_TRUE(has(in_one_line(traces::render_story(trace, "")), message));
  EXPECT_TRUE(has(in_one_line(traces::render_svg(trace)), message));
  const auto json = nlohmann::json::parse(traces::render_chrome_json(trace));
  const auto& told = json["traceEvents"].back()["args"];
  EXPECT_EQ(told["what"], deadlock.finding.message);
  EXPECT_EQ(told["detail"], trace.defect.detail);
  ASSERT_EQ(told["circle"].size(), deadlock.finding.circle.size());
  const std::string dot = traces::circle_dot(trace);
  for (std::size_t i = 0; i < deadlock.finding.circle.size(); ++i) {
    const FindingEdge& edge = deadlock.finding.circle[i];
    EXPECT_EQ(told["circle"][i]["from"], edge.from);
    EXPECT_EQ(told["circle"][i]["to"], edge.to);
    EXPECT_EQ(told["circle"][i]["why"], edge.why);
    EXPECT_TRUE(has(dot, '"' + edge.from + "\" -> \"" + edge.to + '"')) << dot;
  }
}

TEST(Deadlock, OfTwoReadersThatWouldWriteWhatTheOtherReads) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::RwLock users{"users"};
    engine::RwLock groups{"groups"};
    Threads threads;
    const auto both = [&](const char* name, engine::RwLock& read, engine::RwLock& written) {
      threads.start(name, [&] {
        const engine::ReadLock reads{read};
        const engine::WriteLock writes{written};
      });
    };
    both("lister", users, groups);
    both("mover", groups, users);
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "lister waits to write-lock groups, which mover holds to read; mover waits to "
            "write-lock users, which lister holds to read");
  EXPECT_EQ(deadlock.finding.place, "groups, users");
  EXPECT_EQ(deadlock.finding.circle.size(), 4U);
  expect_edge(deadlock, "lister#", "groups@", "waits to write-lock\n");
  expect_edge(deadlock, "groups@", "mover#",
              "held to read by\nsince tests/unit/library/deadlock_test.cc:");
  expect_edge(deadlock, "mover#", "users@", "waits to write-lock\n");
  expect_edge(deadlock, "users@", "lister#", "held to read by\nsince ");
  EXPECT_TRUE(has(deadlock.trace.defect.detail, ", held to read by mover#3 since step "))
      << deadlock.trace.defect.detail;
  expect_told_alike(deadlock);
}

TEST(Deadlock, OfAReaderThatWouldWriteWithoutLettingGo) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::RwLock cache{"cache"};
    Thread thread{"upgrader", [&] {
                    cache.lock_shared();
                    cache.lock();
                  }};
    thread.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "upgrader waits to write-lock cache, which it holds to read itself");
  EXPECT_EQ(deadlock.finding.place, "cache");
  expect_edge(deadlock, "cache@", "upgrader#", "held to read by");
  expect_told_alike(deadlock);
}

// Two that would both write wait for each other's reading, and for their own.
TEST(Deadlock, NamesEveryReader) {
  const Program program = [] {
    engine::RwLock map{"map"};
    engine::Mutex log{"log"};
    Threads threads;
    const auto reader = [&](const char* name) {
      threads.start(name, [&] {
        const engine::ReadLock reads{map};
        engine::yield_now();
        const engine::MutexLock lock{log};
      });
    };
    reader("ann");
    reader("ben");
    threads.start("writer", [&] {
      const engine::MutexLock lock{log};
      const engine::WriteLock writes{map};
    });
    threads.join();
  };
  // Whichever schedule comes first: how many read in it.
  bool both = false;
  for (std::uint64_t seed = 1; seed < 40 && !both; ++seed) {
    const SearchResult result = search(
        program, {.seed = seed, .strategy = "random", .lock_order = false, .shrink_tries = 0});
    ASSERT_TRUE(result.found);
    const Finding& finding = result.found->finding;
    both = has(finding.message, "writer waits to write-lock map, which ann and ben hold to read");
    if (!both) continue;
    EXPECT_TRUE(has(finding.message, "ann waits for log, which writer holds")) << finding.message;
    EXPECT_EQ(finding.place, "log, map");
    const ToldDeadlock deadlock{finding, {}};
    for (const char* const name : {"ann#", "ben#"}) {
      expect_edge(deadlock, "map@", name, "held to read by\nsince ");
      expect_edge(deadlock, name, "log@", "waits\n");
    }
    expect_edge(deadlock, "log@", "writer#", "held by");
  }
  EXPECT_TRUE(both);
}

TEST(Deadlock, OfAReaderThatWaitsForWhatTheWaitingWriterWouldSignal) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::RwLock table{"table"};
    engine::Completion filled{"filled"};
    Threads threads;
    threads.start("reader", [&] {
      const engine::ReadLock reads{table};
      filled.wait();
    });
    threads.start("filler", [&] {
      {
        const engine::WriteLock writes{table};
      }
      filled.signal();
    });
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "reader waits for completion filled, which nobody but filler is left to signal; filler "
            "waits to write-lock table, which reader holds to read");
  EXPECT_EQ(deadlock.finding.place, "filled, table");
  expect_edge(deadlock, "reader#", "filled@", "waits\n");
  expect_edge(deadlock, "filled@", "filler#", "nobody is left but");
  expect_edge(deadlock, "filler#", "table@", "waits to write-lock\n");
  expect_edge(deadlock, "table@", "reader#", "held to read by\nsince ");
  EXPECT_TRUE(has(deadlock.trace.defect.detail, ", which nobody has signalled"));
  expect_told_alike(deadlock);
}

// The second time it queues behind a writer that waits for the first.
TEST(Deadlock, OfAReaderThatReadsAgainBehindAWriter) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::RwLock tree{"tree"};
    Threads threads;
    threads.start("walker", [&] {
      const engine::ReadLock outer{tree};
      const engine::ReadLock inner{tree};
    });
    threads.start("planter", [&] { const engine::WriteLock writes{tree}; });
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "walker waits to read-lock tree, behind planter, who waits to write-lock it; planter "
            "waits to write-lock tree, which walker holds to read");
  EXPECT_EQ(deadlock.finding.place, "tree");
  expect_edge(deadlock, "tree@", "planter#", "first, to write");
  expect_told_alike(deadlock);
}

TEST(Deadlock, OfOneThatWaitsForTheEndOfAThreadUnderALock) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::Mutex pool{"pool"};
    Thread helper{"helper", [&] { const engine::MutexLock lock{pool}; }};
    Thread boss{"boss", [&] {
                  const engine::MutexLock lock{pool};
                  helper.join();
                }};
    boss.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "helper waits for pool, which boss holds; boss waits for the end of helper");
  EXPECT_EQ(deadlock.finding.place, "end of helper, pool");
  expect_told_alike(deadlock);
}

TEST(Deadlock, OfSpinLocks) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::SpinLock head{"head"};
    engine::SpinLock tail{"tail"};
    Threads threads;
    const auto both = [&](const char* name, engine::SpinLock& first, engine::SpinLock& second) {
      threads.start(name, [&] {
        const engine::SpinGuard one{first};
        const engine::SpinGuard two{second};
      });
    };
    both("pusher", head, tail);
    both("popper", tail, head);
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "pusher waits for tail, which popper holds; popper waits for head, which pusher holds");
  EXPECT_EQ(deadlock.finding.place, "head, tail");
  expect_told_alike(deadlock);
}

// A semaphore that only those give back who have taken it is as good as a lock.
TEST(Deadlock, OfSemaphoresThatAreUsedAsLocks) {
  const ToldDeadlock deadlock = deadlock_of([] {
    Semaphore left{"left", 1};
    Semaphore right{"right", 1};
    Threads threads;
    const auto both = [&](const char* name, Semaphore& first, Semaphore& second) {
      threads.start(name, [&] {
        first.acquire();
        second.acquire();
        second.release();
        first.release();
      });
    };
    both("ann", left, right);
    both("ben", right, left);
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message,
            "ann waits for semaphore right, which ben has taken; ben waits for semaphore left, "
            "which ann has taken");
  EXPECT_EQ(deadlock.finding.place, "left, right");
  expect_edge(deadlock, "right@", "ben#", "taken by\nsince ");
  expect_told_alike(deadlock);
}

// One that somebody else gives tells of something; who takes it is not to give it back.
TEST(Deadlock, OfASemaphoreThatTellsOfSomething) {
  const ToldDeadlock deadlock = deadlock_of([] {
    Semaphore items{"items"};
    Threads threads;
    threads.start("consumer", [&] {
      items.acquire();
      items.acquire();
    });
    threads.start("producer", [&] { items.release(); });
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message, "lost wake-up: consumer waits for ever for items");
}

// Who tries in vain does not read, nor does who has let go, even where somebody else did that.
TEST(Deadlock, DoesNotNameWhoDoesNotRead) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::RwLock cache{"cache"};
    engine::Completion held{"held"};
    engine::Completion over{"over"};
    cache.lock_shared();
    Threads threads;
    threads.start("stays", [&] {
      cache.lock_shared();
      held.signal();
      over.wait();
    });
    threads.start("gives back", [&] { cache.unlock_shared(); });
    threads.start("writer", [&] {
      held.wait();
      const engine::WriteLock writes{cache};
    });
    threads.start("tries", [&] {
      held.wait();
      if (cache.try_lock_shared()) cache.unlock_shared();
      over.wait();
    });
    threads.join();
  });
  EXPECT_TRUE(has(deadlock.finding.message, "which stays holds to read"))
      << deadlock.finding.message;
  EXPECT_FALSE(has(deadlock.finding.message, "main")) << deadlock.finding.message;
  EXPECT_FALSE(has(deadlock.finding.message, "tries hold")) << deadlock.finding.message;
}

// Where others may still see to it, nobody says who was to.
TEST(Deadlock, OfALostWakeUpSaysWhoWokeNobody) {
  const ToldDeadlock deadlock = deadlock_of([] {
    engine::Mutex mutex{"mutex"};
    engine::Condition ready{"ready"};
    Threads threads;
    threads.start("consumer", [&] {
      const engine::MutexLock lock{mutex};
      ready.wait(mutex);
    });
    threads.start("producer", [&] {
      const engine::MutexLock lock{mutex};
      ready.notify_one();
    });
    threads.join();
  });
  EXPECT_EQ(deadlock.finding.message, "lost wake-up: consumer waits for ever for ready");
  EXPECT_EQ(deadlock.finding.place, "ready");
  EXPECT_TRUE(deadlock.finding.circle.empty());
  EXPECT_TRUE(has(deadlock.trace.defect.detail, ", notified last by producer at step "))
      << deadlock.trace.defect.detail;
  EXPECT_TRUE(has(deadlock.trace.defect.detail, ", before it waited\n"))
      << deadlock.trace.defect.detail;
  EXPECT_TRUE(has(deadlock.trace.defect.detail, "main#1 waits for the end of consumer#2 at "))
      << deadlock.trace.defect.detail;
  expect_told_alike(deadlock);
}

TEST(Deadlock, IsForetoldWhereAThreadEndsWithALock) {
  const Program program = [] {
    engine::Mutex ledger{"ledger"};
    engine::Atomic<int> errors{"errors", 0};
    Threads threads;
    threads.start("booker", [&] {
      ledger.lock();
      if (errors.load() != 0) return;
      ledger.unlock();
    });
    threads.start("spoiler", [&] {
      errors.store(1);
      const engine::MutexLock lock{ledger};
    });
    threads.join();
  };
  const SearchResult result = search(program);
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.signature(), "checker lock kept by booker");
  Execution execution;
  const Outcome& again = replay(execution, program, result.found->schedule);
  ASSERT_TRUE(again.finding);
  EXPECT_EQ(again.finding->signature(), result.found->finding.signature());
  EXPECT_TRUE(has(again.finding->message,
                  "booker ends and has not given back ledger, which it locked at "
                  "tests/unit/library/deadlock_test.cc:"))
      << again.finding->message;
}

}   // namespace
}   // namespace sim
