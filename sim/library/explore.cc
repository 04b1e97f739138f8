#include "sim/library/explore.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/library/crashes.h"
#include "sim/library/explore_walks.h"
#include "sim/library/leaks.h"
#include "sim/library/time_limit.h"
#include "sim/lock_order.h"
#include "sim/operation.h"
#include "sim/shrink.h"
#include "sim/strategy_bounded.h"
#include "sim/strategy_dpor.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

// Dpor lets one go on for as long as it likes, and what it does for an execution grows with the
// square of its length.
constexpr std::uint64_t kUnfairPointsMax = 20'000;

// So many more walks than there were executions begun, where the first few leave it open how many
// schedules there are.
constexpr std::uint64_t kWalksOfBegun = 4;

SearchOptions as_search(const ExploreOptions& options, bool timers_race, bool lock_order = false) {
  return {.points_max = options.points_max,
          .fair_end = false,   // an exploration is fair by itself
          .stack_bytes = options.stack_bytes,
          .timers_race = timers_race,
          .lock_order = lock_order,
          .leaks = options.leaks,
          .shrink_tries = options.shrink_tries,
          .shrink_seconds = options.shrink_seconds};
}

// Locks taken in opposite orders, kept in mind until the end: an exploration that was complete
// without bounds has met the deadlock, if there is one, and it is the same executions whether
// anybody listens or not.
class OppositeOrders {
 public:
  OppositeOrders(Execution& execution, const ExploreOptions& options, bool timers_race)
      : execution_{execution}, options_{options}, timers_race_{timers_race} {}

  // Before a run of the execution, which has been reset.
  void listen() {
    if (!options_.lock_order || schedule_) return;
    locks_.listen();
  }
  // After it; it was the one of that number.
  void note(std::uint64_t ordinal) {
    if (!options_.lock_order || schedule_ || !locks_.has_seen()) return;
    schedule_ = execution_.outcome().schedule;
    ordinal_ = ordinal;
  }
  // The first that was noted.
  [[nodiscard]] std::optional<Found> found(const Program& program) const {
    if (!schedule_) return std::nullopt;
    Execution execution{{.stack_bytes = options_.stack_bytes}};
    LockOrder locks{execution};
    Replay strategy{*schedule_};
    execution.reset(
        {.strategy = &strategy, .points_max = options_.points_max, .timers_race = timers_race_});
    locks.listen();
    const Outcome& outcome = run_on_own_heap(execution, program);
    if (!outcome.finding) return std::nullopt;
    Found found = shrunk(program, outcome, as_search(options_, timers_race_, true));
    found.ordinal = ordinal_;
    return found;
  }

 private:
  Execution& execution_;
  const ExploreOptions& options_;
  const bool timers_race_;
  LockOrder locks_{execution_, LockOrder::Mode::remembers};
  std::optional<Schedule> schedule_{};
  std::uint64_t ordinal_ = 0;
};

// Runs it: what it does wrong. Null: nothing.
std::optional<Outcome> failed(LeakWatch& leaks, const Program& program,
                              const ExploreOptions& options, bool timers_race) {
  const Outcome& outcome = leaks.run(program);
  if (outcome.finding) return outcome;
  if (!leaks.lost()) return std::nullopt;
  return with_leak(program, outcome, as_search(options, timers_race));
}

Found found_by(const Program& program, const Outcome& outcome, const ExploreOptions& options,
               std::uint64_t ordinal, bool timers_race) {
  Found found = shrunk(program, outcome, as_search(options, timers_race));
  found.ordinal = ordinal;
  return found;
}

// With steps of the environment as free as any other, or within a bound.
Exploration explore_bounded(const Program& program, const ExploreOptions& options,
                            const TimeLimit& limit, ExploreWalks& walks) {
  Exploration result;
  Bounded search{{.preemptions = options.preemptions.value_or(Bounds::kNone),
                  .retries = options.retries,
                  .memory_max = options.memory_max}};
  walks.begin(&search);
  if (walks.differ()) return result;
  Execution execution{{.stack_bytes = options.stack_bytes}};
  LeakWatch leaks{execution, options.leaks, LeakWatch::Looks::each_time};
  OppositeOrders opposite_orders{execution, options, true};
  std::uint64_t executions = 0;
  std::uint64_t kept_waiting = 0;
  for (;;) {
    execution.reset({.strategy = &search, .points_max = options.points_max, .timers_race = true});
    opposite_orders.listen();
    const auto outcome = failed(leaks, program, options, true);
    ++executions;
    if (outcome) {
      result.found = found_by(program, *outcome, options, executions, true);
      break;
    }
    if (!search.was_cut_short()) kept_waiting += execution.timers_kept_waiting();
    opposite_orders.note(executions);
    if (!search.next()) {
      result.complete = true;
      break;
    }
    if (search.classes() >= options.executions_max || executions >= options.begun_max) break;
    if (limit.over()) break;
  }
  result.executions = search.classes();
  result.forgotten = search.forgotten().states + search.forgotten().classes;
  result.cut_short = executions - std::min(executions, search.classes());
  result.done = result.complete ? 1 : search.done();
  result.not_looked_for = leaks.not_looked_for();
  std::map<std::string, std::uint64_t> left_out = search.left_out();
  if (kept_waiting != 0) left_out[kTimerKeptWaiting] = kept_waiting;
  for (const auto& [what, times] : left_out)
    result.limits += fmt::format("{}{} times {}", result.limits.empty() ? "" : "; ", times, what);
  const bool is_all = result.complete && !options.preemptions && result.limits.empty();
  if (!result.found) walks.go_on(executions / kWalksOfBegun);
  result.interleavings = walks.estimated();
  if (!result.found && !is_all) result.found = opposite_orders.found(program);
  return result;
}

// As many preemptions as there may be.
Exploration explore_all(const Program& program, const ExploreOptions& options,
                        const TimeLimit& limit, ExploreWalks& walks) {
  Exploration result;
  walks.begin();
  if (walks.differ()) return result;
  Dpor search{options.retries};
  Execution execution{{.stack_bytes = options.stack_bytes}};
  LeakWatch leaks{execution, options.leaks, LeakWatch::Looks::each_time};
  OppositeOrders opposite_orders{execution, options, false};
  for (;;) {
    execution.reset(
        {.strategy = &search, .points_max = std::min(options.points_max, kUnfairPointsMax)});
    opposite_orders.listen();
    const auto outcome = failed(leaks, program, options, false);
    if (outcome && outcome->finding->kind == FindingKind::endless)
      return explore_bounded(program, options, limit, walks);
    if (!outcome && search.saw_environment())
      return explore_bounded(program, options, limit, walks);
    ++result.executions;
    if (outcome) {
      result.found = found_by(program, *outcome, options, result.executions, false);
      break;
    }
    opposite_orders.note(result.executions);
    if (!search.next()) {
      result.complete = true;
      break;
    }
    if (search.began_anew()) result.executions = 0;
    if (result.executions >= std::min(options.executions_max, options.begun_max)) break;
    if (limit.over()) break;
  }
  result.done = result.complete ? 1 : search.done();
  result.limits = search.left_out();
  const bool is_all = result.complete && result.limits.empty();
  if (!result.found) walks.go_on(result.executions / kWalksOfBegun);
  result.interleavings = walks.estimated();
  if (!result.found && !is_all) result.found = opposite_orders.found(program);
  result.not_looked_for = leaks.not_looked_for();
  return result;
}

// A walk that failed, though the exploration came upon nothing.
Found found_by_walk(const Program& program, const ExploreOptions& options,
                    const ExploreWalks& walks) {
  const Outcome& failed = *walks.failed();
  Execution execution{{.stack_bytes = options.stack_bytes}};
  Replay strategy{failed.schedule};
  execution.reset({.strategy = &strategy,
                   .points_max = options.points_max,
                   .timers_race = walks.timers_raced()});
  const Outcome& again = run_on_own_heap(execution, program);
  if (!again.finding || again.finding->signature() != failed.finding->signature())
    return not_deterministic("one of two runs of a schedule fails");
  return found_by(program, failed, options, 0, walks.timers_raced());
}

}   // namespace

Exploration explore(const Program& program, const ExploreOptions& options) {
  const CallersBegin callers{__builtin_frame_address(0)};
  const CrashesAreFindings crashes;
  const TimeLimit limit{options.seconds_max};
  ExploreWalks walks{program, options, limit};
  Exploration result = options.preemptions ? explore_bounded(program, options, limit, walks)
                                           : explore_all(program, options, limit, walks);
  // Those that were counted are interleavings, too.
  result.interleavings.is_at_least(static_cast<double>(result.executions));
  if (walks.differ()) {
    result.found = not_deterministic("two runs of one schedule differ");
  } else if (walks.failed() &&
             (!result.found || result.found->finding.kind == FindingKind::lock_order)) {
    result.found = found_by_walk(program, options, walks);
    result.complete = false;   // this one it has not seen
  }
  return result;
}

}   // namespace sim
