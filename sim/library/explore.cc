#include "sim/library/explore.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/library/crashes.h"
#include "sim/library/leaks.h"
#include "sim/library/time_limit.h"
#include "sim/rng.h"
#include "sim/shrink.h"
#include "sim/strategy_bounded.h"
#include "sim/strategy_dpor.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

// Product of the numbers of ways at each operation of a random walk: its mean over walks is the
// number of interleavings (D. Knuth, "Estimating the efficiency of backtrack programs", 1975).
class Probe final : public Strategy {
 public:
  void begin(std::uint64_t seed) override {
    rng_.reseed(seed);
    ways_ = 1;
  }
  std::uint32_t pick(const Choices& choices) override {
    if (choices.fibers.empty()) return choices.fallback;
    const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
    ways_ *= fibers;
    return rng_.below(fibers);
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                      std::uint32_t /*one_in*/) override {
    ways_ *= count;
    return rng_.below(count);
  }
  [[nodiscard]] double ways() const noexcept { return ways_; }

 private:
  Rng rng_;
  double ways_ = 1;
};

constexpr std::uint32_t kProbesInVain = 10;

double interleavings(const Program& program, const ExploreOptions& options) {
  double sum = 0;
  std::uint32_t ended = 0;
  Execution execution{{.stack_bytes = options.stack_bytes}};
  Probe probe;
  // Where all walks fail nothing is learnt, and some take long for it.
  for (std::uint32_t i = 0; i < options.probes && (ended != 0 || i < kProbesInVain); ++i) {
    execution.reset({.seed = i, .strategy = &probe, .points_max = options.points_max});
    if (execution.run(program).finding) continue;
    sum += probe.ways();
    ++ended;
  }
  return ended == 0 ? 0 : sum / ended;
}

// Dpor lets one go on for as long as it likes, and what it does for an execution grows with the
// square of its length.
constexpr std::uint64_t kUnfairPointsMax = 20'000;

// A few of these also tell which objects are shared.
constexpr std::uint32_t kProbesMin = 4;

double interleavings_within(const Program& program, const ExploreOptions& options,
                            Bounded& search) {
  double sum = 0;
  std::uint32_t ended = 0;
  Execution execution{{.stack_bytes = options.stack_bytes}};
  const std::uint32_t probes = std::max(options.probes, kProbesMin);
  for (std::uint32_t i = 0; i < probes && (ended != 0 || i < kProbesInVain); ++i) {
    search.probe(i);
    execution.reset({.strategy = &search, .points_max = options.points_max, .timers_race = true});
    if (execution.run(program).finding) continue;
    sum += search.ways();
    ++ended;
  }
  search.end_probes();
  return ended == 0 || options.probes == 0 ? 0 : sum / ended;
}

SearchOptions as_search(const ExploreOptions& options, bool timers_race) {
  return {.points_max = options.points_max,
          .stack_bytes = options.stack_bytes,
          .timers_race = timers_race,
          .lock_order = false,
          .leaks = options.leaks,
          .shrink_tries = options.shrink_tries,
          .shrink_seconds = options.shrink_seconds};
}

// Runs it: what it does wrong. Null: nothing.
std::optional<Outcome> failed(LeakWatch& leaks, const Program& program,
                              const ExploreOptions& options, bool timers_race) {
  const Outcome& outcome = leaks.run(program);
  if (outcome.finding) return outcome;
  if (!leaks.lost()) return std::nullopt;
  return with_leak(program, outcome, as_search(options, timers_race));
}

Found found_by(const Program& program, const Outcome& outcome, const ExploreOptions& options,
               std::uint64_t executions, bool timers_race) {
  Found found = shrunk(program, outcome, as_search(options, timers_race));
  found.ordinal = executions + 1;
  return found;
}

// With steps of the environment as free as any other, or within a bound.
Exploration explore_bounded(const Program& program, const ExploreOptions& options,
                            const TimeLimit& limit) {
  Exploration result;
  Bounded search{
      {.preemptions = options.preemptions.value_or(Bounds::kNone), .retries = options.retries}};
  result.interleavings = interleavings_within(program, options, search);
  Execution execution{{.stack_bytes = options.stack_bytes}};
  LeakWatch leaks{execution, options.leaks};
  std::uint64_t executions = 0;
  for (;;) {
    execution.reset({.strategy = &search, .points_max = options.points_max, .timers_race = true});
    if (const auto outcome = failed(leaks, program, options, true)) {
      result.found = found_by(program, *outcome, options, executions, true);
      break;
    }
    ++executions;
    if (!search.next()) {
      result.complete = true;
      break;
    }
    if (executions >= options.executions_max || limit.over()) break;
  }
  result.executions = search.classes();
  result.cut_short = executions - std::min(executions, search.classes());
  result.done = result.complete ? 1 : search.done();
  result.not_looked_for = leaks.not_looked_for();
  for (const auto& [what, times] : search.left_out())
    result.limits += fmt::format("{}{} times {}", result.limits.empty() ? "" : "; ", times, what);
  return result;
}

}   // namespace

Exploration explore(const Program& program, const ExploreOptions& options) {
  const CallersBegin callers{__builtin_frame_address(0)};
  const CrashesAreFindings crashes;
  const TimeLimit limit{options.seconds_max};
  if (options.preemptions) return explore_bounded(program, options, limit);
  Exploration result;
  result.interleavings = interleavings(program, options);
  Dpor search{options.retries};
  Execution execution{{.stack_bytes = options.stack_bytes}};
  LeakWatch leaks{execution, options.leaks};
  for (;;) {
    execution.reset(
        {.strategy = &search, .points_max = std::min(options.points_max, kUnfairPointsMax)});
    const auto outcome = failed(leaks, program, options, false);
    if (outcome && outcome->finding->kind == FindingKind::endless)
      return explore_bounded(program, options, limit);
    if (outcome) {
      result.found = found_by(program, *outcome, options, result.executions, false);
      break;
    }
    if (search.saw_environment()) return explore_bounded(program, options, limit);
    ++result.executions;
    if (!search.next()) {
      result.complete = true;
      break;
    }
    if (search.began_anew()) result.executions = 0;
    if (result.executions >= options.executions_max || limit.over()) break;
  }
  result.done = result.complete ? 1 : search.done();
  result.limits = search.left_out();
  result.not_looked_for = leaks.not_looked_for();
  return result;
}

}   // namespace sim
