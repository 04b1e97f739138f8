#include "sim/program/reproducer.h"

#include <fmt/format.h>

#include "scenarios/workload_text.h"
#include "sim/program/child.h"
#include "sim/program/decision_log.h"
#include "sim/program/run.h"
#include "sim/strategy_replay.h"
#include "sim/trace_of.h"
#include "traces/reader.h"
#include "traces/writer.h"

namespace program {
namespace {

constexpr double kSecondsForOne = 60;

traces::Trace recorded(sim::Execution& execution, const Reproducer& reproducer) {
  traces::Trace trace = sim::trace_of(execution);
  trace.workload = scenarios::to_toml(reproducer.workload);
  trace.mutant = reproducer.mutant;
  trace.strategy = reproducer.strategy;
  trace.seed = reproducer.seed;
  return trace;
}

// A trace of a run that nobody saw the end of.
traces::Trace crash_trace(const Reproducer& reproducer, const ChildResult& child) {
  traces::Trace trace;
  trace.mutant = reproducer.mutant;
  trace.strategy = reproducer.strategy;
  trace.seed = reproducer.seed;
  trace.workload = scenarios::to_toml(reproducer.workload);
  trace.schedule = reproducer.schedule.to_text();
  trace.failed = true;
  trace.defect.kind = "crash";
  trace.defect.place = death_of(child);
  trace.defect.message =
      child.timed_out ? "one schedule did not end and reached no scheduling point"
                      : fmt::format("the process that ran the engine died: {}", death_of(child));
  return trace;
}

// Once more, with the decisions written down as they are made.
sim::Schedule decisions_until_death(const Reproducer& reproducer, const Before& before) {
  DecisionLog log;
  static_cast<void>(run_in_child(
      [&] {
        sim::StrategyBox box;
        if (!box.choose(reproducer.strategy)) return std::string{};
        if (before) before(box);
        sim::Execution execution;
        sim::Strategy& strategy = box.for_seed(reproducer.seed);
        if (learn(execution, reproducer.workload, strategy, reproducer.judges) != nullptr)
          return std::string{};
        Logged logged{strategy, log};
        static_cast<void>(
            run(execution, reproducer.workload,
                {.seed = reproducer.seed, .strategy = &logged, .judges = reproducer.judges}));
        return std::string{};
      },
      kSecondsForOne));
  return log.schedule();
}

}   // namespace

std::optional<traces::Trace> record(const Reproducer& reproducer, const Watch& watch) {
  const ChildResult child = run_in_child(
      [&] {
        sim::Execution execution;
        if (reproducer.crashes && reproducer.schedule.decisions.empty()) {
          sim::StrategyBox box;
          if (!box.choose(reproducer.strategy)) return std::string{};
          static_cast<void>(run(execution, reproducer.workload, box, reproducer.seed,
                                reproducer.judges, true, watch));
        } else {
          sim::Replay replay{reproducer.schedule};
          static_cast<void>(run(execution, reproducer.workload,
                                {.seed = reproducer.seed,
                                 .strategy = &replay,
                                 .trace = true,
                                 .judges = reproducer.judges,
                                 .watch = watch,
                                 .fair_end = reproducer.fair_end()}));
        }
        return traces::write_trace(recorded(execution, reproducer));
      },
      kSecondsForOne);
  if (!death_of(child).empty()) return crash_trace(reproducer, child);
  auto trace = traces::read_trace(child.bytes);
  if (!trace || !trace->failed) return std::nullopt;
  return *trace;
}

std::optional<Reproducer> reproduce(const scenarios::Workload& workload, std::uint64_t seed,
                                    const std::string& strategy, const std::string& mutant,
                                    const Judges& judges, const Before& before) {
  Reproducer found{
      .workload = workload, .seed = seed, .strategy = strategy, .mutant = mutant, .judges = judges};
  const ChildResult child = run_in_child(
      [&] {
        sim::StrategyBox box;
        if (!box.choose(strategy)) return std::string{};
        if (before) before(box);
        sim::Execution execution;
        sim::Strategy& chosen = box.for_seed(seed);
        // It may have failed where the strategy learnt.
        const sim::Outcome* const taught = learn(execution, workload, chosen, judges);
        const sim::Outcome& outcome =
            taught != nullptr
                ? *taught
                : run(execution, workload, {.seed = seed, .strategy = &chosen, .judges = judges});
        if (!outcome.finding) return std::string{};
        return fmt::format("{}\n{} {}\n{}", outcome.finding->signature(), outcome.preemptions,
                           taught != nullptr ? kLearningSeed : seed, outcome.schedule.to_text());
      },
      kSecondsForOne);
  if (const std::string death = death_of(child); !death.empty()) {
    found.crashes = true;
    found.schedule = decisions_until_death(found, before);
    found.signature = "crash " + death;
    return found;
  }
  const std::size_t first = child.bytes.find('\n');
  if (first == std::string::npos) return std::nullopt;
  const std::size_t second = child.bytes.find('\n', first + 1);
  found.signature = child.bytes.substr(0, first);
  const std::string numbers = child.bytes.substr(first + 1, second - first - 1);
  found.preemptions = std::stoull(numbers);
  found.seed = std::stoull(numbers.substr(numbers.find(' ')));
  auto schedule = sim::Schedule::from_text(std::string_view{child.bytes}.substr(second + 1));
  if (!schedule) return std::nullopt;
  found.schedule = *std::move(schedule);
  return found;
}

std::string replay_command(const std::filesystem::path& folder) {
  return fmt::format("wavetank replay {}", folder.string());
}

}   // namespace program
