// Every promise of engine/fiber/executor.h and of the context rules, for any world.
#pragma once

#include <atomic>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/completion.h"
#include "engine/fiber/timer.h"
#include "tests/conformance/world.h"

namespace conformance {

using engine::Access;
using engine::Completion;
using engine::Nanos;
using engine::OpKind;
using engine::Point;
using std::chrono::microseconds;
using std::chrono::milliseconds;

inline Point waiting_for(const char* /*what*/,
                         std::source_location where = std::source_location::current()) {
  return Point{OpKind::note, Access::none, nullptr, where};
}

template <typename W>
class ExecutorSuite : public testing::Test {
 protected:
  W tested;
};
TYPED_TEST_SUITE_P(ExecutorSuite);

TYPED_TEST_P(ExecutorSuite, SpawnedBodiesRunOnceInWorkerContext) {
  World& world = this->tested;
  world.run([&world] {
    std::atomic<int> runs{0};
    Completion ended{"ended", 10};
    for (int i = 0; i < 10; ++i) {
      world.executor().spawn("child", [&] {
        EXPECT_TRUE(engine::may_block());
        EXPECT_EQ(&engine::current_executor(), &world.executor());
        ++runs;
        ended.signal();
      });
    }
    ended.wait();
    EXPECT_EQ(runs, 10);
  });
}

TYPED_TEST_P(ExecutorSuite, SpawnKeepsWhatTheBodyCaptured) {
  World& world = this->tested;
  world.run([&world] {
    Completion ended{"ended"};
    std::vector<int> seen;
    const std::vector<int> values{1, 2, 3, 4, 5, 6, 7};
    world.executor().spawn("child", [values, &seen, &ended] {
      seen = values;
      ended.signal();
    });
    ended.wait();
    EXPECT_EQ(seen, values);
  });
}

TYPED_TEST_P(ExecutorSuite, FibersOnEveryThreadRun) {
  World& world = this->tested;
  world.run([&world] {
    const std::uint32_t threads = world.threads();
    std::atomic<std::uint32_t> runs{0};
    Completion ended{"ended", threads};
    for (std::uint32_t i = 0; i < threads; ++i) {
      world.spawn_on(i, "there", [&] {
        ++runs;
        ended.signal();
      });
    }
    ended.wait();
    EXPECT_EQ(runs, threads);
  });
}

TYPED_TEST_P(ExecutorSuite, ParkReturnsAfterUnparkFromAnyThread) {
  World& world = this->tested;
  world.run([&world] {
    for (std::uint32_t thread = 0; thread < world.threads(); ++thread) {
      std::atomic<bool> woken{false};
      Completion ended{"ended"};
      engine::Fiber& self = *engine::t_thread.fiber;
      world.spawn_on(thread, "waker", [&] {
        woken = true;
        world.executor().unpark(self, std::source_location::current());
        ended.signal();
      });
      while (!woken)
        world.executor().park(waiting_for("waker"));
      ended.wait();
    }
  });
}

TYPED_TEST_P(ExecutorSuite, AnEarlyUnparkIsNotLost) {
  World& world = this->tested;
  world.run([&world] {
    engine::Fiber& self = *engine::t_thread.fiber;
    world.executor().unpark(self, std::source_location::current());
    world.executor().park(waiting_for("nobody"));   // returns at once
  });
}

TYPED_TEST_P(ExecutorSuite, YieldLetsTheOthersRun) {
  World& world = this->tested;
  world.run([&world] {
    std::atomic<bool> stop{false};
    Completion ended{"ended"};
    world.executor().spawn("other", [&] {
      stop = true;
      ended.signal();
    });
    while (!stop)
      engine::yield_now();
    ended.wait();
  });
}

TYPED_TEST_P(ExecutorSuite, FibersThatYieldToEachOtherDoNotKeepTimersFromFiring) {
  World& world = this->tested;
  world.run([&world] {
    std::atomic<bool> stop{false};
    Completion ended{"ended", 2};
    for (int i = 0; i < 2; ++i) {
      world.executor().spawn("yielder", [&] {
        engine::sleep_for(microseconds{10});
        stop = true;
        ended.signal();
      });
    }
    ended.wait();
    EXPECT_TRUE(stop);
  });
}

TYPED_TEST_P(ExecutorSuite, TimeNeverGoesBackAndSleepIsLongEnough) {
  World& world = this->tested;
  world.run([&world] {
    Nanos last = world.executor().now();
    EXPECT_GE(last, Nanos{0});
    for (int i = 0; i < 5; ++i) {
      engine::sleep_for(microseconds{200});
      const Nanos now = world.executor().now();
      EXPECT_GE(now - last, microseconds{200});
      last = now;
    }
  });
}

TYPED_TEST_P(ExecutorSuite, ATimerFiresOnceAfterItsDeadlineInCompletionContext) {
  World& world = this->tested;
  world.run([&world] {
    struct State {
      World& world;
      std::atomic<int> fired{0};
      Nanos fired_at{0};
      Completion done{"fired"};
    } state{world};
    engine::Timer timer{"timer",
                        [](void* argument) {
                          auto& s = *static_cast<State*>(argument);
                          EXPECT_FALSE(engine::may_block());
                          EXPECT_EQ(engine::current_context().kind,
                                    engine::ContextKind::completion);
                          s.fired_at = s.world.executor().now();
                          ++s.fired;
                          s.done.signal();
                        },
                        &state};
    const Nanos armed_at = world.executor().now();
    timer.arm_after(world.executor(), microseconds{300});
    state.done.wait();
    EXPECT_GE(state.fired_at - armed_at, microseconds{300});
    EXPECT_FALSE(timer.cancel_and_wait());
    engine::sleep_for(microseconds{500});
    EXPECT_EQ(state.fired, 1);
  });
}

TYPED_TEST_P(ExecutorSuite, ACancelledTimerDoesNotFire) {
  World& world = this->tested;
  world.run([&world] {
    std::atomic<int> fired{0};
    engine::Timer timer{"timer", [](void* count) { ++*static_cast<std::atomic<int>*>(count); },
                        &fired};
    EXPECT_FALSE(timer.cancel());
    timer.arm_after(world.executor(), std::chrono::seconds{100});
    EXPECT_TRUE(timer.cancel());
    EXPECT_FALSE(timer.cancel());
    timer.arm_after(world.executor(), milliseconds{1});
    const bool cancelled = timer.cancel_and_wait();
    const int fired_then = fired;
    EXPECT_EQ(fired_then, cancelled ? 0 : 1);
    engine::sleep_for(milliseconds{2});
    EXPECT_EQ(fired, fired_then);
  });
}

TYPED_TEST_P(ExecutorSuite, ArmingAgainMovesTheDeadline) {
  World& world = this->tested;
  world.run([&world] {
    Completion done{"fired"};
    engine::Timer timer{"timer", [](void* gate) { static_cast<Completion*>(gate)->signal(); },
                        &done};
    timer.arm_after(world.executor(), std::chrono::hours{1});
    const Nanos armed_at = world.executor().now();
    timer.arm_after(world.executor(), microseconds{100});
    done.wait();
    EXPECT_LT(world.executor().now() - armed_at, std::chrono::hours{1});
    timer.cancel_and_wait();
  });
}

TYPED_TEST_P(ExecutorSuite, TimersCanBeCancelledFromOtherThreads) {
  World& world = this->tested;
  world.run([&world] {
    std::atomic<int> fired{0};
    engine::Timer timer{"timer", [](void* count) { ++*static_cast<std::atomic<int>*>(count); },
                        &fired};
    for (std::uint32_t thread = 0; thread < world.threads(); ++thread) {
      fired = 0;
      Completion ended{"ended"};
      bool cancelled = false;
      timer.arm_after(world.executor(), microseconds{50});
      world.spawn_on(thread, "canceller", [&] {
        cancelled = timer.cancel_and_wait();
        ended.signal();
      });
      ended.wait();
      EXPECT_EQ(fired, cancelled ? 0 : 1);
    }
  });
}

REGISTER_TYPED_TEST_SUITE_P(
    ExecutorSuite, SpawnedBodiesRunOnceInWorkerContext, SpawnKeepsWhatTheBodyCaptured,
    FibersOnEveryThreadRun, ParkReturnsAfterUnparkFromAnyThread, AnEarlyUnparkIsNotLost,
    YieldLetsTheOthersRun, FibersThatYieldToEachOtherDoNotKeepTimersFromFiring,
    TimeNeverGoesBackAndSleepIsLongEnough, ATimerFiresOnceAfterItsDeadlineInCompletionContext,
    ACancelledTimerDoesNotFire, ArmingAgainMovesTheDeadline, TimersCanBeCancelledFromOtherThreads);

}   // namespace conformance
