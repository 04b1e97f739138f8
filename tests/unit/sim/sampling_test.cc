// What the sampling strategies have in common.
#include "sim/sampling.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/mutex.h"
#include "sim/execution.h"
#include "sim/fiber_kinds.h"
#include "sim/library/thread.h"
#include "sim/library/variable.h"
#include "sim/strategies.h"
#include "sim/tsan.h"

namespace sim {
namespace {

constexpr std::uint64_t kSamplingSeeds = 400;

// Decides as Rounds do.
class InTurn final : public Strategy {
 public:
  void begin(std::uint64_t /*seed*/) override { rounds_.begin(); }
  std::uint32_t pick(const Choices& choices) override { return rounds_.pick(choices); }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t /*count*/,
                      std::uint32_t /*one_in*/) override {
    return 0;
  }

 private:
  Rounds rounds_;
};

TEST(Rounds, EverybodyTakesAStepTheYoungestFirst) {
  InTurn strategy;
  Execution execution{{.strategy = &strategy}};
  std::string order;
  execution.run([&] {
    engine::Atomic<int> x{"x"};
    Threads threads;
    for (const char who : {'a', 'b', 'c'}) {
      threads.start("step", [&, who] {
        for (int i = 0; i < 2; ++i) {
          x.fetch_add(1);
          const Hush hush;
          order += who;
        }
      });
    }
    threads.join();
  });
  EXPECT_EQ(order, "cbacba");
}

// Who cannot have a lock is passed over; who waits in a loop is not waited for.
TEST(Rounds, EndsWithLocksAndLoops) {
  InTurn strategy;
  Execution execution{{.strategy = &strategy, .points_max = 10'000}};
  const Outcome& outcome = execution.run([&] {
    engine::Mutex mutex{"mutex"};
    engine::Atomic<int> flag{"flag"};
    Threads threads;
    threads.start("set", [&] {
      const engine::MutexLock lock{mutex};
      flag.store(1);
    });
    threads.start("wait", [&] {
      while (flag.load() == 0)
        engine::yield_now();
      const engine::MutexLock lock{mutex};
    });
    threads.join();
  });
  EXPECT_FALSE(outcome.finding) << outcome.finding->message;
}

TEST(FiberKinds, AreToldByNameAndLine) {
  Execution execution;
  std::array<std::uint32_t, 4> kinds{};
  execution.run([&] {
    const auto note = [&](std::size_t which) {
      return [&, which] {
        const Hush hush;
        kinds[which] = execution.current().kind;
      };
    };
    Threads threads;
    for (const std::size_t which : {0U, 1U})
      threads.start("same", note(which));
    threads.start("other", note(2));
    threads.start("same", note(3));   // elsewhere
    threads.join();
  });
  EXPECT_EQ(kinds[0], kinds[1]);
  EXPECT_NE(kinds[0], kinds[2]);
  EXPECT_NE(kinds[0], kinds[3]);
  EXPECT_NE(kinds[2], kinds[3]);
}

// How often the only reader looks before any of `writers` has written, when all begin together.
std::uint64_t reader_first(const std::string& name, int writers) {
  StrategyBox box;
  EXPECT_TRUE(box.choose(name));
  Execution execution;
  std::uint64_t first = 0;
  for (std::uint64_t seed = 0; seed < kSamplingSeeds; ++seed) {
    execution.reset({.seed = seed, .strategy = &box.for_seed(seed)});
    execution.run([&] {
      engine::Completion gate{"gate"};
      Variable<int> x{"x"};
      Threads threads;
      for (int i = 0; i < writers; ++i) {
        threads.start("write", [&] {
          gate.wait();
          x.set(1);
        });
      }
      threads.start("read", [&] {
        gate.wait();
        if (x.get() == 0) ++first;
      });
      gate.signal();
      threads.join();
    });
  }
  return first;
}

// By fibers it would be one in thirty-two.
TEST(FiberKinds, ACrowdDoesNotOutvoteTheOnlyOneOfItsKind) {
  for (const char* const name : {"random", "pct", "pos", "urw", "surw", "guided", "portfolio"}) {
    EXPECT_GT(reader_first(name, 31), kSamplingSeeds / 10) << name;
    EXPECT_LT(reader_first(name, 31), kSamplingSeeds * 9 / 10) << name;
  }
}

// Somebody waits in a loop for one who needs many steps, beside one who would rather go first.
TEST(Sampling, WaitingInALoopEndsAndKeepsNobodyWaiting) {
  for (const char* const name : {"random", "pct", "pos", "urw", "surw", "guided", "portfolio"}) {
    StrategyBox box;
    ASSERT_TRUE(box.choose(name));
    Execution execution;
    for (std::uint64_t seed = 0; seed < kSamplingSeeds / 4; ++seed) {
      execution.reset({.seed = seed, .strategy = &box.for_seed(seed), .points_max = 20'000});
      const Outcome& outcome = execution.run([&] {
        engine::Atomic<int> flag{"flag"};
        engine::Atomic<int> work{"work"};
        Threads threads;
        threads.start("wait", [&] {
          while (flag.load() == 0)
            engine::yield_now();
          work.store(-1);
        });
        threads.start("work", [&] {
          for (int i = 0; i < 20; ++i)
            work.fetch_add(1);
          flag.store(1);
        });
        threads.start("look", [&] {
          while (work.load() >= 0)
            engine::yield_now();
        });
        threads.join();
      });
      ASSERT_FALSE(outcome.finding) << name << ' ' << seed << ": " << outcome.finding->message;
    }
  }
}

}   // namespace
}   // namespace sim
