// With ThreadSanitizer the tank reports the unlocked accesses of simulated fibers, and only those.
#include "sim/tsan.h"

#include <gtest/gtest.h>

#include "engine/base/sanitizers.h"
#include "engine/fiber/mutex.h"
#include "sim/execution.h"
#include "tests/unit/sim/busy_program.h"

namespace sim {
namespace {

[[maybe_unused]] void increments(bool locked) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Execution execution{{.seed = seed}};
    execution.run([&] {
      struct State {
        engine::Mutex mutex{"count"};
        engine::Mutex elsewhere{"elsewhere"};
        int count = 0;
        engine::Completion ended{"ended", 2};
      } state;
      for (int i = 0; i < 2; ++i) {
        execution.spawn("counter", [&] {
          if (locked) {
            const engine::MutexLock lock{state.mutex};
            ++state.count;
          } else {
            ++state.count;
          }
          state.ended.signal();
        });
      }
      state.ended.wait();
    });
  }
}

TEST(ThreadSanitizer, ReportsAPlantedRace) {
#if WAVETANK_TSAN
  engine::Fiber::prepare_fork();
  EXPECT_EXIT(
      {
        increments(false);
        std::exit(0);
      },
      testing::ExitedWithCode(66), "data race");
#else
  GTEST_SKIP() << "another build";
#endif
}

TEST(ThreadSanitizer, ReportsNothingElse) {
#if WAVETANK_TSAN
  engine::Fiber::prepare_fork();
  EXPECT_EXIT(
      {
        increments(true);
        for (std::uint64_t seed = 0; seed < 50; ++seed) {
          Execution execution{{.seed = seed}};
          execution.run([&] { busy_program(execution); });
        }
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
#else
  GTEST_SKIP() << "another build";
#endif
}

}   // namespace
}   // namespace sim
