// One execution of a workload in the tank.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include "scenarios/workload.h"
#include "sim/disk_image.h"
#include "sim/execution.h"
#include "sim/program/judges.h"
#include "sim/strategies.h"

namespace program {

// By the names of disks_of().
using DiskImages = std::map<std::string_view, sim::DiskImageRef>;

enum class Phase : std::uint8_t {
  setup,     // the system is built, and the set-up done
  actors,    // until the last of them has ended
  closing,   // what is left is judged
};

// For who wants to know of a run while it goes on.
struct Watch {
  // One has begun. The first has begun before anything else.
  std::function<void(Phase)> phase{};
  // The actors are about to start; they have not started yet, or have all ended.
  std::function<void(bool start)> actors{};
  // What a power cut has left of all disks. Some of it may be undecided as yet
  // (sim/undecided_pages.h); looking would decide it.
  std::function<void(const DiskImages&)> cut{};
  // All is over, and nobody will look at what that cut had left any more.
  std::function<void(const DiskImages&)> left{};
  // Outside of the run, when it has ended, also with a finding; not if its process dies.
  std::function<void()> over{};
  // When the actors have ended: is what has become of all to be judged?
  std::function<bool()> judged{};
  // Whatever the engine says of itself.
  std::function<void(const engine::Event&)> event{};
};

struct RunSpec {
  std::uint64_t seed = 0;
  sim::Strategy* strategy = nullptr;   // null: random walk
  bool trace = false;
  Judges judges{};
  Watch watch{};
  // Of the strategy alone, where others than `seed` are tried in the world that this one means.
  std::optional<std::uint64_t> strategy_seed{};
  bool fair_end = true;   // sim/execution.h
};

// A seed of runs in which timers may fire at any time.
inline constexpr std::uint64_t kTimersRaceSeed = std::uint64_t{1} << 32U;
// The seeds of runs in which what a power cut leaves is visited whole, image by image or by what is
// read of them; with that of racing timers added, those in which timers race as well. No search has
// them.
inline constexpr std::uint64_t kEveryImageSeed = 0x50494353;
inline constexpr std::uint64_t kEveryReadingSeed = 0x45414453;

// `execution` is reset and may be used again, unless the outcome has a finding: then it has
// abandoned fibers that hold what they held, and its process should end soon.
const sim::Outcome& run(sim::Execution& execution, const scenarios::Workload& workload,
                        const RunSpec& spec);

// The same with what `box` deals out for `seed`. A strategy that has to learn runs the workload
// once before; what that run finds is what comes back. The box knows one workload until it forgets.
const sim::Outcome& run(sim::Execution& execution, const scenarios::Workload& workload,
                        sim::StrategyBox& box, std::uint64_t seed, const Judges& judges,
                        bool trace = false, const Watch& watch = {});

// Of the walks that teach a strategy a workload.
inline constexpr std::uint64_t kLearningSeed = 0;
// Lets `strategy` learn the workload, if it has to, from a walk that is always the same, so that it
// does not matter which of the workload's schedules comes first. The walk's outcome, if it failed.
const sim::Outcome* learn(sim::Execution& execution, const scenarios::Workload& workload,
                          sim::Strategy& strategy, const Judges& judges, bool trace = false);

// The seeds of one schedule of a search: which workload, and what the strategy is seeded with.
struct SeedPair {
  std::uint64_t workload = 0;
  std::uint64_t schedule = 0;
};
[[nodiscard]] SeedPair seeds_of(std::uint64_t first_seed, std::uint64_t ordinal,
                                std::uint32_t schedules_per_workload);

}   // namespace program
