#include "sim/program/run.h"

#include "scenarios/lab.h"
#include "sim/program/prepared_disks.h"
#include "sim/program/tank_world.h"

namespace program {
namespace {

// No workload of ours comes near; what does goes round in circles.
constexpr std::uint64_t kPointsMax = 400'000;

// What the locks and meeting points of scenarios/ are called, and nothing in engine/ is.
constexpr std::string_view kLab = "lab.";

// In one run of so many, fibers are slow: timers may fire before they are done. Decided by bits of
// the seed in which its neighbours are equal, so that shrinking stays with what it has.
constexpr std::uint64_t kSlowOneIn = 4;
bool fibers_are_slow(std::uint64_t seed) {
  return (seed >> 32U) % kSlowOneIn == 1;
}

// splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): makes
// seeds that differ by one unrelated.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ value >> 30U) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ value >> 27U) * 0x94D049BB133111EBULL;
  return value ^ value >> 31U;
}

}   // namespace

const sim::Outcome& run(sim::Execution& execution, const scenarios::Workload& workload,
                        const RunSpec& spec) {
  static PreparedDisks prepared_disks;   // one is enough: what it holds depends on nothing else
  const auto* const prepared =
      prepared_disks.of(workload.system, execution, spec.judges, spec.trace);
  if (prepared == nullptr) return execution.outcome();
  execution.reset({.seed = spec.seed,
                   .strategy = spec.strategy,
                   .points_max = kPointsMax,
                   .fair_end = spec.fair_end,
                   .timers_race = fibers_are_slow(spec.seed),
                   .trace = spec.trace,
                   .digest_events = spec.trace,
                   .lab = kLab,
                   .strategy_seed = spec.strategy_seed});
  const sim::Outcome& outcome = execution.run([&] {
    TankWorld world{execution, workload, spec.judges, spec.watch, *prepared};
    scenarios::Lab lab{world, workload};
    lab.run();
    world.tell_what_was_left();
  });
  if (spec.watch.over) spec.watch.over();
  return outcome;
}

const sim::Outcome* learn(sim::Execution& execution, const scenarios::Workload& workload,
                          sim::Strategy& strategy, const Judges& judges, bool trace) {
  if (!strategy.will_learn()) return nullptr;
  const sim::Outcome& outcome =
      run(execution, workload,
          {.seed = kLearningSeed, .strategy = &strategy, .trace = trace, .judges = judges});
  return outcome.finding ? &outcome : nullptr;
}

const sim::Outcome& run(sim::Execution& execution, const scenarios::Workload& workload,
                        sim::StrategyBox& box, std::uint64_t seed, const Judges& judges, bool trace,
                        const Watch& watch) {
  sim::Strategy& strategy = box.for_seed(seed);
  if (const sim::Outcome* const failed = learn(execution, workload, strategy, judges, trace))
    return *failed;
  return run(
      execution, workload,
      {.seed = seed, .strategy = &strategy, .trace = trace, .judges = judges, .watch = watch});
}

SeedPair seeds_of(std::uint64_t first_seed, std::uint64_t ordinal,
                  std::uint32_t schedules_per_workload) {
  const std::uint64_t workload = ordinal / schedules_per_workload;
  return {mixed(first_seed + workload), mixed(mixed(first_seed) ^ ordinal)};
}

}   // namespace program
