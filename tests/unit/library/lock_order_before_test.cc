// Locks taken in opposite orders by fibers of which one has to be done before the other begins: by
// each thing that fibers wait for one another by. And the same programs with that taken out.
#include <chrono>
#include <deque>
#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/ref_count.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/timer.h"
#include "engine/fiber/work_queue.h"
#include "sim/library/explore.h"
#include "sim/tank.h"
#include "tests/unit/library/two_locks.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::MutexLock;

using Linked = std::function<void(Link)>;

// What fibers wait for one another by.
struct Case {
  const char* name;
  Linked program;
};

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

}   // namespace
}   // namespace sim
