// Fibers, wake-ups and timers over several real threads.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/timer.h"
#include "engine/fiber/work_queue.h"
#include "real-io/uring_executor.h"
#include "tests/unit/real_io/fixture.h"

namespace real_io {

struct RingTester {
  static void mark_work(Ring& ring) {
    std::atomic_ref{*ring.ring_.sq.kflags}.fetch_or(IORING_SQ_TASKRUN);
  }
};

namespace {

using engine::Completion;
using engine::Nanos;
using namespace std::chrono_literals;

class UringExecutorTest : public RealIoTest {};

UringExecutor::Options with_reactors(std::uint32_t count) {
  UringExecutor::Options options;
  options.reactors = count;
  return options;
}

TEST_F(UringExecutorTest, RunsABodyOnTheReactorAskedFor) {
  UringExecutor executor{with_reactors(3)};
  for (std::uint32_t i = 0; i < 3; ++i) {
    std::uint32_t seen = 99;
    executor.run([&] { seen = engine::t_thread.thread_index; }, i);
    EXPECT_EQ(seen, i);
  }
}

TEST_F(UringExecutorTest, KeepsAFiberOnItsThreadAcrossRemoteWakeUps) {
  UringExecutor executor{with_reactors(2)};
  constexpr int kRounds = 20'000;
  std::atomic<int> strayed{0};
  executor.run([&] {
    Completion ended{"ended", 2};
    engine::Mutex mutex{"turn"};
    engine::Condition turned{"turned"};
    int turn = 0;
    for (std::uint32_t me = 0; me < 2; ++me) {
      executor.spawn_on(me, "player", [&, me] {
        for (int i = 0; i < kRounds; ++i) {
          const engine::MutexLock lock{mutex};
          while (turn % 2 != static_cast<int>(me))
            turned.wait(mutex);
          ++turn;
          turned.notify_all();
          if (engine::t_thread.thread_index != me) ++strayed;
        }
        ended.signal();
      });
    }
    ended.wait();
    EXPECT_EQ(turn, 2 * kRounds);
  });
  EXPECT_EQ(strayed, 0);
}

TEST_F(UringExecutorTest, LosesNoWakeUpUnderManyFibersAndALock) {
  UringExecutor executor{with_reactors(4)};
  constexpr std::uint32_t kFibers = 64;
  constexpr int kRounds = 500;
  std::uint64_t counter = 0;
  executor.run([&] {
    engine::Mutex mutex{"counter"};
    Completion ended{"ended", kFibers};
    for (std::uint32_t i = 0; i < kFibers; ++i) {
      executor.spawn_on(i % 4, "adder", [&] {
        for (int round = 0; round < kRounds; ++round) {
          const engine::MutexLock lock{mutex};
          const std::uint64_t before = counter;
          if (round % 8 == 0) engine::yield_now();   // with the lock held
          counter = before + 1;
        }
        ended.signal();
      });
    }
    ended.wait();
  });
  EXPECT_EQ(counter, std::uint64_t{kFibers} * kRounds);
}

TEST_F(UringExecutorTest, RecyclesFibersAndTheirStacks) {
  UringExecutor executor{with_reactors(1)};
  executor.run([&] {
    std::vector<const void*> stacks;
    for (int i = 0; i < 1000; ++i) {
      Completion ended{"ended"};
      executor.spawn("short", [&] {
        const void* const bottom = engine::t_thread.fiber->stack().bottom;
        if (std::find(stacks.begin(), stacks.end(), bottom) == stacks.end())
          stacks.push_back(bottom);
        ended.signal();
      });
      ended.wait();
    }
    EXPECT_LE(stacks.size(), 2U);
  });
}

TEST_F(UringExecutorTest, SleepsAtLeastAsLongAsAsked) {
  UringExecutor executor{with_reactors(2)};
  executor.run([&] {
    const Nanos before = executor.now();
    engine::sleep_for(20ms);
    const Nanos slept = executor.now() - before;
    EXPECT_GE(slept, Nanos{20ms});
    EXPECT_LT(slept, Nanos{5s});
  });
}

// The kernel may call for a reactor's attention and have nothing to give, when what it had was
// fetched between its handing it over and its calling. Here the call is planted.
TEST_F(UringExecutorTest, SleepsThoughTheKernelCallsForNothing) {
  UringExecutor executor{with_reactors(1)};
  executor.run([&] {
    Ring& ring = Reactor::current()->ring();
    RingTester::mark_work(ring);
    const std::uint64_t enters = ring.statistics().enters;
    engine::sleep_for(50ms);
    EXPECT_LE(ring.statistics().enters - enters, 8U);
  });
}

TEST_F(UringExecutorTest, FiresTimersInTheOrderOfTheirDeadlines) {
  UringExecutor executor{with_reactors(1)};
  executor.run([&] {
    struct Mark {
      std::vector<int>* order;
      int number;
      Completion* ended;
      static void fired(void* self) {
        auto& mark = *static_cast<Mark*>(self);
        mark.order->push_back(mark.number);
        mark.ended->signal();
      }
    };
    std::vector<int> order;
    Completion ended{"ended", 3};
    std::array<Mark, 3> marks{{{&order, 0, &ended}, {&order, 1, &ended}, {&order, 2, &ended}}};
    engine::Timer late{"late", &Mark::fired, &marks[2]};
    engine::Timer early{"early", &Mark::fired, &marks[0]};
    engine::Timer middle{"middle", &Mark::fired, &marks[1]};
    late.arm_after(executor, 30ms);
    early.arm_after(executor, 10ms);
    middle.arm_after(executor, 20ms);
    ended.wait();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
    late.cancel_and_wait();
  });
}

// Timers die right after cancel_and_wait(), on another thread than the one they fire on.
TEST_F(UringExecutorTest, CancelledTimersNeverFireLate) {
  UringExecutor executor{with_reactors(2)};
  constexpr int kRounds = 4000;
  executor.run([&] {
    int fired_count = 0;
    for (int i = 0; i < kRounds; ++i) {
      std::atomic<int> fired{0};
      auto timer = std::make_unique<engine::Timer>(
          "short", [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &fired);
      timer->arm_after(executor, Nanos{i % 50 * 100});
      Completion ended{"ended"};
      executor.spawn_on(1, "canceller", [&] {
        for (int spin = 0; spin < i % 40 * 10; ++spin)
          __builtin_ia32_pause();
        const bool cancelled = timer->cancel_and_wait();
        EXPECT_EQ(fired.load(), cancelled ? 0 : 1);
        timer.reset();
        ended.signal();
      });
      ended.wait();
      fired_count += fired;
    }
    EXPECT_GT(fired_count, 0);
  });
}

TEST_F(UringExecutorTest, WorkQueuedFromAnotherReactorRunsOnTheQueuesOwn) {
  UringExecutor executor{with_reactors(2)};
  executor.run([&] {
    engine::WorkQueue queue{executor, "queue"};
    std::atomic<int> runs{0};
    std::atomic<int> elsewhere{0};
    struct Count {
      std::atomic<int>* runs;
      std::atomic<int>* elsewhere;
    } count{&runs, &elsewhere};
    engine::Work work{"count",
                      [](void* argument) {
                        auto& counted = *static_cast<Count*>(argument);
                        ++*counted.runs;
                        if (engine::t_thread.thread_index != 0) ++*counted.elsewhere;
                      },
                      &count};
    Completion ended{"ended"};
    executor.spawn_on(1, "queuer", [&] {
      for (int i = 0; i < 5000; ++i) {
        queue.queue(work);
        if (i % 16 == 0) engine::yield_now();
      }
      ended.signal();
    });
    ended.wait();
    queue.flush();
    EXPECT_GE(runs, 1);
    EXPECT_EQ(elsewhere, 0);
    queue.stop();
  });
}

TEST_F(UringExecutorTest, DeferredJobsRunOnceARound) {
  UringExecutor executor{with_reactors(1)};
  executor.run([&] {
    struct Job : Deferred {
      using Deferred::Deferred;
      int runs = 0;
    } job{[](Deferred& self) { ++static_cast<Job&>(self).runs; }};
    Reactor& here = *Reactor::current();
    here.defer(job);
    here.defer(job);
    EXPECT_EQ(job.runs, 0);
    engine::yield_now();
    EXPECT_EQ(job.runs, 1);
  });
}

}   // namespace
}   // namespace real_io
