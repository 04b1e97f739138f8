// Runs a program in the tank under many seeds and several strategies.
#pragma once

#include <functional>
#include <optional>

#include <gtest/gtest.h>

#include "sim/execution.h"
#include "sim/strategy_pct.h"
#include "sim/strategy_pos.h"
#include "sim/strategy_random.h"

namespace fiber_test {

using Program = std::function<void(sim::Execution&)>;

inline constexpr std::uint64_t kSeeds = 300;

// The first finding in `seeds` executions of each strategy.
inline std::optional<sim::Finding> find_any(const Program& program, std::uint64_t seeds = kSeeds) {
  sim::RandomWalk walk{sim::RandomWalk::Temper::plain};
  sim::RandomWalk varied{sim::RandomWalk::Temper::varied};
  sim::Pct pct{{.depth_max = 3, .steps_expected = 100}};
  sim::Pos pos;
  sim::Execution execution;
  for (sim::Strategy* const strategy :
       {static_cast<sim::Strategy*>(&walk), static_cast<sim::Strategy*>(&varied),
        static_cast<sim::Strategy*>(&pct), static_cast<sim::Strategy*>(&pos)}) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      execution.reset({.seed = seed,
                       .strategy = strategy,
                       .points_max = 200'000,
                       .timers_race = seed % 2 == 1});
      const sim::Outcome& outcome = execution.run([&] { program(execution); });
      if (outcome.finding) return outcome.finding;
    }
  }
  return std::nullopt;
}

inline void expect_clean(const Program& program) {
  const auto found = find_any(program);
  EXPECT_FALSE(found) << found->place << ": " << found->message << '\n' << found->detail;
}

// The finding must come in the very first execution: what it checks does not depend on timing.
inline sim::Finding must_fail(const Program& program) {
  const auto found = find_any(program, 1);
  EXPECT_TRUE(found);
  return found.value_or(sim::Finding{});
}

}   // namespace fiber_test
