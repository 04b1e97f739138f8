// wavetank explore: every execution of one workload within bounds on preemptions and faults, one of
// each class of equivalent ones; with cuts, every image that a power cut can leave.
//
// The search runs in a process of its own, which tells how it ended: what fails leaks what it held,
// and an engine that dies takes only that process along. What was found is shrunk and kept like the
// findings of a search.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "scenarios/workload_text.h"
#include "sim/finding_folder.h"
#include "sim/process.h"
#include "sim/program/child.h"
#include "sim/program/commands.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/program/tank_world.h"
#include "sim/strategy_bounded.h"

namespace program {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

// Executions from which the number without any reduction is estimated, and from which it is learnt
// which objects are shared.
constexpr std::uint32_t kProbes = 12;
// What an execution may take on top of the time asked for, and that much more for good measure.
constexpr double kSecondsToEnd = 120;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

// It says what the world is like (run.h), and nothing else.
std::uint64_t seed_of(const ExploreOptions& options) {
  if (options.cuts) return kEveryImageSeed;
  return options.timers ? kTimersRaceSeed : 0;
}

std::string number(double value) {
  return value < 1e7 ? fmt::format("{:.0f}", value) : fmt::format("{:.2g}", value);
}

class Exploration {
 public:
  Exploration(const ExploreOptions& options, const scenarios::Workload& workload)
      : options_{options},
        workload_{workload},
        search_{{.preemptions = options.preemptions,
                 .faults = options.faults,
                 .schedules = !options.cuts,
                 .indifferent = {kRateOfFaults}}} {}

  Json run() {
    estimate();
    std::string ended = found_ ? "found" : "";
    while (ended.empty()) {
      const sim::Outcome& outcome = execute();
      ++executions_;
      if (outcome.finding) {
        found_in(outcome);
        ended = "found";
      } else if (!search_.next()) {
        ended = "complete";
      } else if (seconds_since(began_) > options_.seconds) {
        ended = "time";
      } else if (executions_ >= options_.executions_max) {
        ended = "executions";
      }
    }
    report_["ended"] = ended;
    report_["executions"] = search_.classes();
    report_["cut_short"] = executions_ - std::min(executions_, search_.classes());
    report_["points"] = points_;
    report_["states"] = search_.states();
    report_["done"] = ended == "complete" ? 1.0 : search_.done();
    report_["cuts"] = cuts_;
    report_["images"] = images_.size();
    report_["left_out"] = search_.left_out();
    report_["seconds"] = seconds_since(began_);
    return report_;
  }

 private:
  const sim::Outcome& execute() {
    bool cut = false;
    const Watch watch{.actors = [this](bool start) { search_.follow_rule(!start); },
                      .cut =
                          [&](std::uint64_t images) {
                            cut = true;
                            images_.insert(images);
                          }};
    const sim::Outcome& outcome = ::program::run(execution_, workload_,
                                                 {.seed = seed_of(options_),
                                                  .strategy = &search_,
                                                  .judges = options_.judges,
                                                  .watch = watch});
    cuts_ += cut ? 1 : 0;
    points_ += outcome.points;
    return outcome;
  }
  void estimate() {
    double sum = 0;
    for (std::uint32_t i = 0; i < kProbes && !found_; ++i) {
      search_.probe(i);
      const sim::Outcome& outcome = execute();
      if (outcome.finding) {
        ++executions_;
        found_in(outcome);
      }
      sum += search_.ways();
    }
    search_.end_probes();
    report_["naive"] = sum / kProbes;
  }
  void found_in(const sim::Outcome& outcome) {
    found_ = true;
    report_["signature"] = outcome.finding->signature();
    report_["message"] = outcome.finding->message;
    report_["preemptions"] = outcome.preemptions;
    report_["schedule"] = outcome.schedule.to_text();
  }

  const ExploreOptions& options_;
  const scenarios::Workload& workload_;
  sim::Bounded search_;
  sim::Execution execution_;
  Clock::time_point began_ = Clock::now();
  std::uint64_t executions_ = 0;
  std::uint64_t points_ = 0;
  std::uint64_t cuts_ = 0;                       // executions in which the power went
  std::unordered_set<std::uint64_t> images_{};   // only counted
  bool found_ = false;
  Json report_;
};

int complain(const std::string& error) {
  fmt::print(stderr, "wavetank: {}\n", error);
  return 2;
}

tl::expected<scenarios::Workload, std::string> load(const ExploreOptions& options) {
  std::ifstream file{options.workload};
  if (!file) return tl::unexpected(fmt::format("{}: no such file", options.workload.string()));
  const std::string text{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  auto workload = scenarios::from_toml(text);
  if (!workload)
    return tl::unexpected(fmt::format("{}: {}", options.workload.string(), workload.error()));
  if (options.cuts) workload->faults = {.power_cuts = 1};
  return workload.value();
}

// Shrinks what was found and writes its folder.
tl::expected<fs::path, std::string> keep(const ExploreOptions& options,
                                         const scenarios::Workload& workload, Json& report) {
  auto schedule = sim::Schedule::from_text(report["schedule"].get<std::string>());
  if (!schedule) return tl::unexpected(std::string{"the schedule that failed cannot be read"});
  Reproducer found{.workload = workload,
                   .schedule = *std::move(schedule),
                   .seed = seed_of(options),
                   .strategy = "explore",
                   .mutant = options.mutant,
                   .signature = report["signature"].get<std::string>(),
                   .preemptions = report["preemptions"].get<std::uint64_t>(),
                   .judges = options.judges};
  const Reproducer small =
      options.shrink_seconds > 0
          ? shrink(std::move(found), {.seconds_max = options.shrink_seconds, .say = {}})
          : std::move(found);
  const auto trace = record(small);
  if (!trace) return tl::unexpected(std::string{"what was found does not fail again"});
  const fs::path folder = options.out / sim::folder_name(*trace);
  const auto written = sim::write_finding(folder, *trace, replay_command(folder));
  if (!written) return tl::unexpected(written.error());
  report["preemptions"] = small.preemptions;
  return folder;
}

std::string bounds_text(const ExploreOptions& options) {
  if (options.cuts) return "one schedule, one cut anywhere";
  return fmt::format("at most {} preemption{}{}", options.preemptions,
                     options.preemptions == 1 ? "" : "s",
                     options.faults != 0 ? fmt::format(", {} faults or cuts", options.faults) : "");
}

void print(const ExploreOptions& options, const Json& report) {
  const double naive = report["naive"];
  const std::uint64_t executions = report["executions"];
  const std::string ended = report["ended"];
  fmt::print("{}{}, {}: {} executions, {} cut short, {:.1f} s\n", options.workload.string(),
             options.mutant.empty() ? "" : " with " + options.mutant, bounds_text(options),
             executions, report["cut_short"].get<std::uint64_t>(), report["seconds"].get<double>());
  if (ended == "complete") {
    fmt::print("complete: {} executions within these bounds, nothing found\n", executions);
    if (options.cuts)
      fmt::print("{} times the power went, {} distinct images opened and judged\n",
                 report["cuts"].get<std::uint64_t>(), report["images"].get<std::uint64_t>());
    if (executions != 0 && !options.cuts)
      fmt::print("of about {} without reduction: {} times fewer\n", number(naive),
                 number(naive / static_cast<double>(executions)));
  } else if (ended != "found") {
    const double done = report["done"];
    fmt::print(
        "not complete ({}): about {:.2g} % done, about {} executions left; "
        "of about {} without reduction\n",
        ended, done * 100,
        number(static_cast<double>(executions) * (1 / std::max(done, 1e-12) - 1)), number(naive));
  }
  if (const std::string left_out = report["left_out"]; !left_out.empty())
    fmt::print("not explored: {}\n", left_out);
}

}   // namespace

int explore(const ExploreOptions& given) {
  ExploreOptions options = given;
  if (options.cuts) options.faults = 1;
  const auto workload = load(options);
  if (!workload) return complain(workload.error());
  if (const std::string wrong = options.judges.wrong(); !wrong.empty()) return complain(wrong);
  sim::keep_freed_memory();
  const ChildResult child =
      run_in_child([&] { return Exploration{options, *workload}.run().dump(); },
                   options.seconds + kSecondsToEnd);
  if (const std::string death = death_of(child); !death.empty()) {
    fmt::print(
        "found: crash: {}\n  the process that explored died; the same command does it "
        "again\n",
        death);
    return 1;
  }
  Json report = Json::parse(child.bytes);
  if (!options.json) print(options, report);
  int status = 0;
  if (report["ended"] == "found") {
    status = 1;
    const auto folder = keep(options, *workload, report);
    if (!folder) return complain(folder.error());
    report["folder"] = folder->string();
    if (!options.json)
      fmt::print("found: {}\n  {}\n  {} preemptions\n  {}\n  replay: {}\n",
                 report["signature"].get<std::string>(), report["message"].get<std::string>(),
                 report["preemptions"].get<std::uint64_t>(), folder->string(),
                 replay_command(*folder));
  }
  report["workload"] = options.workload.string();
  report["mutant"] = options.mutant;
  report.erase("schedule");
  if (options.json) fmt::print("{}\n", report.dump(2));
  return status;
}

}   // namespace program
