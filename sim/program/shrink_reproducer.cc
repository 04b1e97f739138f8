// Shrinking: the workload first, since every operation less shortens all schedules; then the
// schedule, decision by decision.
//
// A smaller workload is given the old schedule to replay and, failing that, a number of fresh
// seeds: decisions are named by who makes them, so most survive when something else is taken away.
#include <chrono>

#include <fmt/format.h>

#include "scenarios/shrink.h"
#include "sim/program/child.h"
#include "sim/program/decision_log.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/shrink.h"
#include "sim/strategy_replay.h"

namespace program {
namespace {

using Clock = std::chrono::steady_clock;

// splits "preemptions\nschedule".
std::optional<Reproducer> with_schedule(Reproducer base, const std::string& bytes) {
  const std::size_t line = bytes.find('\n');
  if (line == std::string::npos) return std::nullopt;
  auto schedule = sim::Schedule::from_text(std::string_view{bytes}.substr(line + 1));
  if (!schedule) return std::nullopt;
  base.preemptions = std::stoull(bytes.substr(0, line));
  base.schedule = *std::move(schedule);
  return base;
}

class Shrinker {
 public:
  Shrinker(Reproducer reproducer, const ShrinkLimits& limits)
      : best_{std::move(reproducer)},
        limits_{limits},
        until_{after(kWorkloadShare * limits.seconds_max)} {}

  Reproducer run() {
    while (smaller_workload())
      say("workload");
    if (!best_.crashes) {
      until_ = after((1 - kWorkloadShare) * limits_.seconds_max);
      smaller_schedule();
      say("schedule");
    }
    return std::move(best_);
  }

 private:
  // What a workload that will not get any smaller may take of the time; the schedule gets the rest.
  static constexpr double kWorkloadShare = 0.6;
  static Clock::time_point after(double seconds) {
    return Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{seconds});
  }
  [[nodiscard]] bool time_left() const { return Clock::now() < until_; }
  void say(std::string_view what) const {
    if (limits_.say)
      limits_.say(fmt::format("{}: {} operations, {} preemptions, {} decisions", what,
                              best_.workload.operation_count(), best_.preemptions,
                              best_.schedule.decisions.size()));
  }

  bool smaller_workload() {
    rc::Seq<scenarios::Workload> candidates = scenarios::shrinks(best_.workload);
    for (auto candidate = candidates.next(); candidate; candidate = candidates.next()) {
      if (!time_left()) return false;
      if (auto found = try_workload(*candidate)) {
        best_ = *std::move(found);
        return true;
      }
    }
    return false;
  }

  // In one child: the old schedule, then fresh seeds until one fails in the same way.
  std::optional<Reproducer> try_workload(const scenarios::Workload& candidate) {
    Reproducer tried = best_;
    tried.workload = candidate;
    const ChildResult child = run_in_child([&] { return search_here(candidate); }, 20);
    if (best_.crashes) {
      tried.schedule = log_.schedule();
      const bool again = "crash " + death_of(child) == best_.signature;
      if (!again || tried.schedule.decisions.empty()) return std::nullopt;
      return tried;
    }
    if (!child.ended || child.bytes.empty()) return std::nullopt;
    return with_schedule(std::move(tried), child.bytes);
  }

  std::string search_here(const scenarios::Workload& candidate) {
    sim::Execution execution;
    const auto failed = [&](const sim::Outcome& outcome) {
      return outcome.finding && outcome.finding->signature() == best_.signature;
    };
    const auto answer = [](const sim::Outcome& outcome) {
      return fmt::format("{}\n{}", outcome.preemptions, outcome.schedule.to_text());
    };
    // Of what kills the process the log tells.
    const auto logged = [&](sim::Strategy& strategy, std::uint64_t seed) {
      log_.clear();
      Logged each{strategy, log_};
      static_cast<void>(::program::run(execution, candidate,
                                       {.seed = seed, .strategy = &each, .judges = best_.judges}));
    };
    if (best_.crashes) {
      sim::Replay replay{best_.schedule};
      logged(replay, best_.seed);
    } else {
      sim::Replay replay{best_.schedule};
      const sim::Outcome& outcome = ::program::run(
          execution, candidate, {.seed = best_.seed, .strategy = &replay, .judges = best_.judges});
      if (failed(outcome)) return answer(outcome);
    }
    sim::StrategyBox box;
    if (!box.choose("portfolio")) return {};
    for (std::uint64_t i = 0; i < limits_.seeds_per_candidate; ++i) {
      const std::uint64_t seed = best_.seed + i;
      if (best_.crashes) {
        logged(box.for_seed(seed), seed);
        continue;
      }
      const sim::Outcome& outcome = ::program::run(execution, candidate, box, seed, best_.judges);
      if (failed(outcome)) return answer(outcome);
    }
    return {};
  }

  void smaller_schedule() {
    const auto attempt = [&](const sim::Schedule& schedule) -> std::optional<sim::ShrinkTrial> {
      const ChildResult child = run_in_child([&] { return replay_here(schedule); }, 20);
      if (!child.ended || child.bytes.empty()) return std::nullopt;
      auto found = with_schedule(best_, child.bytes);
      if (!found) return std::nullopt;
      return sim::ShrinkTrial{std::move(found->schedule), found->preemptions};
    };
    const auto small =
        sim::shrink(best_.schedule, attempt, {.out_of_time = [&] { return !time_left(); }});
    if (!small) return;
    best_.schedule = small->best.schedule;
    best_.preemptions = small->best.preemptions;
  }

  std::string replay_here(const sim::Schedule& schedule) {
    sim::Execution execution;
    sim::Replay replay{schedule};
    const sim::Outcome& outcome =
        ::program::run(execution, best_.workload,
                       {.seed = best_.seed, .strategy = &replay, .judges = best_.judges});
    if (!outcome.finding || outcome.finding->signature() != best_.signature) return {};
    return fmt::format("{}\n{}", outcome.preemptions, outcome.schedule.to_text());
  }

  Reproducer best_;
  DecisionLog log_;
  const ShrinkLimits& limits_;
  Clock::time_point until_;
};

}   // namespace

Reproducer shrink(Reproducer reproducer, const ShrinkLimits& limits) {
  return Shrinker{std::move(reproducer), limits}.run();
}

}   // namespace program
