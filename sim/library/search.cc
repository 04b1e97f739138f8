#include "sim/library/search.h"

#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "sim/library/crashes.h"
#include "sim/library/explore.h"
#include "sim/library/leaks.h"
#include "sim/library/time_limit.h"
#include "sim/lock_order.h"
#include "sim/shrink.h"
#include "sim/strategies.h"
#include "sim/strategy_replay.h"

namespace sim {
Found not_deterministic(std::string message) {
  Found found{.ordinal = 1, .not_deterministic = true};
  found.finding.kind = FindingKind::checker;
  found.finding.place = "determinism";
  found.finding.message = std::move(message);
  found.finding.detail =
      "The program uses something that the tank does not control: memory that is not initialised, "
      "a clock, a thread, an address, or state that one run leaves for the next.";
  return found;
}

void expect(bool holds, std::string_view what, std::source_location where) {
  if (holds) [[likely]]
    return;
  engine::check_failed(engine::CheckKind::assertion, {}, std::string{what}, where);
}

namespace {

// Executions that fail abandon their stacks, so each try has an execution of its own.
Found smallest(const Program& program, const Outcome& outcome, const SearchOptions& options) {
  Found found{.finding = *outcome.finding,
              .schedule = outcome.schedule,
              .preemptions = outcome.preemptions,
              .digest = outcome.digest,
              .timers_race = options.timers_race};
  const std::string signature = found.finding.signature();
  const auto attempt = [&](const Schedule& schedule) -> std::optional<ShrinkTrial> {
    if (outcome.finding->kind == FindingKind::leak) {
      std::optional<LeakTrial> leak = leak_of(program, schedule, options);
      if (!leak) return std::nullopt;
      found.finding = std::move(leak->finding);
      found.digest = leak->digest;
      return ShrinkTrial{std::move(leak->schedule), leak->preemptions};
    }
    Execution execution{{.stack_bytes = options.stack_bytes}};
    LockOrder locks{execution};
    Replay strategy{schedule};
    execution.reset({.strategy = &strategy,
                     .points_max = options.points_max,
                     .fair_end = options.fair_end,
                     .timers_race = options.timers_race});
    if (options.lock_order) locks.listen();
    const Outcome& tried = run_on_own_heap(execution, program);
    if (!tried.finding || tried.finding->signature() != signature) return std::nullopt;
    found.finding = *tried.finding;
    found.digest = tried.digest;
    return ShrinkTrial{tried.schedule, tried.preemptions};
  };
  if (options.shrink_tries == 0) return found;
  const CrashesAreFindings crashes;
  const TimeLimit limit{options.shrink_seconds};
  const auto in_time = [&](const Schedule& schedule) {
    return limit.over() ? std::nullopt : attempt(schedule);
  };
  const auto best =
      shrink(outcome.schedule, one_by_one(in_time),
             {.tries_max = options.shrink_tries, .out_of_time = [&limit] { return limit.over(); }});
  if (!best) return found;
  found.schedule = best->best.schedule;
  found.preemptions = best->best.preemptions;
  static_cast<void>(attempt(found.schedule));   // the finding and digest of the best
  return found;
}

}   // namespace

Found shrunk(const Program& program, const Outcome& outcome, const SearchOptions& options) {
  const CallersBegin callers{__builtin_frame_address(0)};
  Found found = smallest(program, outcome, options);
  found.finding.spell_out();
  return found;
}

namespace {

// The shrinker takes preemptions away one by one, and may end where none of them can go though
// quite another schedule does with fewer: it is looked for among all of those.
void prefer_fewer_preemptions(const Program& program, const SearchOptions& options, Found& found) {
  if (options.shrink_tries == 0) return;
  const TimeLimit limit{options.shrink_seconds};
  for (std::uint32_t most = 0; most < found.preemptions && !limit.over(); ++most) {
    const double left = options.shrink_seconds > 0 ? limit.left() : 0;
    const Exploration within = explore(program, {.begun_max = options.shrink_tries / 4,
                                                 .points_max = options.points_max,
                                                 .stack_bytes = options.stack_bytes,
                                                 .seconds_max = left,
                                                 .shrink_tries = options.shrink_tries,
                                                 .shrink_seconds = left,
                                                 .preemptions = most,
                                                 .leaks = options.leaks,
                                                 .lock_order = false});
    if (!within.found || within.found->preemptions >= found.preemptions) continue;
    // Exploration lets timers race.
    Execution execution{{.stack_bytes = options.stack_bytes}};
    const Outcome& again = replay(execution, program, within.found->schedule,
                                  {.timers_race = options.timers_race,
                                   .points_max = options.points_max,
                                   .fair_end = options.fair_end,
                                   .lock_order = options.lock_order,
                                   .leaks = options.leaks});
    if (!again.finding || again.finding->signature() != found.finding.signature()) continue;
    found.finding = *again.finding;
    found.schedule = within.found->schedule;
    found.preemptions = within.found->preemptions;
    found.digest = again.digest;
    return;
  }
}

}   // namespace

SearchResult search(const Program& program, const SearchOptions& options) {
  const CallersBegin callers{__builtin_frame_address(0)};
  StrategyBox box;
  ENGINE_CHECK(box.choose(options.strategy), "no strategy '{}'", options.strategy);
  SearchResult result;
  const CrashesAreFindings crashes;
  const TimeLimit limit{options.seconds_max};
  Execution execution{{.stack_bytes = options.stack_bytes}};
  LockOrder locks{execution};
  LeakWatch leaks{execution, options.leaks, LeakWatch::Looks::ever_less};
  const auto run = [&](Strategy& strategy, std::uint64_t seed) -> const Outcome& {
    execution.reset({.seed = seed,
                     .strategy = &strategy,
                     .points_max = options.points_max,
                     .fair_end = options.fair_end,
                     .timers_race = options.timers_race});
    if (options.lock_order) locks.listen();
    const Outcome& outcome = leaks.run(program);
    result.points += outcome.points;
    return outcome;
  };
  for (std::uint64_t i = 0; i < options.schedules && !limit.over(); ++i) {
    const std::uint64_t seed = options.seed + i;
    Strategy& strategy = box.for_seed(i);
    const Outcome& outcome = run(strategy, seed);
    ++result.schedules;
    std::optional<Outcome> leaked;
    if (leaks.lost()) leaked = with_leak(program, outcome, options);
    result.not_looked_for = leaks.not_looked_for();
    if (outcome.finding || leaked) {
      result.found = shrunk(program, leaked ? *leaked : outcome, options);
      prefer_fewer_preemptions(program, options, *result.found);
      result.found->ordinal = result.schedules;
      return result;
    }
    if (i == 0 && !strategy.will_learn()) {
      Replay again{outcome.schedule};
      const std::uint64_t digest = outcome.digest;
      if (run(again, seed).digest != digest) {
        result.found = not_deterministic(fmt::format("two runs of seed {} differ", seed));
        return result;
      }
    }
  }
  return result;
}

const Outcome& replay(Execution& execution, const Program& program, const Schedule& schedule,
                      const ReplayOptions& options) {
  const CallersBegin callers{__builtin_frame_address(0)};
  const CrashesAreFindings crashes;
  Replay strategy{schedule};
  LockOrder locks{execution};
  execution.reset({.strategy = &strategy,
                   .points_max = options.points_max,
                   .fair_end = options.fair_end,
                   .timers_race = options.timers_race,
                   .trace = true,
                   .trace_atomics = true});
  if (options.lock_order) locks.listen();
  LeakWatch leaks{execution, options.leaks, LeakWatch::Looks::each_time};
  const Outcome& outcome = leaks.run(program);
  if (options.divergence != nullptr) *options.divergence = strategy.divergence();
  if (!leaks.lost()) return outcome;
  if (auto leak = leak_of(program, outcome.schedule,
                          {.points_max = options.points_max,
                           .fair_end = options.fair_end,
                           .timers_race = options.timers_race})) {
    leak->finding.spell_out();
    execution.report(std::move(leak->finding));
  }
  return outcome;
}

}   // namespace sim
