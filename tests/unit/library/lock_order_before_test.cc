// Locks taken in opposite orders by fibers of which one has to be done before the other begins: by
// each thing that fibers wait for one another by. And the same programs with that taken out.
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/ref_count.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/timer.h"
#include "engine/fiber/work_queue.h"
#include "sim/execution.h"
#include "sim/library/explore.h"
#include "sim/lock_order.h"
#include "sim/sim_device.h"
#include "sim/strategy_random.h"
#include "sim/tank.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::MutexLock;

struct TwoLocks {
  engine::Mutex a{"a"};
  engine::Mutex b{"b"};
  void take(bool swap) {
    const MutexLock one{swap ? b : a};
    const MutexLock two{swap ? a : b};
  }
};

enum class Link : bool { ordered, unordered };
using Linked = std::function<void(Link)>;

// What fibers wait for one another by.
struct Case {
  const char* name;
  Linked program;
};

// One thread takes both locks and says so; another waits for that and takes them the other way
// round. Unordered: it does not wait.
void hand_over(Link link, const std::function<void()>& say, const std::function<void()>& wait) {
  TwoLocks locks;
  Threads threads;
  threads.start("first", [&] {
    locks.take(false);
    say();
  });
  threads.start("second", [&] {
    if (link == Link::ordered) wait();
    locks.take(true);
  });
  threads.join();
}

void by_semaphore(Link link) {
  Semaphore done{"done"};
  hand_over(link, [&] { done.release(); }, [&] { done.acquire(); });
}

void by_semaphore_of_two(Link link) {
  Semaphore done{"done"};
  TwoLocks locks;
  Threads threads;
  for (int i = 0; i < 2; ++i) {
    threads.start("first", [&] {
      locks.take(false);
      done.release();
    });
  }
  threads.start("second", [&] {
    done.acquire();
    if (link == Link::ordered) done.acquire();
    locks.take(true);
  });
  threads.join();
}

void by_barrier(Link link) {
  TwoLocks locks;
  Barrier barrier{"phase", 2};
  Threads threads;
  for (const bool second : {false, true}) {
    threads.start("phases", [&, second] {
      if (!second) locks.take(false);
      if (link == Link::ordered) barrier.arrive_and_wait();
      if (second) locks.take(true);
    });
  }
  threads.join();
}

// Each does everything, in phases.
void by_phases(Link link) {
  TwoLocks locks;
  Barrier barrier{"phase", 3};
  Threads threads;
  for (int i = 0; i < 3; ++i) {
    threads.start("phases", [&] {
      for (const bool swap : {false, true}) {
        locks.take(swap);
        if (link == Link::ordered) barrier.arrive_and_wait();
      }
    });
  }
  threads.join();
}

void by_completion(Link link) {
  engine::Completion done{"done"};
  hand_over(link, [&] { done.signal(); }, [&] { done.wait(); });
}

void by_completion_of_two(Link link) {
  TwoLocks locks;
  engine::Completion done{"done", 2};
  Threads threads;
  for (int i = 0; i < 2; ++i) {
    threads.start("first", [&] {
      if (link == Link::unordered) done.signal();
      locks.take(false);
      if (link == Link::ordered) done.signal();
    });
  }
  threads.start("second", [&] {
    done.wait();
    locks.take(true);
  });
  threads.join();
}

enum class Notify : bool { under_the_lock, afterwards };

void by_condition(Link link, Notify how) {
  engine::Mutex mutex{"state"};
  engine::Condition changed{"changed"};
  bool done = false;
  hand_over(
      link,
      [&] {
        {
          const MutexLock lock{mutex};
          done = true;
          if (how == Notify::under_the_lock) changed.notify_all();
        }
        if (how == Notify::afterwards) changed.notify_all();
      },
      [&] {
        const MutexLock lock{mutex};
        changed.wait(mutex, [&] { return done; });
      });
}

// Nothing but the notify itself, which is repeated until it was heard.
void by_notify_alone(Link link) {
  engine::Mutex mutex{"mutex"};
  engine::Condition told{"told"};
  engine::Atomic<bool> heard{"heard", false};
  TwoLocks locks;
  Threads threads;
  threads.start("first", [&] {
    locks.take(false);
    while (!heard.load()) {
      told.notify_one();
      engine::yield_now();
    }
  });
  threads.start("second", [&] {
    if (link == Link::ordered) {
      const MutexLock lock{mutex};
      told.wait(mutex);
    }
    heard.store(true);
    locks.take(true);
  });
  threads.join();
}

// Two count down, and only the last one tells.
void by_latch(Link link, Notify how) {
  TwoLocks locks;
  engine::Mutex mutex{"latch"};
  engine::Condition open{"open"};
  int missing = 2;
  Threads threads;
  for (int i = 0; i < 2; ++i) {
    threads.start("first", [&] {
      if (link == Link::ordered) locks.take(false);
      bool last = false;
      {
        const MutexLock lock{mutex};
        last = --missing == 0;
        if (last && how == Notify::under_the_lock) open.notify_one();
      }
      if (last && how == Notify::afterwards) open.notify_one();
      if (link == Link::unordered) locks.take(false);
    });
  }
  threads.start("second", [&] {
    {
      const MutexLock lock{mutex};
      open.wait(mutex, [&] { return missing == 0; });
    }
    locks.take(true);
  });
  threads.join();
}

// Items are handed from one to another through a queue.
void by_channel(Link link) {
  TwoLocks locks;
  engine::Mutex mutex{"channel"};
  engine::Condition more{"more"};
  std::deque<bool> items;
  Threads threads;
  threads.start("producer", [&] {
    locks.take(false);
    const MutexLock lock{mutex};
    items.push_back(true);
    more.notify_one();
  });
  threads.start("consumer", [&] {
    if (link == Link::unordered) locks.take(true);
    {
      const MutexLock lock{mutex};
      more.wait(mutex, [&] { return !items.empty(); });
      items.pop_front();
    }
    if (link == Link::ordered) locks.take(true);
  });
  threads.join();
}

void by_flag(Link link) {
  engine::Atomic<bool> done{"done", false};
  hand_over(
      link, [&] { done.store(true); },
      [&] {
        while (!done.load())
          engine::yield_now();
      });
}

void by_compare_exchange(Link link) {
  engine::Atomic<int> state{"state", 0};
  hand_over(
      link, [&] { state.fetch_add(1); },
      [&] {
        for (int expected = 1; !state.compare_exchange(expected, 2); expected = 1)
          engine::yield_now();
      });
}

// Of three in a row each waits for the one before it.
void by_turns(Link link) {
  TwoLocks locks;
  engine::Atomic<int> turn{"turn", 0};
  Threads threads;
  for (int i = 0; i < 3; ++i) {
    threads.start("turn", [&, i] {
      while (link == Link::ordered && turn.load() != i)
        engine::yield_now();
      if (i != 1) locks.take(i == 2);
      turn.fetch_add(1);
    });
  }
  threads.join();
}

// The flag is plain, under a lock of its own, and looked at again and again.
void by_variable(Link link) {
  engine::Mutex mutex{"flag"};
  Variable<bool> done{"done", false};
  hand_over(
      link,
      [&] {
        const MutexLock lock{mutex};
        done.set(true);
      },
      [&] {
        for (;;) {
          {
            const MutexLock lock{mutex};
            if (done.get()) return;
          }
          engine::yield_now();
        }
      });
}

void by_last_reference(Link link) {
  TwoLocks locks;
  engine::RefCount references{"references"};
  references.get();
  Threads threads;
  const auto drop = [&] {
    if (link == Link::ordered) locks.take(false);
    const bool last = references.put();
    if (link == Link::unordered) locks.take(false);
    if (last) locks.take(true);
  };
  threads.start("one", drop);
  threads.start("other", drop);
  threads.join();
}

void by_work_queue(Link link) {
  TwoLocks locks;
  engine::WorkQueue queue{engine::current_executor(), "queue"};
  struct Job {
    TwoLocks& locks;
  } job{locks};
  engine::Work work{"work", [](void* what) { static_cast<Job*>(what)->locks.take(true); }, &job};
  Thread thread{"first", [&] {
                  if (link == Link::ordered) locks.take(false);
                  queue.queue(work);
                  if (link == Link::unordered) locks.take(false);
                }};
  thread.join();
  queue.stop();
}

void by_timer(Link link) {
  struct Fired {
    TwoLocks locks;
    engine::Completion done{"fired"};
  } fired;
  engine::Timer timer{"timer", [](void* what) { static_cast<Fired*>(what)->done.signal(); },
                      &fired};
  Threads threads;
  threads.start("first", [&] {
    if (link == Link::ordered) fired.locks.take(false);
    timer.arm_after(engine::current_executor(), std::chrono::milliseconds{1});
    if (link == Link::unordered) fired.locks.take(false);
  });
  threads.start("second", [&] {
    fired.done.wait();
    fired.locks.take(true);
  });
  threads.join();
  timer.cancel_and_wait();
}

void by_grace_period(Link link) {
  engine::Rcu rcu{"rcu"};
  engine::Atomic<bool> inside{"inside", false};
  engine::SpinLock a{"a"};
  engine::SpinLock b{"b"};
  Threads threads;
  threads.start("reader", [&] {
    const engine::RcuSection section{rcu};
    inside.store(true);
    const engine::SpinGuard one{a};
    const engine::SpinGuard two{b};
  });
  threads.start("writer", [&] {
    while (!inside.load())
      engine::yield_now();
    if (link == Link::ordered) rcu.synchronize();
    const engine::SpinGuard one{b};
    const engine::SpinGuard two{a};
  });
  threads.join();
}

// Fibers of the program's own, and one that it starts later.
void by_spawn(Link link) {
  TwoLocks locks;
  engine::Completion done{"done", 2};
  const auto start = [&] {
    engine::current_executor().spawn("second", [&] {
      locks.take(true);
      done.signal();
    });
  };
  engine::current_executor().spawn("first", [&] {
    if (link == Link::unordered) start();
    locks.take(false);
    if (link == Link::ordered) start();
    done.signal();
  });
  done.wait();
}

const Case kCases[] = {
    {"semaphore", by_semaphore},
    {"semaphore of two", by_semaphore_of_two},
    {"barrier", by_barrier},
    {"phases", by_phases},
    {"completion", by_completion},
    {"completion of two", by_completion_of_two},
    {"condition", [](Link link) { by_condition(link, Notify::under_the_lock); }},
    {"condition, notified afterwards", [](Link link) { by_condition(link, Notify::afterwards); }},
    {"notify alone", by_notify_alone},
    {"latch", [](Link link) { by_latch(link, Notify::under_the_lock); }},
    {"latch, notified afterwards", [](Link link) { by_latch(link, Notify::afterwards); }},
    {"channel", by_channel},
    {"flag", by_flag},
    {"compare-exchange", by_compare_exchange},
    {"turns", by_turns},
    {"variable", by_variable},
    {"last reference", by_last_reference},
    {"work queue", by_work_queue},
    {"timer", by_timer},
    {"grace period", by_grace_period},
    {"spawn", by_spawn},
};

TEST(LockOrderBefore, WhatIsWaitedForIsNoAlarm) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    for (const char* const strategy : {"pos", "random", "portfolio", "pct"}) {
      const std::uint64_t schedules = 1000 / unit::sparse();
      const SearchResult result = search([&] { each.program(Link::ordered); },
                                         {.schedules = schedules, .strategy = strategy});
      EXPECT_EQ(result.schedules, schedules);
      EXPECT_FALSE(result.found) << strategy << ": " << result.found->finding.signature() << '\n'
                                 << result.found->finding.detail;
    }
  }
}

// Nor where it is told because of a bound, or because it did not come to its end.
TEST(LockOrderBefore, NorWhereAnExplorationHasABound) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    for (const std::optional<std::uint32_t> preemptions :
         {std::optional{0U}, std::optional{1U}, std::optional<std::uint32_t>{}}) {
      const Exploration result =
          explore([&] { each.program(Link::ordered); },
                  {.executions_max = 1000 / unit::sparse(), .preemptions = preemptions});
      EXPECT_GT(result.executions, 0U);
      EXPECT_FALSE(result.found) << result.found->finding.signature() << '\n'
                                 << result.found->finding.detail;
    }
  }
}

TEST(LockOrderBefore, WithoutTheWaitItIs) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    for (const char* const strategy : {"pos", "random"}) {
      const SearchResult result =
          search([&] { each.program(Link::unordered); }, {.schedules = 300, .strategy = strategy});
      ASSERT_TRUE(result.found) << strategy;
      EXPECT_TRUE(result.found->finding.kind == FindingKind::lock_order ||
                  result.found->finding.kind == FindingKind::deadlock)
          << result.found->finding.signature();
    }
    // Without the deadlock itself.
    const Exploration within = explore([&] { each.program(Link::unordered); }, {.preemptions = 0});
    ASSERT_TRUE(within.found);
    EXPECT_TRUE(within.found->finding.kind == FindingKind::lock_order ||
                within.found->finding.kind == FindingKind::deadlock)
        << within.found->finding.signature();
  }
}

// --- in one schedule, where each runs as long as it can ---

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

TEST(LockOrderBefore, AThirdLockThatBothTookOrdersNothing) {
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
TEST(LockOrderBefore, FibersThatOutliveTheFirstAreHeard) {
  struct Shared {
    TwoLocks locks;
    engine::Mutex third{"third"};
  };
  // For good: they may hold the locks when it is told of.
  static auto& left = *new std::vector<Shared*>;
  EXPECT_EQ(kind_by_the_rule([] {
              Shared* const shared = left.emplace_back(new Shared);
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
TEST(LockOrderBefore, AnExplorationTellsOfAThirdLockToo) {
  const Exploration result = explore([] { by_a_third_lock([] {}); }, {.preemptions = 0});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->finding.kind, FindingKind::lock_order);
  EXPECT_EQ(result.found->finding.place, "a, b");
}

// A mutex of the cycle keeps nobody from the other order.
TEST(LockOrderBefore, NorDoTheLocksThemselves) {
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
TEST(LockOrderBefore, NorWhatIsReadUnderThem) {
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
TEST(LockOrderBefore, WhatComesAfterTheSignalMayMeet) {
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
TEST(LockOrderBefore, WhatChangesNothingOrdersNothing) {
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
TEST(LockOrderBefore, EachTimeIsAnotherMatter) {
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
TEST(LockOrderBefore, WhatWasHeldBeforeTheWaitIsNotOver) {
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
TEST(LockOrderBefore, OneOrderForAllIsAnotherRule) {
  for (const auto rule : {LockOrder::Rule::may_not_meet, LockOrder::Rule::one_order}) {
    Execution execution;
    LockOrder order{execution, LockOrder::Mode::remembers, rule};
    order.listen();
    execution.run([] { by_completion(Link::ordered); });
    EXPECT_EQ(order.has_seen(), rule == LockOrder::Rule::one_order);
  }
}

// --- what the environment does in between ---

TEST(LockOrderBefore, AnIoComesAfterItsSubmission) {
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
TEST(LockOrderBefore, OtherSchedulesHaveAnotherOrder) {
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

TEST(LockOrderBefore, ReadersOfOneLockAreNotKeptApart) {
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

TEST(LockOrderBefore, ManyThatAreDoneHideNothing) {
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
