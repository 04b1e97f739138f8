// What orders the taking of locks in one schedule, where each fiber runs as long as it can.
#include <chrono>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/timer.h"
#include "sim/execution.h"
#include "sim/library/explore.h"
#include "sim/lock_order.h"
#include "sim/sim_device.h"
#include "sim/strategy_random.h"
#include "sim/tank.h"
#include "tests/unit/library/two_locks.h"

namespace sim {
namespace {

using engine::MutexLock;

FindingKind kind_by_the_rule(const Program& program) {
  Execution execution;
  const Outcome& outcome = replay(execution, program, Schedule{});
  return outcome.finding ? outcome.finding->kind : FindingKind::crash;
}
constexpr FindingKind kNothing = FindingKind::crash;

// A lock that went from the one to the other says nothing: it could have gone the other way.
void by_a_third_lock(const std::function<void()>& further) {
  TwoLocks locks;
  engine::Mutex third{"third"};
  Threads threads;
  for (const bool swap : {false, true}) {
    threads.start("beside", [&, swap] {
      {
        const MutexLock lock{third};
      }
      locks.take(swap);
      const MutexLock lock{third};
    });
  }
  further();
  threads.join();
}

TEST(LockOrderRule, AThirdLockThatBothTookOrdersNothing) {
  EXPECT_EQ(kind_by_the_rule([] { by_a_third_lock([] {}); }), FindingKind::lock_order);
  // It is told at once where nothing else was there, else when it is known to be no monitor's.
  EXPECT_EQ(kind_by_the_rule([] {
              by_a_third_lock([] {
                Semaphore other{"other", 1};
                other.acquire();
                other.release();
              });
            }),
            FindingKind::lock_order);
}

// Nobody waits for them, so what is left open until the first fiber ends is judged at once.
TEST(LockOrderRule, FibersThatOutliveTheFirstAreHeard) {
  struct LeftBehind {
    TwoLocks locks;
    engine::Mutex third{"third"};
  };
  // For good: they may hold the locks when it is told of.
  static auto& left = *new std::vector<LeftBehind*>;
  EXPECT_EQ(kind_by_the_rule([] {
              LeftBehind* const shared = left.emplace_back(new LeftBehind);
              for (const bool swap : {false, true}) {
                engine::current_executor().spawn("left behind", [shared, swap] {
                  engine::sleep_for(std::chrono::milliseconds{1});
                  {
                    const MutexLock lock{shared->third};
                  }
                  shared->locks.take(swap);
                  const MutexLock lock{shared->third};
                });
              }
            }),
            FindingKind::lock_order);
}

// Also in an exploration that does not meet the deadlock.
TEST(LockOrderRule, AnExplorationTellsOfAThirdLockToo) {
  const Exploration result = explore([] { by_a_third_lock([] {}); }, {.preemptions = 0});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::lock_order);
  EXPECT_EQ(result.found->finding.place, "a, b");
}

// A mutex of the cycle keeps nobody from the other order.
TEST(LockOrderRule, NorDoTheLocksThemselves) {
  EXPECT_EQ(kind_by_the_rule([] {
              TwoLocks locks;
              engine::Condition changed{"changed"};
              Threads threads;
              for (const bool swap : {false, true}) {
                threads.start("beside", [&, swap] {
                  const MutexLock one{swap ? locks.b : locks.a};
                  const MutexLock two{swap ? locks.a : locks.b};
                  changed.notify_all();
                });
              }
              threads.join();
            }),
            FindingKind::lock_order);
}

// What comes of the first lock alone does not order what comes before it.
TEST(LockOrderRule, NorWhatIsReadUnderThem) {
  EXPECT_EQ(kind_by_the_rule([] {
              TwoLocks locks;
              Variable<int> count{"count", 0};
              Threads threads;
              for (const bool swap : {false, true}) {
                threads.start("beside", [&, swap] {
                  for (int i = 0; i < 2; ++i) {
                    const MutexLock one{swap ? locks.b : locks.a};
                    const MutexLock two{swap ? locks.a : locks.b};
                    count.set(count.get() + 1);
                  }
                });
              }
              threads.join();
            }),
            FindingKind::lock_order);
}

// Who signals may go on; only what comes before that is over.
TEST(LockOrderRule, WhatComesAfterTheSignalMayMeet) {
  EXPECT_EQ(kind_by_the_rule([] {
              TwoLocks locks;
              engine::Completion begun{"begun"};
              Threads threads;
              threads.start("first", [&] {
                locks.take(false);
                begun.signal();
                locks.take(false);
              });
              threads.start("second", [&] {
                begun.wait();
                locks.take(true);
              });
              threads.join();
            }),
            FindingKind::lock_order);
}

// What has changed nothing was seen by nobody.
TEST(LockOrderRule, WhatChangesNothingOrdersNothing) {
  const auto program = [](const std::function<void(engine::Atomic<int>&)>& change) {
    TwoLocks locks;
    engine::Atomic<int> state{"state", 0};
    Threads threads;
    threads.start("first", [&] {
      locks.take(false);
      change(state);
    });
    threads.start("second", [&] {
      static_cast<void>(state.load());
      locks.take(true);
    });
    threads.join();
  };
  EXPECT_EQ(kind_by_the_rule([&] {
              program([](auto& state) {
                int expected = 7;
                static_cast<void>(state.compare_exchange(expected, 8));
              });
            }),
            FindingKind::lock_order);
  EXPECT_EQ(kind_by_the_rule([&] { program([](auto& state) { state.exchange(0); }); }),
            FindingKind::lock_order);
  EXPECT_EQ(kind_by_the_rule([&] { program([](auto& state) { state.exchange(1); }); }), kNothing);
}

// That the first round was over says nothing of the second.
TEST(LockOrderRule, EachTimeIsAnotherMatter) {
  EXPECT_EQ(kind_by_the_rule([] {
              TwoLocks locks;
              engine::Completion one{"one"};
              engine::Completion two{"two"};
              Threads threads;
              threads.start("first", [&] {
                locks.take(false);
                one.signal();
                two.wait();
                locks.take(false);
              });
              threads.start("second", [&] {
                one.wait();
                locks.take(true);
                two.signal();
                engine::yield_now();
                locks.take(true);
              });
              threads.join();
            }),
            FindingKind::lock_order);
}

// Who holds a lock and then waits for another's signal may keep that one from giving it.
TEST(LockOrderRule, WhatWasHeldBeforeTheWaitIsNotOver) {
  EXPECT_EQ(kind_by_the_rule([] {
              TwoLocks locks;
              TwoLocks further;
              engine::Completion done{"done"};
              Threads threads;
              threads.start("first", [&] {
                further.take(true);
                locks.take(false);
                engine::yield_now();
                done.signal();
              });
              threads.start("second", [&] {
                const MutexLock held{further.a};
                done.wait();
                locks.take(true);
                const MutexLock lock{further.b};
              });
              threads.join();
            }),
            FindingKind::lock_order);
}

// Where there is one order for all, nothing excuses another.
TEST(LockOrderRule, OneOrderForAllIsAnotherRule) {
  for (const auto rule : {LockOrder::Rule::may_not_meet, LockOrder::Rule::one_order}) {
    Execution execution;
    LockOrder order{execution, LockOrder::Mode::remembers, rule};
    order.listen();
    execution.run([] {
      engine::Completion done{"done"};
      hand_over(Link::ordered, [&] { done.signal(); }, [&] { done.wait(); });
    });
    EXPECT_EQ(order.has_seen(), rule == LockOrder::Rule::one_order);
  }
}

// --- what the environment does in between ---

TEST(LockOrderRule, AnIoComesAfterItsSubmission) {
  const auto kind = [](std::uint64_t seed, Link link) {
    Execution execution;
    RandomWalk walk;
    execution.reset({.seed = seed, .strategy = &walk});
    LockOrder order{execution};
    order.listen();
    SimDevice device{execution, "disk", {.sectors = 8}};
    const Outcome& outcome = execution.run([&] {
      TwoLocks locks;
      engine::Completion done{"done"};
      engine::Bio bio;
      bio.op = engine::BioOp::flush;
      bio.owner = &done;
      bio.end_io = [](engine::Bio& ended) {
        static_cast<engine::Completion*>(ended.owner)->signal();
      };
      Threads threads;
      threads.start("first", [&] {
        if (link == Link::ordered) locks.take(false);
        device.submit(bio);
        if (link == Link::unordered) locks.take(false);
      });
      threads.start("second", [&] {
        done.wait();
        locks.take(true);
      });
      threads.join();
    });
    return outcome.finding ? outcome.finding->kind : kNothing;
  };
  bool found = false;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_EQ(kind(seed, Link::ordered), kNothing);
    found |= kind(seed, Link::unordered) == FindingKind::lock_order;
  }
  EXPECT_TRUE(found);
}

// A count that nobody waits for orders only in the schedules where it happens to.
TEST(LockOrderRule, OtherSchedulesHaveAnotherOrder) {
  const auto program = [] {
    TwoLocks locks;
    engine::Atomic<int> count{"count", 0};
    Threads threads;
    for (const bool swap : {false, true}) {
      threads.start("counts", [&, swap] {
        if (swap) count.fetch_add(1);
        locks.take(swap);
        if (!swap) count.fetch_add(1);
      });
    }
    threads.join();
  };
  EXPECT_EQ(kind_by_the_rule(program), kNothing);
  const SearchResult result = search(program, {.schedules = 50, .strategy = "random"});
  ASSERT_TRUE(result.found);
}

// --- locks around both ---

TEST(LockOrderRule, ReadersOfOneLockAreNotKeptApart) {
  const auto gated = [](bool write) {
    TwoLocks locks;
    engine::RwLock gate{"gate"};
    Threads threads;
    for (const bool swap : {false, true}) {
      threads.start("gated", [&, swap] {
        if (write && swap) {
          const engine::WriteLock lock{gate};
          locks.take(swap);
        } else {
          const engine::ReadLock lock{gate};
          locks.take(swap);
        }
      });
    }
    threads.join();
  };
  EXPECT_EQ(kind_by_the_rule([&] { gated(false); }), FindingKind::lock_order);
  EXPECT_EQ(kind_by_the_rule([&] { gated(true); }), kNothing);
}

// --- more fibers than are kept ---

TEST(LockOrderRule, ManyThatAreDoneHideNothing) {
  const auto phases = [](bool meet) {
    TwoLocks locks;
    engine::Completion done{"done", 12};
    engine::Completion late{"late"};
    const auto early = [&] {
      locks.take(false);
      done.signal();
    };
    Threads threads;
    for (int i = 0; i < 10; ++i)
      threads.start("early", early);
    threads.start("same", [&] {
      if (meet) locks.take(false);
      late.signal();
    });
    for (int i = 0; i < 2; ++i)
      threads.start("early", early);
    threads.start("other", [&] {
      done.wait();
      if (!meet) late.wait();
      locks.take(true);
    });
    threads.join();
  };
  EXPECT_EQ(kind_by_the_rule([&] { phases(true); }), FindingKind::lock_order);
  EXPECT_EQ(kind_by_the_rule([&] { phases(false); }), kNothing);
}

}   // namespace
}   // namespace sim
