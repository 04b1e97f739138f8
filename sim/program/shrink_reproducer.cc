// Shrinking: the workload first, since every operation less shortens all schedules; then the
// schedule; then, with more patience, both again.
//
// A smaller workload is given the old schedule to replay and, failing that, a number of fresh
// seeds: decisions are named by who makes them, so most survive when something else is taken away.
// A schedule that a search has found is seldom close to the smallest one. So first those with
// hardly any preemption are sampled, which is cheap; what is taken from then on is reduced decision
// by decision.
#include <chrono>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "scenarios/shrink.h"
#include "scenarios/workload_text.h"
#include "sim/program/reproducer.h"
#include "sim/program/trials.h"
#include "sim/shrink.h"

namespace program {
namespace {

using Clock = std::chrono::steady_clock;

class Shrinker {
 public:
  Shrinker(Reproducer reproducer, const ShrinkLimits& limits)
      : best_{std::move(reproducer)}, limits_{limits}, trials_{best_} {}

  Reproducer run() {
    if (!trials_.begin()) return std::move(best_);
    until(kQuickShare);
    while (smaller_workload(kQuick)) {
    }
    until(kFirstShare);
    smaller_schedule();
    while (used() < 1) {
      const Reproducer before = best_;
      until((used() + 1) / 2);
      bool smaller = false;
      while (smaller_workload(limits_.seeds_per_candidate))
        smaller = true;
      if (!smaller) break;
      until(1);
      smaller_schedule();
      // Out of time half way, the plainer workload may be left with a schedule that nobody can
      // read.
      if (cost_of(best_) > cost_of(before)) return before;
    }
    return std::move(best_);
  }

 private:
  // Of the time: what workloads may take that are tried with a few seeds each, and that and the
  // first schedule together.
  static constexpr double kQuickShare = 0.35;
  static constexpr double kFirstShare = 0.6;
  static constexpr std::uint32_t kQuick = 16;
  static constexpr std::uint32_t kSparse = 200;   // schedules in a round
  static constexpr std::uint32_t kFewAtFirst = 1;
  static constexpr std::uint32_t kFewMax = 4;

  [[nodiscard]] double used() const {
    const std::chrono::duration<double> taken = Clock::now() - began_;
    return taken.count() / std::max(limits_.seconds_max, 1e-3);
  }
  void until(double share) { until_ = share; }
  [[nodiscard]] bool time_left() const { return used() < until_; }

  [[nodiscard]] static std::pair<std::size_t, std::size_t> cost_of(const Reproducer& each) {
    return {each.workload.operation_count() + each.preemptions, each.schedule.decisions.size()};
  }

  void say(std::string_view what) const {
    if (limits_.say)
      limits_.say(fmt::format("{}: {} operations, {} preemptions, {} decisions", what,
                              best_.workload.operation_count(), best_.preemptions,
                              best_.schedule.decisions.size()));
  }
  void take(sim::ShrinkTrial trial, std::string_view what) {
    best_.schedule = std::move(trial.schedule);
    best_.preemptions = trial.preemptions;
    say(what);
  }

  // The first candidate that fails with the schedule that there is, or one of so many others. One
  // that did not is not tried again but with more of them.
  bool smaller_workload(std::uint32_t fresh) {
    rc::Seq<scenarios::Workload> candidates = scenarios::shrinks(best_.workload);
    for (auto candidate = candidates.next(); candidate; candidate = candidates.next()) {
      if (!time_left()) return false;
      std::uint32_t& tried = tried_[scenarios::to_toml(*candidate)];
      if (std::exchange(tried, std::max(tried, fresh)) >= fresh) continue;
      auto found = trials_.search(*candidate, best_.schedule, fresh);
      if (!found) continue;
      best_.workload = *std::move(candidate);
      take(*std::move(found), "workload");
      return true;
    }
    return false;
  }

  void smaller_schedule() {
    static_cast<void>(fewer_preemptions(0, kFewAtFirst));
    fewer_decisions();
    if (fewer_preemptions(kFewAtFirst + 1, kFewMax)) fewer_decisions();
  }

  void fewer_decisions() {
    const auto attempt = [&](std::span<const sim::Schedule> candidates) {
      return trials_.replay(best_.workload, candidates);
    };
    auto small =
        sim::shrink(best_.schedule, attempt, {.out_of_time = [&] { return !time_left(); }});
    if (small) take(std::move(small->best), "schedule");
  }

  // More patience with more, as there are so many more of them.
  bool fewer_preemptions(std::uint32_t least, std::uint32_t most) {
    for (std::uint32_t few = least; few <= most && few < best_.preemptions; ++few) {
      for (std::uint32_t round = 0; round <= 2 * few && time_left(); ++round) {
        auto found = trials_.search_sparse(best_.workload, few, kSparse, ++series_);
        if (!found) continue;
        take(*std::move(found), "preemptions");
        return true;
      }
    }
    return false;
  }

  Reproducer best_;
  const ShrinkLimits& limits_;
  Trials trials_;
  std::map<std::string, std::uint32_t> tried_;   // workloads, with how many fresh schedules
  const Clock::time_point began_ = Clock::now();
  double until_ = 1;
  std::uint64_t series_ = 0;
};

}   // namespace

Reproducer shrink(Reproducer reproducer, const ShrinkLimits& limits) {
  return Shrinker{std::move(reproducer), limits}.run();
}

}   // namespace program
