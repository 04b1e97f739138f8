// Exploration against a model without a tank: how many executions it has, and how many it says that
// there would be without reduction.
#include <cmath>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/rw_lock.h"
#include "sim/rng.h"
#include "sim/tank.h"
#include "tests/unit/library/program_model.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using unit::Does;
using unit::ProgramModel;

void run(const unit::Program& threads) {
  std::deque<engine::Atomic<int>> atomics;
  std::deque<engine::Mutex> mutexes;
  std::deque<engine::RwLock> rw_locks;
  for (int i = 0; i < 2; ++i) {
    atomics.emplace_back("atomic");
    mutexes.emplace_back("mutex");
    rw_locks.emplace_back("rw_lock");
  }
  Threads all;
  for (const unit::Thread& thread : threads) {
    all.start("thread", [&] {
      for (const auto& [does, object] : thread) {
        switch (does) {
          case Does::load:
            static_cast<void>(atomics[object].load());
            break;
          case Does::store:
            atomics[object].store(1);
            break;
          case Does::add:
            atomics[object].fetch_add(1);
            break;
          case Does::lock:
            mutexes[object].lock();
            break;
          case Does::unlock:
            mutexes[object].unlock();
            break;
          case Does::lock_shared:
            rw_locks[object].lock_shared();
            break;
          case Does::unlock_shared:
            rw_locks[object].unlock_shared();
            break;
          case Does::lock_alone:
            rw_locks[object].lock();
            break;
          case Does::unlock_alone:
            rw_locks[object].unlock();
            break;
        }
      }
    });
  }
  all.join();
}

constexpr std::optional<std::uint32_t> kBounds[]{{}, {0U}, {1U}, {2U}};

TEST(Explore, CountsWhatAModelCounts) {
  Rng rng{17};
  std::uint64_t all = 0;
  for (std::uint32_t round = 0; round < 150; round += unit::sparse()) {
    const unit::Program threads = unit::DrawnProgram{rng, 4, unit::Nested::no}.threads;
    for (const auto& preemptions : kBounds) {
      const Exploration explored =
          explore([&] { run(threads); }, {.preemptions = preemptions, .lock_order = false});
      EXPECT_TRUE(explored.complete && !explored.found);
      EXPECT_EQ(explored.executions, ProgramModel(threads, preemptions).classes())
          << "round " << round << ", at most " << preemptions.value_or(~0U);
      all += explored.executions;
    }
  }
  EXPECT_GT(all, unit::sparse() == 1 ? 1'000U : 0U);
}

// Readers put before a writer in more than one order, and one that has to be before another that
// would come first.
TEST(Explore, CountsReadersBeforeAWriterWhereTheOrderOfTheirMovesMatters) {
  const unit::Thread writer{{Does::lock_alone, 0}, {Does::unlock_alone, 0}};
  const unit::Thread reader{{Does::lock_shared, 0}, {Does::unlock_shared, 0}};
  const std::vector<unit::Program> programs{
      {writer, reader, reader},
      {writer, reader, reader, reader},
      {writer, writer, reader, reader},
      {{{Does::add, 0}},
       {{Does::lock_alone, 0}, {Does::store, 0}, {Does::unlock_alone, 0}},
       {{Does::lock_shared, 0}, {Does::unlock_shared, 0}, {Does::add, 1}},
       {{Does::lock_shared, 0}, {Does::store, 0}, {Does::unlock_shared, 0}}},
      {{{Does::load, 0}},
       {{Does::lock_alone, 0}, {Does::add, 0}, {Does::store, 1}, {Does::unlock_alone, 0}},
       {{Does::lock_alone, 0},
        {Does::unlock_alone, 0},
        {Does::lock_shared, 0},
        {Does::load, 0},
        {Does::store, 1},
        {Does::unlock_shared, 0}},
       {{Does::lock_shared, 0}, {Does::add, 0}, {Does::store, 0}, {Does::unlock_shared, 0}}}};
  for (std::size_t i = 0; i < programs.size(); ++i) {
    const Exploration explored = explore([&] { run(programs[i]); }, {.lock_order = false});
    EXPECT_TRUE(explored.complete && !explored.found);
    EXPECT_EQ(explored.executions, ProgramModel(programs[i]).classes()) << i;
  }
}

TEST(Explore, FindsADeadlockWhereAModelGetsStuck) {
  Rng rng{19};
  std::uint32_t stuck = 0;
  std::uint32_t clean = 0;
  for (std::uint32_t round = 0; round < 150; round += unit::sparse()) {
    const unit::Program threads = unit::DrawnProgram{rng, 3, unit::Nested::yes}.threads;
    for (const auto& preemptions : kBounds) {
      const Exploration explored =
          explore([&] { run(threads); },
                  {.shrink_tries = 0, .preemptions = preemptions, .lock_order = false});
      ProgramModel model{threads, preemptions};
      const bool is_stuck = model.can_get_stuck();
      EXPECT_EQ(explored.found.has_value(), is_stuck)
          << "round " << round << ", at most " << preemptions.value_or(~0U);
      ++(is_stuck ? stuck : clean);
      if (explored.found) {
        EXPECT_EQ(explored.found->finding.kind, FindingKind::deadlock);
      } else {
        EXPECT_TRUE(explored.complete);
        EXPECT_EQ(explored.executions, model.classes()) << round;
      }
    }
  }
  if (unit::sparse() > 1) return;
  EXPECT_GT(stuck, 30U);
  EXPECT_GT(clean, 100U);
}

// Each estimate is of the schedules within the bound, and so is their mean, much closer.
TEST(Explore, EstimatesTheSchedulesThatAModelCounts) {
  if (unit::sparse() > 1) GTEST_SKIP() << "all of it or nothing";
  Rng rng{18};
  for (const auto& preemptions : kBounds) {
    double sum = 0;
    std::uint32_t programs = 0;
    std::uint32_t in_range = 0;
    for (; programs < 40; ++programs) {
      const unit::Program threads = unit::DrawnProgram{rng, 5, unit::Nested::no}.threads;
      const double schedules = ProgramModel(threads, preemptions).schedules();
      // The exploration is not waited for: what it counts must not mend the estimate.
      const Exploration explored = explore(
          [&] { run(threads); },
          {.executions_max = 1, .probes = 1000, .preemptions = preemptions, .lock_order = false});
      EXPECT_NEAR(explored.interleavings.number / schedules, 1, 0.5)
          << schedules << " of program " << programs << ", at most " << preemptions.value_or(~0U);
      sum += explored.interleavings.number / schedules;
      const Estimated& range = explored.interleavings;
      const double rounding = schedules * 1e-9;
      in_range += range.low <= schedules + rounding && schedules <= range.high + rounding ? 1 : 0;
    }
    EXPECT_GE(in_range, programs * 9 / 10) << "at most " << preemptions.value_or(~0U);
    EXPECT_NEAR(sum / programs, 1, 0.02) << "at most " << preemptions.value_or(~0U);
  }
}

// What it says of its share, against how much there was in the end.
TEST(Explore, SaysHowMuchIsLeft) {
  if (unit::sparse() > 1) GTEST_SKIP() << "all of it or nothing";
  Rng rng{33};
  double wrong_by = 0;
  std::uint32_t times = 0;
  for (std::uint32_t round = 0; round < 60; ++round) {
    const unit::Program threads = unit::DrawnProgram{rng, 8, unit::Nested::no}.threads;
    const Program program = [&] { run(threads); };
    ExploreOptions options{.preemptions = 1 + round % 3, .lock_order = false};
    const Exploration all = explore(program, options);
    const std::uint64_t begun = all.executions + all.cut_short;
    if (begun < 100 || begun > 5'000) continue;
    for (const std::uint64_t percent : {20, 50, 80, 95}) {
      options.begun_max = begun * percent / 100;
      const double share = static_cast<double>(percent) / 100;
      const double done = explore(program, options).done;
      EXPECT_NEAR(done, share, 0.6) << round << " after " << percent << " %";
      wrong_by += std::abs(done - share);
      ++times;
    }
  }
  EXPECT_GT(times, 40U);
  EXPECT_LT(wrong_by / times, 0.2);
}

}   // namespace
}   // namespace sim
