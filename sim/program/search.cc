// wavetank search: many schedules, worker processes, a live line; what is found is shrunk at once.
#include <cstdio>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "scenarios/scenario.h"
#include "sim/finding_folder.h"
#include "sim/process.h"
#include "sim/program/commands.h"
#include "sim/program/cut_images.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/program/workers.h"
#include "sim/program/workload_file.h"

namespace program {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// Where the workload of each schedule comes from: one file, or the generators of scenarios, which
// take turns.
class Source {
 public:
  static tl::expected<Source, std::string> open(const SearchOptions& options) {
    Source source;
    source.options_ = &options;
    if (!options.workload.empty()) {
      auto workload = load_workload(options.workload);
      if (!workload) return tl::unexpected(workload.error());
      source.fixed_ = *std::move(workload);
      source.name_ = options.workload.string();
      return source;
    }
    source.name_ = options.scenario.empty()
                       ? std::string{scenarios::general_scenarios(scenarios::UsedBy::both)}
                       : options.scenario;
    source.scenarios_ = scenarios::find_scenarios(source.name_);
    if (source.scenarios_.empty())
      return tl::unexpected(
          fmt::format("no scenario '{}': see `wavetank list scenarios`", source.name_));
    return source;
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] SeedPair seeds(std::uint64_t ordinal) const {
    return seeds_of(options_->seed, ordinal, per_workload());
  }
  // Of that schedule; valid until the next call. A workload's scenario follows from its place in
  // the search alone.
  const scenarios::Workload& workload(std::uint64_t ordinal) {
    if (fixed_) return *fixed_;
    const std::uint64_t turn = ordinal / per_workload();
    if (!made_ || made_turn_ != turn) {
      made_ = scenarios::workload_of(*scenarios_[turn % scenarios_.size()], seeds(ordinal).workload)
                  .value();
      made_turn_ = turn;
    }
    return *made_;
  }

 private:
  Source() = default;
  [[nodiscard]] std::uint32_t per_workload() const {
    return std::max(options_->schedules_per_workload, 1U);
  }
  const SearchOptions* options_ = nullptr;
  std::string name_;
  std::vector<const scenarios::Scenario*> scenarios_;
  std::optional<scenarios::Workload> fixed_;
  std::optional<scenarios::Workload> made_;
  std::uint64_t made_turn_ = 0;
};

// Of strategies that learn from one schedule for the next. Long enough to learn something, short
// enough to be run again when one of its last schedules failed.
constexpr std::uint64_t kRound = 256;

// One schedule of the search. `known` is the workload that the box has learnt of; `images`, if not
// null, takes what power cuts leave.
const sim::Outcome& run_one(const SearchOptions& options, Source& source, std::uint64_t ordinal,
                            sim::Execution& execution, sim::StrategyBox& box, std::uint64_t& known,
                            CutImages* images = nullptr) {
  const SeedPair seeds = source.seeds(ordinal);
  if (seeds.workload != known) box.forget();
  known = seeds.workload;
  const scenarios::Workload& workload = source.workload(ordinal);
  if (images == nullptr) return run(execution, workload, box, seeds.schedule, options.judges);
  return run(execution, workload, box, seeds.schedule, options.judges, false,
             images->watch(workload, ordinal));
}

std::string progress_line(const Progress& progress, std::uint64_t wanted) {
  const double seconds = std::max(progress.seconds, 1e-3);
  return fmt::format("{:>8}/{} schedules  {:>6.0f}/s  {:.2f} M points/s  {} distinct  {} found",
                     progress.schedules, wanted, static_cast<double>(progress.schedules) / seconds,
                     static_cast<double>(progress.points) / seconds / 1e6, progress.distinct,
                     progress.findings);
}

Json to_json(const Catch& caught) {
  return {
      {"signature", caught.signature}, {"message", caught.message}, {"schedule", caught.ordinal}};
}

// What cannot be had again is found all the same: code that reads freed or unwritten memory does as
// that memory was.
void tell_lost(const Catch& caught, bool talk) {
  if (talk) fmt::print("found: {}\n  {}\n", caught.signature, caught.message);
  if (caught.killed_from_outside) {
    fmt::print(
        stderr,
        "wavetank: schedule {} does not fail by itself, so there is no trace of it: somebody "
        "killed its process twice, or the kernel did for want of memory\n",
        caught.ordinal);
    return;
  }
  fmt::print(
      stderr,
      "wavetank: schedule {} does not fail again, so there is no trace of it: does it read memory "
      "that is freed or was never written? The asan preset would say\n",
      caught.ordinal);
}

struct Kept {
  fs::path folder;
  std::size_t operations = 0;
  std::uint64_t preemptions = 0;
};

// Shrinks what was caught and writes its folder; none if it cannot be had again. The error is one
// line.
tl::expected<std::optional<Kept>, std::string> keep(const SearchOptions& options, Source& source,
                                                    const Catch& caught, bool talk) {
  const SeedPair seeds = source.seeds(caught.ordinal);
  // What it was learnt from: nothing was found there.
  const auto before = [&](sim::StrategyBox& box) {
    sim::Execution execution;
    std::uint64_t known = 0;
    for (std::uint64_t ordinal = caught.since; ordinal < caught.ordinal; ++ordinal)
      static_cast<void>(run_one(options, source, ordinal, execution, box, known));
    if (seeds.workload != known) box.forget();
  };
  const scenarios::Workload workload = source.workload(caught.ordinal);   // outlives `before`
  auto reproducer =
      reproduce(workload, seeds.schedule, options.strategy, options.mutant, options.judges, before);
  if (!reproducer) {
    tell_lost(caught, talk);
    return std::nullopt;
  }
  ShrinkLimits limits;
  limits.seconds_max = options.shrink_seconds;
  if (talk) limits.say = [](const std::string& line) { fmt::print("  shrunk {}\n", line); };
  Reproducer kept = shrink(*reproducer, limits);
  auto trace = record(kept);
  if (!trace) {
    kept = *std::move(reproducer);
    trace = record(kept);
  }
  if (!trace) {
    tell_lost(caught, talk);
    return std::nullopt;
  }
  fs::path folder = options.out / sim::folder_name(*trace);
  const auto written = sim::write_finding(folder, *trace, replay_command(folder));
  if (!written) return tl::unexpected(written.error());
  if (talk) {
    fmt::print("found: {}: {}\n  {}\n  {} operations, {} preemptions\n  {}\n  replay: {}\n",
               trace->defect.kind, trace->defect.place, trace->defect.message,
               kept.workload.operation_count(), kept.preemptions, folder.string(),
               replay_command(folder));
  }
  return Kept{folder, kept.workload.operation_count(), kept.preemptions};
}

// What was wrong with the options; empty: nothing.
std::string problem_with(const SearchOptions& options,
                         const tl::expected<Source, std::string>& source, sim::StrategyBox& box) {
  std::string error = source ? "" : source.error();
  if (!box.choose(options.strategy))
    error = fmt::format("no strategy '{}': see `wavetank list strategies`", options.strategy);
  if (error.empty() && !options.no_folder) error = sim::why_unusable(options.out);
  return error.empty() ? options.judges.wrong() : error;
}

Verdict verdict_of(const sim::Outcome& outcome, const Judges& judges) {
  Verdict verdict{.points = outcome.points, .digest = outcome.digest};
  if (outcome.finding && !judges.count(*outcome.finding)) {
    verdict.spoiled = true;
  } else if (outcome.finding) {
    verdict.found = true;
    verdict.signature = outcome.finding->signature();
    verdict.message = outcome.finding->message;
  }
  return verdict;
}

// Says and keeps what was caught. Exit code as of the command.
int report(const SearchOptions& options, Source& source, const SearchEnd& end,
           const CutImages* images) {
  const bool talk = !options.json;
  if (talk) {
    fmt::print("{} of {}{}: {}\n", options.strategy, source.name(),
               options.mutant.empty() ? "" : " with " + options.mutant,
               progress_line(end.progress, options.schedules));
    if (end.catches.empty()) fmt::print("digest: {:016x}\n", end.progress.digest);
    if (images != nullptr) fmt::print("{}\n", images->summary());
  }
  Json report{{"scenario", source.name()},
              {"mutant", options.mutant},
              {"strategy", options.strategy},
              {"seed", options.seed},
              {"schedules", end.progress.schedules},
              {"points", end.progress.points},
              {"distinct", end.progress.distinct},
              {"digest", fmt::format("{:016x}", end.progress.digest)},
              {"seconds", end.progress.seconds},
              {"findings", Json::array()}};
  if (images != nullptr) report["cuts"] = images->cuts();
  int status = end.catches.empty() ? 0 : 1;
  for (const Catch& caught : end.catches) {
    if (options.no_folder) {
      report["findings"].push_back(to_json(caught));
      if (talk) fmt::print("found: {}\n  {}\n", caught.signature, caught.message);
      continue;
    }
    Json& found = report["findings"].emplace_back(to_json(caught));
    const auto kept = keep(options, source, caught, talk);
    if (!kept) {
      if (talk) fmt::print("found: {}\n  {}\n", caught.signature, caught.message);
      fmt::print(stderr, "wavetank: {}\n", kept.error());
      status = 2;
      continue;
    }
    if (!*kept) continue;
    const Kept& small = **kept;
    found["operations"] = small.operations;
    found["preemptions"] = small.preemptions;
    found["folder"] = small.folder.string();
    found["replay"] = replay_command(small.folder);
  }
  if (options.json) fmt::print("{}\n", report.dump(2));
  return status;
}

}   // namespace

int search(const SearchOptions& options) {
  auto opened = Source::open(options);
  sim::StrategyBox box;
  const std::string error = problem_with(options, opened, box);
  if (!error.empty()) {
    fmt::print(stderr, "wavetank: {}\n", error);
    return 2;
  }
  std::optional<CutImages> images;
  if (!options.images.empty()) {
    images.emplace(options.images);
    if (const std::string unusable = images->open(); !unusable.empty()) {
      fmt::print(stderr, "wavetank: {}\n", unusable);
      return 2;
    }
  }
  sim::keep_freed_memory();   // before the workers are forked
  Source& source = *opened;
  sim::Execution execution;
  const bool live = !options.quiet && !options.json && isatty(STDERR_FILENO) != 0;
  WorkerPlan plan;
  plan.jobs = options.jobs != 0 ? options.jobs : std::max(std::thread::hardware_concurrency(), 1U);
  plan.schedules = options.schedules;
  plan.seconds_max = options.seconds;
  plan.stop_at_first = !options.keep_going;
  plan.deaths_count = options.judges.count("crash");
  if (box.keeps_learning()) plan.round = kRound;
  std::uint64_t known = 0;   // the workload that the box has learnt of
  plan.begin_round = [&] {
    if (!box.keeps_learning()) return;
    box.start_afresh();
    known = 0;
  };
  plan.run = [&](std::uint64_t ordinal) {
    const sim::Outcome& outcome =
        run_one(options, source, ordinal, execution, box, known, images ? &*images : nullptr);
    return verdict_of(outcome, options.judges);
  };
  plan.show = [&](const Progress& progress) {
    if (live) fmt::print(stderr, "\r{}\033[K", progress_line(progress, options.schedules));
  };
  plan.say = [&](const std::string& line) {
    fmt::print(stderr, "{}wavetank: {}\n", live ? "\r\033[K" : "", line);
  };
  const SearchEnd end = run_workers(plan);
  if (live) fmt::print(stderr, "\r\033[K");
  if (images && plan.stop_at_first && !end.catches.empty())
    images->keep_up_to(end.catches.front().ordinal);
  const int status = report(options, source, end, images ? &*images : nullptr);
  if (!images || images->failure().empty()) return status;
  fmt::print(stderr, "wavetank: {}\n", images->failure());
  return 2;
}

}   // namespace program
