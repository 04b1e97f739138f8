// Shrinking: the workload first, since every operation less shortens all schedules, at first with a
// few schedules for each candidate and then, with more patience, with many; then the schedule; and
// both again until neither becomes smaller.
//
// A smaller workload is given the old schedule to replay and, failing that, a number of fresh
// seeds: decisions are named by who makes them, so most survive when something else is taken away.
// A schedule that a search has found is seldom close to the smallest one. So first those with
// hardly any preemption are sampled, which is cheap; what is taken from then on is reduced decision
// by decision.
#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include <sys/resource.h>

#include <fmt/format.h>

#include "scenarios/shrink.h"
#include "scenarios/shrink_operations.h"
#include "scenarios/workload_text.h"
#include "sim/program/reproducer.h"
#include "sim/program/trials.h"
#include "sim/shrink.h"

namespace program {
namespace {

using Clock = std::chrono::steady_clock;

// Of this process and of its children that have ended.
double processor_seconds() noexcept {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime})
      seconds += static_cast<double>(part.tv_sec) + 1e-6 * static_cast<double>(part.tv_usec);
  }
  return seconds;
}

class Shrinker {
 public:
  Shrinker(Reproducer reproducer, const ShrinkLimits& limits)
      : best_{std::move(reproducer)}, limits_{limits}, trials_{best_} {}

  Reproducer run() {
    if (!trials_.begin()) return std::move(best_);
    until(kQuickShare);
    while (smaller_workload(kQuick)) {
      core(kQuick / 2);
      simpler_schedule();
    }
    // Out of time half way, the plainer workload may be left with a schedule that nobody can read.
    std::optional<Reproducer> smallest;
    bool smaller = true;
    bool done = false;
    while (smaller && !done && used() < 1) {
      until((used() + 1) / 2);
      smaller = patiently_smaller_workload();
      const bool all_tried = time_left();
      until(1);
      done = smaller_schedule() && all_tried && !smaller && time_left();
      if (!smaller && !all_tried) smaller = used() < 1;
      if (!smallest || cost_of(best_) <= cost_of(*smallest)) smallest = best_;
    }
    if (smallest) best_ = *std::move(smallest);
    if (!done) {
      say("out of time");
    } else {
      say(cut_short_ ? "to the end, hurried" : "to the end");
    }
    return std::move(best_);
  }

 private:
  static constexpr double kClockTimes = 4;
  // Of the time: what workloads may take that are tried with a few seeds each.
  static constexpr double kQuickShare = 0.5;
  static constexpr std::uint32_t kQuick = 16;
  static constexpr std::uint32_t kSparse = 200;      // schedules in a round
  static constexpr std::uint32_t kRounds = 3;        // and one for each preemption
  static constexpr std::uint32_t kRoundsOfFew = 8;   // the same, of so few operations
  static constexpr std::size_t kFewOperations = 6;
  static constexpr std::uint32_t kFewAtFirst = 1;
  static constexpr std::uint32_t kFewMax = 4;
  static constexpr std::uint32_t kSparseInPassing = 60;
  static constexpr std::size_t kSimple = 12;   // decisions
  static constexpr std::size_t kFewActors = 4;

  // A share of the time, from 0 to 1. It is what the processor has spent here and in the trials, so
  // that a busy machine shrinks as far; by the clock, only what is a few times as long.
  [[nodiscard]] double used() const {
    const std::chrono::duration<double> taken = Clock::now() - began_;
    return std::max(processor_seconds() - began_at_, taken.count() / kClockTimes) /
           std::max(limits_.seconds_max, 1e-3);
  }
  void until(double share) { until_ = share; }
  // Where it says no, what comes of it all depends on how fast the processor is.
  [[nodiscard]] bool time_left() {
    const bool left = used() < until_;
    cut_short_ |= !left;
    return left;
  }

  [[nodiscard]] static std::pair<std::size_t, std::size_t> cost_of(const Reproducer& each) {
    return {each.workload.operation_count() + each.preemptions, each.schedule.decisions.size()};
  }

  void say(std::string_view what) const {
    if (limits_.say)
      limits_.say(fmt::format("{}: {} operations, {} preemptions, {} decisions, in {} executions",
                              what, best_.workload.operation_count(), best_.preemptions,
                              best_.schedule.decisions.size(), trials_.executions()));
  }
  void take(sim::ShrinkTrial trial, std::string_view what) {
    trials_.take();
    reduce_to(std::move(trial), what);
  }
  // Of the workload that there is, and of decisions that it had.
  void reduce_to(sim::ShrinkTrial trial, std::string_view what) {
    best_.schedule = std::move(trial.schedule);
    best_.preemptions = trial.preemptions;
    say(what);
  }

  // The first candidate that fails with the schedule that there is, or one of so many others. Goes
  // on where the last one did, as what comes before has just been in vain, and then from the start.
  bool smaller_workload(std::uint32_t fresh) {
    const std::size_t begin = std::exchange(place_, 0);
    return smaller_workload(fresh, begin, std::numeric_limits<std::size_t>::max()) ||
           smaller_workload(fresh, 0, begin);
  }
  bool smaller_workload(std::uint32_t fresh, std::size_t begin, std::size_t end) {
    rc::Seq<scenarios::Workload> candidates = scenarios::shrinks(best_.workload);
    std::size_t place = 0;
    for (auto candidate = candidates.next(); candidate && place != end;
         candidate = candidates.next(), ++place) {
      if (place < begin || *candidate == best_.workload) continue;
      if (!time_left()) return false;
      if (!fails(*candidate, fresh)) continue;
      place_ = place;
      return true;
    }
    return false;
  }
  // Once the workload is small, and again when it has become smaller by a quarter.
  void core(std::uint32_t fresh) {
    if (best_.workload.operation_count() * 4 > cored_at_ * 3) return;
    rc::Seq<scenarios::Workload> candidates = scenarios::cores(best_.workload);
    for (auto candidate = candidates.next(); candidate; candidate = candidates.next()) {
      cored_at_ = best_.workload.operation_count();
      if (candidate->operation_count() >= cored_at_) continue;
      if (!time_left() || fails(*candidate, fresh)) return;
    }
  }
  // Until none of the candidates fails with as many schedules as are allowed, or the time is over.
  bool patiently_smaller_workload() {
    bool smaller = false;
    const std::uint32_t most = limits_.seeds_per_candidate;
    for (const std::uint32_t fresh : {most / 4, most}) {
      while (smaller_workload(fresh)) {
        smaller = true;
        core(fresh);
      }
    }
    return smaller;
  }
  // One that did not is not tried again but with more schedules.
  bool fails(const scenarios::Workload& candidate, std::uint32_t fresh) {
    std::uint32_t& tried = tried_[scenarios::to_toml(candidate)];
    if (std::exchange(tried, std::max(tried, fresh)) >= fresh) return false;
    auto found = trials_.search(candidate, best_.schedule, fresh);
    // A workload that is plainer, and no shorter, is not worth a schedule that nobody can read.
    const bool worse = found && best_.preemptions <= kFewMax &&
                       found->preemptions > best_.preemptions &&
                       candidate.operation_count() >= best_.workload.operation_count();
    if (worse)
      found = trials_.search_sparse(candidate, static_cast<std::uint32_t>(best_.preemptions),
                                    kSparseInPassing, ++series_);
    if (!found) return false;
    best_.workload = candidate;
    take(*std::move(found), "workload");
    return true;
  }

  // Of few decisions most hold in a smaller workload, and one execution says so. Tried again when
  // the workload has become smaller by a quarter.
  void simpler_schedule() {
    const std::size_t operations = best_.workload.operation_count();
    if (best_.schedule.decisions.size() <= kSimple || operations * 4 > simplified_at_ * 3) return;
    simplified_at_ = operations;
    for (std::uint32_t few = 0; few <= kFewAtFirst && time_left(); ++few) {
      auto found = trials_.search_sparse(best_.workload, few, kSparseInPassing, ++series_);
      if (!found || found->schedule.decisions.size() >= best_.schedule.decisions.size()) continue;
      take(*std::move(found), "preemptions");
      return;
    }
  }

  // True: none of its decisions can go, nor two that are next to each other.
  bool smaller_schedule() {
    static_cast<void>(fewer_preemptions(0, kFewAtFirst));
    static_cast<void>(other_order());
    bool complete = fewer_decisions();
    if (fewer_preemptions(kFewAtFirst + 1, kFewMax)) complete = fewer_decisions();
    return complete;
  }

  // Actors take turns in their order, if nothing is decided: in another one it may take no
  // preemption, or fewer.
  bool other_order() {
    if (best_.workload.actors.size() > kFewActors) return false;
    scenarios::Workload workload = best_.workload;
    for (std::uint32_t few = 0; few <= kFewAtFirst && few < best_.preemptions; ++few) {
      for (std::size_t turn = 1; turn < workload.actors.size() && time_left(); ++turn) {
        std::rotate(workload.actors.begin(), workload.actors.begin() + 1, workload.actors.end());
        for (std::uint32_t round = 0; round < rounds(few) && time_left(); ++round) {
          auto found = trials_.search_sparse(workload, few, kSparse, ++series_);
          if (!found || found->preemptions >= best_.preemptions) continue;
          best_.workload = std::move(workload);
          take(*std::move(found), "order");
          return true;
        }
      }
      workload = best_.workload;
    }
    return false;
  }

  bool fewer_decisions() {
    const auto attempt = [&](std::span<const sim::Schedule> candidates) {
      return trials_.replay(best_.workload, candidates);
    };
    auto small =
        sim::shrink(best_.schedule, attempt, {.out_of_time = [&] { return !time_left(); }});
    if (!small) return false;
    reduce_to(std::move(small->best), "schedule");
    return small->complete;
  }

  [[nodiscard]] std::uint32_t rounds(std::uint32_t preemptions) const {
    const bool short_runs = best_.workload.operation_count() <= kFewOperations;
    return (short_runs ? kRoundsOfFew : kRounds) + preemptions;
  }
  // More patience with more, as there are so many more of them.
  bool fewer_preemptions(std::uint32_t least, std::uint32_t most) {
    for (std::uint32_t few = least; few <= most && few < best_.preemptions; ++few) {
      for (std::uint32_t round = 0; round < rounds(few) && time_left(); ++round) {
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
  std::size_t place_ = 0;                        // of the last that failed, among its candidates
  const Clock::time_point began_ = Clock::now();
  const double began_at_ = processor_seconds();
  std::size_t cored_at_ = best_.workload.operation_count();
  std::size_t simplified_at_ = best_.workload.operation_count();
  double until_ = 1;
  bool cut_short_ = false;   // something was left off for want of time
  std::uint64_t series_ = 0;
};

}   // namespace

Reproducer shrink(Reproducer reproducer, const ShrinkLimits& limits) {
  return Shrinker{std::move(reproducer), limits}.run();
}

}   // namespace program
