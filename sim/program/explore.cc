// wavetank explore: every execution of a workload within bounds on preemptions and faults, one of
// each class of equivalent ones; with cuts, every image that a power cut can leave. Of one
// workload, or of the first so many small ones of a scenario.
//
// What was found is shrunk and kept like the findings of a search.
#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "scenarios/scenario.h"
#include "scenarios/workload_text.h"
#include "sim/finding_folder.h"
#include "sim/process.h"
#include "sim/program/commands.h"
#include "sim/program/complaint.h"
#include "sim/program/exploration.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/program/small_workloads.h"
#include "sim/program/workload_file.h"

namespace program {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

std::string number(double value) {
  return value < 1e7 ? fmt::format("{:.0f}", value) : fmt::format("{:.2g}", value);
}

// Shrinks what was found and writes its folder.
tl::expected<fs::path, std::string> keep(const ExploreOptions& options,
                                         const scenarios::Workload& workload,
                                         Exploration::Finding& finding) {
  auto schedule = sim::Schedule::from_text(finding.schedule);
  if (!schedule) return tl::unexpected(std::string{"the schedule that failed cannot be read"});
  Reproducer found{.workload = workload,
                   .schedule = *std::move(schedule),
                   .seed = seed_of(options),
                   .strategy = std::string{kExplored},
                   .mutant = options.mutant,
                   .signature = finding.signature,
                   .preemptions = finding.preemptions,
                   .judges = options.judges};
  const Reproducer small =
      options.shrink_seconds > 0
          ? shrink(std::move(found), {.seconds_max = options.shrink_seconds, .say = {}})
          : std::move(found);
  const auto trace = record(small);
  if (!trace) return tl::unexpected(std::string{"what was found does not fail again"});
  fs::path folder = options.out / sim::folder_name(*trace);
  const auto written = sim::write_finding(folder, *trace, replay_command(folder));
  if (!written) return tl::unexpected(written.error());
  finding.preemptions = small.preemptions;
  return folder;
}

std::string bounds_text(const ExploreOptions& options) {
  std::string text = "one schedule";
  if (options.preemptions)
    text = fmt::format("at most {} preemption{}", *options.preemptions,
                       *options.preemptions == 1 ? "" : "s");
  if (options.retries != 0) text += fmt::format(", {} retries", options.retries);
  if (options.cuts) text += ", one cut anywhere";
  if (options.faults.value_or(0) != 0) text += fmt::format(", {} faults or cuts", *options.faults);
  return text;
}

Json to_json(const ExploreOptions& options, const std::string& name, const Exploration& end) {
  Json json{{"workload", name},
            {"mutant", options.mutant},
            {"bounds", bounds_text(options)},
            {"ended", to_string(end.ended)},
            {"executions", end.executions},
            {"cut_short", end.cut_short},
            {"points", end.points},
            {"states", end.states},
            {"states_forgotten", end.forgotten.states},
            {"classes_forgotten", end.forgotten.classes},
            {"done", end.done},
            {"naive", end.naive.number},
            {"naive_low", end.naive.low},
            {"naive_high", end.naive.high},
            {"cuts", end.cuts},
            {"images", end.images},
            {"images_alike", end.images_alike},
            {"contradictions", end.contradictions},
            {"contradiction", end.contradiction},
            {"left_out", end.left_out},
            {"seconds", end.seconds}};
  if (end.finding) {
    json["signature"] = end.finding->signature;
    json["message"] = end.finding->message;
    json["preemptions"] = end.finding->preemptions;
    json["by_walk"] = end.finding->by_walk;
  }
  return json;
}

void print_rest(const ExploreOptions& options, const Exploration& end) {
  const auto executions = static_cast<double>(end.executions);
  if (end.ended == Exploration::Ended::complete) {
    fmt::print("complete: {} executions within these bounds{}, nothing found\n", end.executions,
               end.forgotten.classes != 0 ? ", of which some may be equivalent" : "");
    if (end.cuts != 0)
      fmt::print(
          "{} times the power went, {} distinct images opened and judged, which stand for {}{}: "
          "all that it can leave\n",
          end.cuts, end.images, end.forgotten.classes != 0 ? "at most " : "",
          number(end.images_alike));
    if (executions != 0 && !options.cuts) {
      // Those that are cut short have run, too, up to there.
      const double begun = executions + static_cast<double>(end.cut_short);
      fmt::print("of about {} without reduction; {} begun, {} of them cut short: {}\n",
                 end.naive.text(), number(begun), end.cut_short,
                 end.naive.number > begun
                     ? fmt::format("{:.3g} times fewer", end.naive.number / begun)
                     : "nothing is saved");
    }
  } else if (end.ended != Exploration::Ended::found && end.ended != Exploration::Ended::died) {
    fmt::print(
        "not complete ({}): about {:.2g} % done, about {} executions left; of about {} "
        "without reduction\n",
        to_string(end.ended), end.done * 100,
        number(executions * (1 / std::max(end.done, 1e-12) - 1)), end.naive.text());
  }
  if (end.forgotten.states != 0)
    fmt::print("memory was short (--memory): {} beginnings explored without being remembered\n",
               end.forgotten.states);
  for (const auto& [what, times] : end.left_out)
    fmt::print("not explored: {} times {}\n", times, what);
  if (end.contradictions != 0)
    fmt::print(
        "not sound: {} times two beginnings were taken for equivalent that are not\n"
        "  the first time {}\n",
        end.contradictions, end.contradiction);
}

const char* by_whom(const Exploration::Finding& finding) {
  return finding.by_walk ? "; by a random walk, not by the search" : "";
}

// With cuts there is one, whatever the workload says; its other faults strike if they are asked
// for.
void set_cuts(const ExploreOptions& options, scenarios::Workload& workload) {
  if (!options.cuts) return;
  if (!options.faults) workload.faults = {};
  workload.faults.power_cuts = 1;
}

// Explores one workload, says how it went, and keeps what was found. Exit code as of the command.
int explore_one(const ExploreOptions& options, const std::string& name,
                const scenarios::Workload& workload, Exploration& end, Json& json) {
  end = explore(options, workload);
  int status = end.ended == Exploration::Ended::found || end.ended == Exploration::Ended::died;
  const bool talk = !options.json;
  if (talk) {
    fmt::print("{}{}, {}: {} executions, {} cut short, {:.1f} s\n", name,
               options.mutant.empty() ? "" : " with " + options.mutant, bounds_text(options),
               end.executions, end.cut_short, end.seconds);
    print_rest(options, end);
  }
  json = to_json(options, name, end);
  if (end.ended == Exploration::Ended::died) {
    if (talk)
      fmt::print("found: crash: {}\n  {}\n", end.death,
                 end.killed_by != 0
                     ? fmt::format("a process that explored was killed from outside by signal {}, "
                                   "twice: has memory run out?",
                                   end.killed_by)
                     : "a process that explored died; the same command does it again");
    json["signature"] = "crash: " + end.death;
  } else if (end.finding && options.no_folder) {
    if (talk)
      fmt::print("found: {}\n  {}\n  {} preemptions{}\n", end.finding->signature,
                 end.finding->message, end.finding->preemptions, by_whom(*end.finding));
  } else if (end.finding) {
    const auto folder = keep(options, workload, *end.finding);
    if (!folder) return complain(folder.error());
    json["preemptions"] = end.finding->preemptions;
    json["folder"] = folder->string();
    if (talk)
      fmt::print("found: {}\n  {}\n  {} preemptions{}\n  {}\n  replay: {}\n",
                 end.finding->signature, end.finding->message, end.finding->preemptions,
                 by_whom(*end.finding), folder->string(), replay_command(*folder));
  }
  return status;
}

// All of the first so many small workloads.
int explore_scenario(const ExploreOptions& options) {
  const scenarios::Scenario* const scenario = scenarios::find_scenario(options.scenario);
  if (scenario == nullptr)
    return complain(
        fmt::format("no scenario '{}': see `wavetank list scenarios`", options.scenario));
  Json all = Json::array();
  std::uint64_t complete = 0;
  std::uint64_t executions = 0;
  double seconds = 0;
  int status = 0;
  SmallWorkloads workloads{*scenario, options.seed, options.operations,
                           options.faults.value_or(0) != 0};
  for (std::uint32_t i = 0; i < options.workloads; ++i) {
    scenarios::Workload workload = workloads.next();
    set_cuts(options, workload);
    Exploration end;
    Json json;
    const std::string name = fmt::format("{} {}", scenario->name, i);
    const int mine = explore_one(options, name, workload, end, json);
    status = std::max(status, mine);
    json["toml"] = scenarios::to_toml(workload);
    all.push_back(std::move(json));
    complete += end.ended == Exploration::Ended::complete;
    executions += end.executions;
    seconds += end.seconds;
    if (mine != 0) break;
  }
  if (options.json) {
    fmt::print("{}\n", Json{{"scenario", scenario->name},
                            {"workloads", all.size()},
                            {"complete", complete},
                            {"executions", executions},
                            {"seconds", seconds},
                            {"each", all}}
                           .dump(2));
  } else {
    fmt::print("{}: {} of {} small workloads explored to the end, {} executions, {:.1f} s\n",
               scenario->name, complete, all.size(), executions, seconds);
  }
  return status;
}

// Options that would do nothing, in one line; empty: none.
std::string contradiction_in(const ExploreOptions& options) {
  if (options.every_image && options.faults_most() == 0)
    return "--every-image needs --cuts or --faults";
  if (!options.cuts) return {};
  if (options.faults == 0U) return "--faults 0 leaves --cuts no cut: it counts as one";
  if (options.preemptions) return {};
  if (options.timers) return "--timers needs --preemptions with --cuts, which is one schedule";
  if (options.retries != 0)
    return "--retries needs --preemptions with --cuts, which is one schedule";
  return {};
}

}   // namespace

int explore(const ExploreOptions& given) {
  ExploreOptions options = given;
  if (const std::string wrong = contradiction_in(options); !wrong.empty()) return complain(wrong);
  if (!options.cuts && !options.preemptions) options.preemptions = 1;
  if (const std::string wrong = options.judges.wrong(); !wrong.empty()) return complain(wrong);
  if (options.workload.empty() == options.scenario.empty())
    return complain("explore needs --workload or --scenario, one of them");
  if (!options.no_folder) {
    if (const std::string wrong = sim::why_unusable(options.out); !wrong.empty())
      return complain(wrong);
  }
  sim::keep_freed_memory();
  if (!options.scenario.empty()) return explore_scenario(options);
  auto workload = load_workload(options.workload);
  if (!workload) return complain(workload.error());
  set_cuts(options, *workload);
  Exploration end;
  Json json;
  const int status = explore_one(options, options.workload.string(), *workload, end, json);
  if (options.json && status != 2) fmt::print("{}\n", json.dump(2));
  return status;
}

}   // namespace program
