#include "sim/program/trials.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "sim/program/child.h"
#include "sim/strategies.h"
#include "sim/strategy_replay.h"

namespace program {
namespace {

// Of one schedule. What takes longer is taken for one that passes, unless it hangs anyway.
constexpr double kSecondsMin = 20;
constexpr double kSecondsEach = 0.5;

// Searches whose schedules mostly fail in some other way are given up: each costs a process.
constexpr std::size_t spoilt_max(std::size_t schedules) noexcept {
  return std::max<std::size_t>(schedules / 8, 4);
}

// Those that look at what is left when nothing is under way; a reader's look is one, too.
constexpr std::array<std::string_view, 5> kJudgesOfTheRest{
    "checker data_oracle: ", "checker thin_image: ", "checker cache_image: ",
    "checker cache_state: ", "checker leaks: "};

}   // namespace

class Trials::Child {
 public:
  Child(const Trials& trials, DecisionLog& log, const scenarios::Workload& workload)
      : trials_{trials}, log_{log}, workload_{workload} {}

  // True: it failed as it should, or in another way. Then nothing can be run any more.
  bool run(std::size_t which, std::uint64_t seed, sim::Strategy& strategy,
           const std::function<void(Phase)>& on_phase = {}) {
    const Reproducer& found = trials_.found_;
    log_.begin(which);
    if (on_phase) on_phase(Phase::setup);
    const Watch watch{.phase = [&](Phase phase) {
      log_.enter(phase);
      if (on_phase) on_phase(phase);
    }};
    Logged logged{strategy, log_};
    const sim::Outcome& outcome = ::program::run(
        execution_, workload_,
        {.seed = found.seed,
         .strategy = found.crashes ? static_cast<sim::Strategy*>(&logged) : &strategy,
         .judges = found.judges,
         .watch = watch,
         .strategy_seed = seed,
         .fair_end = found.fair_end()});
    if (!outcome.finding) return false;
    const bool same = !found.crashes && outcome.finding->signature() == found.signature;
    if (same) answer_ = fmt::format("{}\n{}", outcome.preemptions, outcome.schedule.to_text());
    return true;
  }
  [[nodiscard]] const std::string& answer() const noexcept { return answer_; }

 private:
  const Trials& trials_;
  DecisionLog& log_;
  const scenarios::Workload& workload_;
  sim::Execution execution_;
  std::string answer_;
};

std::optional<sim::ShrinkHit> Trials::in_child(const scenarios::Workload& workload,
                                               double seconds_max, const Body& body) {
  log_.begin(0);
  const ChildResult child = run_in_child(
      [&] {
        Child here{*this, log_, workload};
        body(here);
        return here.answer();
      },
      seconds_max);
  sim::ShrinkHit hit{.which = log_.which(), .trial = {}};
  const bool later = log_.phase() > phase_;
  if (found_.crashes) {
    if (later || "crash " + death_of(child) != found_.signature) return std::nullopt;
    hit.trial = {log_.schedule(), log_.preemptions()};
    return hit;
  }
  const std::size_t line = child.bytes.find('\n');
  if (!child.ended || line == std::string::npos) return std::nullopt;
  auto schedule = sim::Schedule::from_text(std::string_view{child.bytes}.substr(line + 1));
  if (!schedule || (later && !good_if_later(workload, *schedule))) return std::nullopt;
  hit.trial = {*std::move(schedule), std::stoull(child.bytes.substr(0, line))};
  return hit;
}

// Once one that fails later has been taken, one that is as long will do: phase_ stays.
bool Trials::good_if_later(const scenarios::Workload& workload,
                           const sim::Schedule& schedule) const {
  const auto is_of = [&](std::string_view judge) { return found_.signature.starts_with(judge); };
  const std::size_t operations = workload.operation_count();
  const std::size_t most = found_.workload.operation_count() - (fails_later_ ? 0 : 1);
  const bool emptied =
      workload.system.family != scenarios::FamilyKind::thin && workload.system.cache.drained;
  return schedule.decisions.empty() && !emptied && operations != 0 && operations <= most &&
         std::any_of(kJudgesOfTheRest.begin(), kJudgesOfTheRest.end(), is_of);
}

bool Trials::begin() {
  phase_ = Phase::closing;
  if (!replay(found_.workload, {&found_.schedule, 1})) return false;
  phase_ = log_.phase();
  return true;
}

void Trials::take() noexcept {
  fails_later_ = found_in_ > phase_;
  phase_ = std::min(phase_, found_in_);
}

// One that fails in another way, or later, spoils its process and is passed over.
std::optional<sim::ShrinkHit> Trials::first_of(const scenarios::Workload& workload,
                                               std::size_t count, std::size_t spoilt_max,
                                               const Try& each) {
  const double seconds = kSecondsMin + kSecondsEach * static_cast<double>(count);
  std::size_t next = 0;
  for (std::size_t spoilt = 0; next < count && spoilt <= spoilt_max; ++spoilt) {
    auto hit = in_child(workload, seconds, [&](Child& child) {
      for (std::size_t i = next; i < count; ++i)
        if (each(child, i)) return;
    });
    const std::size_t last = std::max(next, log_.which());
    executions_ += last + 1 - next;
    if (hit) return hit;
    next = last + 1;
  }
  return std::nullopt;
}

std::optional<sim::ShrinkHit> Trials::replay(const scenarios::Workload& workload,
                                             std::span<const sim::Schedule> schedules) {
  return first_of(workload, schedules.size(), schedules.size(), [&](Child& child, std::size_t i) {
    sim::Replay strategy{schedules[i]};
    return child.run(i, found_.seed, strategy);
  });
}

std::optional<sim::ShrinkTrial> Trials::search(const scenarios::Workload& workload,
                                               const sim::Schedule& first, std::uint32_t fresh) {
  sim::Replay replay{first};
  sim::Sparse sparse;
  sim::StrategyBox box;
  if (!box.choose("portfolio")) return std::nullopt;
  auto hit = first_of(workload, fresh + 1, spoilt_max(fresh), [&](Child& child, std::size_t i) {
    if (i == 0) return child.run(i, found_.seed, replay);
    const std::uint64_t seed = found_.seed + i;
    constexpr std::array<std::uint32_t, 3> kPreemptions{0, 1, 3};
    const std::size_t way = i % (kPreemptions.size() + 1);
    if (way < kPreemptions.size()) return run_sparse(child, i, seed, sparse, kPreemptions[way]);
    return child.run(i, seed, box.for_seed(seed));
  });
  if (!hit) return std::nullopt;
  found_in_ = log_.phase();
  return std::move(hit->trial);
}

std::optional<sim::ShrinkTrial> Trials::search_sparse(const scenarios::Workload& workload,
                                                      std::uint32_t preemptions,
                                                      std::uint32_t fresh, std::uint64_t series) {
  sim::Sparse sparse;
  auto hit = first_of(workload, fresh, spoilt_max(fresh), [&](Child& child, std::size_t i) {
    return run_sparse(child, i, found_.seed + (series << 16U) + i, sparse, preemptions);
  });
  if (!hit) return std::nullopt;
  found_in_ = log_.phase();
  return std::move(hit->trial);
}

// What comes before the part in which it fails is nobody's to decide.
bool Trials::run_sparse(Child& child, std::size_t which, std::uint64_t seed, sim::Sparse& sparse,
                        std::uint32_t preemptions) const {
  sparse.allow(preemptions);
  const auto decides = [&](Phase phase) {
    sparse.follow_rule(phase == Phase::setup && phase_ != Phase::setup);
  };
  return child.run(which, seed, sparse, decides);
}

}   // namespace program
