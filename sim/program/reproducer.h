// A failing run that can be had again: a workload, a schedule, and what it shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "scenarios/workload.h"
#include "sim/program/judges.h"
#include "sim/program/run.h"
#include "sim/schedule.h"
#include "sim/strategies.h"
#include "traces/trace.h"

namespace program {

// The strategy of what `wavetank explore` found.
inline constexpr std::string_view kExplored = "explore";

struct Reproducer {
  scenarios::Workload workload{};
  sim::Schedule schedule{};
  std::uint64_t seed = 0;   // of the schedule it was found with
  std::string strategy{};   // that found it
  std::string mutant{};
  std::string signature{};   // of the finding; shrinking keeps it
  std::uint64_t preemptions = 0;
  // The process dies of it: the schedule is what was decided until then. With an empty one the seed
  // and the strategy stand for it.
  bool crashes = false;
  Judges judges{};   // whose verdicts count
  // What an exploration found may have no end though fair turns would end it: it has its own way
  // of being fair.
  [[nodiscard]] bool fair_end() const noexcept { return strategy != kExplored; }
};

// Runs the schedule in a child process, where `watch` is told of it, and records it. Nothing: it
// does not fail in that way.
[[nodiscard]] std::optional<traces::Trace> record(const Reproducer& reproducer,
                                                  const Watch& watch = {});
using Before = std::function<void(sim::StrategyBox&)>;
// Finds out, in a child process, how the run of (workload, seed, strategy) fails, and keeps its
// schedule. `before` is run there first, with the box that deals out the strategy: it may learn.
// Nothing: it does not fail.
[[nodiscard]] std::optional<Reproducer> reproduce(const scenarios::Workload& workload,
                                                  std::uint64_t seed, const std::string& strategy,
                                                  const std::string& mutant, const Judges& judges,
                                                  const Before& before = {});

struct ShrinkLimits {
  double seconds_max = 60;   // of the processor; by the clock, four times as many
  std::uint32_t seeds_per_candidate = 200;
  std::function<void(const std::string&)> say;   // progress, one line each
};
// Fewer faults, fewer and plainer operations, a plainer system; then fewer decisions. Each result
// of the way has been seen to fail with the same signature. The last line that is said tells
// whether it went to the end: then no operation can go, nor two of a few, so that any of
// `seeds_per_candidate` schedules still fails, and no decision of the schedule.
[[nodiscard]] Reproducer shrink(Reproducer reproducer, const ShrinkLimits& limits);

// "wavetank replay out/deadlock-thin-pool": what a person types.
[[nodiscard]] std::string replay_command(const std::filesystem::path& folder);

}   // namespace program
