// The primitives of engine/fiber under contention from every thread of a world.
#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include <gtest/gtest.h>

#include "engine/fiber/condition.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/ref_count.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "engine/fiber/work_queue.h"
#include "tests/conformance/world.h"

namespace conformance {

// Runs `body(i)` on `count` fibers spread over the threads and waits for them.
template <typename Body>
void on_many_fibers(World& world, std::uint32_t count, const Body& body) {
  engine::Completion ended{"all", count};
  for (std::uint32_t i = 0; i < count; ++i) {
    world.spawn_on(i % world.threads(), "one", [&ended, &body, i] {
      body(i);
      ended.signal();
    });
  }
  ended.wait();
}

template <typename W>
class PrimitivesSuite : public testing::Test {
 protected:
  W tested;
  static constexpr std::uint32_t kFibers = 6;
  static constexpr int kRounds = 8;
};
TYPED_TEST_SUITE_P(PrimitivesSuite);

TYPED_TEST_P(PrimitivesSuite, MutexExcludes) {
  World& world = this->tested;
  world.run([&world] {
    engine::Mutex mutex{"m"};
    int plain = 0;   // unprotected but for the mutex
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        const engine::MutexLock lock{mutex};
        const int before = plain;
        if (round % 3 == 0) engine::yield_now();
        plain = before + 1;
      }
    });
    EXPECT_EQ(plain, static_cast<int>(TestFixture::kFibers) * TestFixture::kRounds);
  });
}

TYPED_TEST_P(PrimitivesSuite, SpinLockExcludes) {
  World& world = this->tested;
  world.run([&world] {
    engine::SpinLock lock{"s"};
    engine::Mutex point{"point"};
    int plain = 0;
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        const engine::SpinGuard guard{lock};
        const int before = plain;
        if (point.try_lock()) point.unlock();   // two scheduling points
        plain = before + 1;
      }
    });
    EXPECT_EQ(plain, static_cast<int>(TestFixture::kFibers) * TestFixture::kRounds);
  });
}

TYPED_TEST_P(PrimitivesSuite, RwLockExcludesWritersAndAdmitsReaders) {
  World& world = this->tested;
  world.run([&world] {
    engine::RwLock lock{"rw"};
    int a = 0;
    int b = 0;
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t i) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        if (i % 3 == 0) {
          const engine::WriteLock write{lock};
          ++a;
          engine::yield_now();
          ++b;
        } else {
          const engine::ReadLock read{lock};
          const int seen = a;
          engine::yield_now();
          EXPECT_EQ(seen, b);
        }
      }
    });
    EXPECT_EQ(a, 2 * TestFixture::kRounds);
    EXPECT_EQ(b, a);
  });
}

TYPED_TEST_P(PrimitivesSuite, ConditionLosesNoWakeUp) {
  World& world = this->tested;
  world.run([&world] {
    engine::Mutex mutex{"m"};
    engine::Condition filled{"filled"};
    std::deque<int> queue;
    int taken = 0;
    constexpr std::uint32_t kPairs = 3;
    on_many_fibers(world, 2 * kPairs, [&](std::uint32_t i) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        if (i % 2 == 0) {
          {
            const engine::MutexLock lock{mutex};
            queue.push_back(round);
          }
          filled.notify_one();
        } else {
          const engine::MutexLock lock{mutex};
          filled.wait(mutex, [&] { return !queue.empty(); });
          queue.pop_front();
          ++taken;
        }
      }
    });
    EXPECT_EQ(taken, static_cast<int>(kPairs) * TestFixture::kRounds);
    EXPECT_TRUE(queue.empty());
  });
}

TYPED_TEST_P(PrimitivesSuite, CompletionMayDieAsSoonAsWaitReturns) {
  World& world = this->tested;
  world.run([&world] {
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t i) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        auto gate = std::make_unique<engine::Completion>("gate", 2);
        engine::Completion* const raw = gate.get();
        for (std::uint32_t s = 0; s < 2; ++s)
          world.spawn_on((i + s) % world.threads(), "signaller", [raw] { raw->signal(); });
        gate->wait();
        gate.reset();
      }
    });
  });
}

TYPED_TEST_P(PrimitivesSuite, RcuKeepsWhatReadersSee) {
  World& world = this->tested;
  world.run([&world] {
    engine::Rcu rcu{"rcu"};
    engine::Mutex point{"point"};
    struct Value {
      std::atomic<bool> alive{true};
    };
    std::vector<std::unique_ptr<Value>> values;
    for (int i = 0; i < TestFixture::kRounds + 1; ++i)
      values.push_back(std::make_unique<Value>());
    std::atomic<Value*> current{values[0].get()};
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t i) {
      for (int round = 0; round < TestFixture::kRounds; ++round) {
        if (i == 0) {
          Value* const old = current.exchange(values[static_cast<std::size_t>(round) + 1].get());
          rcu.synchronize();
          old->alive = false;
        } else {
          const engine::RcuSection section{rcu};
          Value* const seen = current;
          if (point.try_lock()) point.unlock();
          EXPECT_TRUE(seen->alive);
        }
      }
    });
  });
}

TYPED_TEST_P(PrimitivesSuite, RefCountDropsTheLastOnce) {
  World& world = this->tested;
  world.run([&world] {
    engine::RefCount references{"r"};
    std::atomic<int> last{0};
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t) {
      references.get();
      if (references.put()) ++last;
    });
    EXPECT_EQ(last, 0);
    EXPECT_TRUE(references.put());
    EXPECT_FALSE(references.get_unless_zero());
  });
}

TYPED_TEST_P(PrimitivesSuite, WorkQueueRunsEachQueuedWorkAndStops) {
  World& world = this->tested;
  world.run([&world] {
    struct Job {
      std::atomic<int> runs{0};
      engine::Work work{"job", [](void* self) { ++static_cast<Job*>(self)->runs; }, this};
    };
    engine::WorkQueue queue{world.executor(), "queue"};
    std::array<Job, TestFixture::kFibers> jobs;
    on_many_fibers(world, TestFixture::kFibers, [&](std::uint32_t i) {
      EXPECT_TRUE(queue.queue(jobs[i].work));
      queue.flush();
      EXPECT_EQ(jobs[i].runs, 1);
      queue.queue(jobs[i].work);
      const bool cancelled = queue.cancel_and_wait(jobs[i].work);
      EXPECT_EQ(jobs[i].runs, cancelled ? 1 : 2);
      jobs[i].runs = 1;
      queue.queue(jobs[i].work);
    });
    queue.stop();
    for (const Job& job : jobs)
      EXPECT_EQ(job.runs, 2);
  });
}

REGISTER_TYPED_TEST_SUITE_P(PrimitivesSuite, MutexExcludes, SpinLockExcludes,
                            RwLockExcludesWritersAndAdmitsReaders, ConditionLosesNoWakeUp,
                            CompletionMayDieAsSoonAsWaitReturns, RcuKeepsWhatReadersSee,
                            RefCountDropsTheLastOnce, WorkQueueRunsEachQueuedWorkAndStops);

}   // namespace conformance
