#include "sim/library/search_main.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "sim/finding_folder.h"
#include "sim/library/explore.h"
#include "sim/process.h"
#include "sim/strategies.h"
#include "sim/trace_of.h"

namespace sim {
namespace {

namespace fs = std::filesystem;
constexpr int kUsage = 2;
// The strategy that a trace names when its timers could fire at any time.
constexpr const char* kTimersRace = "explore";

int complain(const std::string& error) {
  fmt::print(stderr, "error: {}\n", error);
  return kUsage;
}

// Replays it once more with the log on, writes the folder, says what there is.
int report(const Program& program, const Found& found, const std::string& name,
           const fs::path& out) {
  fmt::print("found: {}: {}\n  {}\n  {} preemptions, {} decisions; schedule {}\n",
             to_string(found.finding.kind), found.finding.place, found.finding.message,
             found.preemptions, found.schedule.decisions.size(), found.ordinal);
  if (!found.finding.detail.empty()) fmt::print("{}\n", found.finding.detail);
  Execution execution;
  static_cast<void>(replay(execution, program, found.schedule, found.timers_race));
  traces::Trace trace = trace_of(execution);
  if (found.timers_race) trace.strategy = kTimersRace;
  const fs::path folder = out / folder_name(trace);
  const std::string command = fmt::format("{} --replay {}", name, folder.string());
  const auto written = write_finding(folder, trace, command);
  if (!written) return complain(written.error());
  fmt::print("  {}\n  replay: {}\n", folder.string(), command);
  return 1;
}

int replay_trace(const Program& program, const fs::path& path) {
  const auto trace = load_trace(path);
  if (!trace) return complain(trace.error());
  const auto schedule = Schedule::from_text(trace->schedule);
  if (!schedule) return complain(fmt::format("{}: its schedule is damaged", path.string()));
  Execution execution;
  const Outcome& outcome = replay(execution, program, *schedule, trace->strategy == kTimersRace);
  fmt::print("digest {:016x}, {}\n", outcome.digest,
             outcome.digest == trace->digest ? "as recorded" : "not as recorded");
  if (!outcome.finding) {
    fmt::print("nothing found\n");
    return 0;
  }
  fmt::print("found: {}: {}\n  {}\n", to_string(outcome.finding->kind), outcome.finding->place,
             outcome.finding->message);
  return 1;
}

}   // namespace

int search_main(int argc, char** argv, const Program& program) {
  CLI::App app{"Searches this program for schedules under which it fails."};
  SearchOptions options;
  bool everything = false;
  std::optional<std::uint32_t> preemptions;
  std::uint32_t retries = 0;
  fs::path trace;
  fs::path out = "out";
  app.add_option("--schedules", options.schedules, "how many to run");
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--strategy", options.strategy,
                 "names, with commas between them: they take turns");
  app.add_flag("--explore", everything, "every schedule that matters, instead of a search");
  app.add_option("--preemptions", preemptions,
                 "explore: at most so many; a bound makes it finish sooner");
  app.add_option("--retries", retries,
                 "explore: how often a fiber that yields looks again though nothing has changed");
  app.add_option("--replay", trace, "run a finding again: its folder or its trace");
  app.add_option("--out", out, "where a finding goes");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : complain(error.what());
  }
  if (!StrategyBox{}.choose(options.strategy))
    return complain(fmt::format("no strategy '{}'", options.strategy));
  keep_freed_memory();
  if (!trace.empty()) return replay_trace(program, trace);
  const std::string name = argc > 0 ? argv[0] : "program";
  if (everything) {
    const Exploration result = explore(program, {.executions_max = options.schedules,
                                                 .probes = 200,
                                                 .preemptions = preemptions,
                                                 .retries = retries});
    const std::string within =
        preemptions ? fmt::format(" of at most {} preemptions", *preemptions) : "";
    fmt::print("{} executions, {} cut short; of about {:.3g} interleavings{}\n", result.executions,
               result.cut_short, result.interleavings, within);
    if (result.found) return report(program, *result.found, name, out);
    if (result.complete) {
      fmt::print("complete: {} executions{}, nothing found\n", result.executions, within);
    } else {
      fmt::print("not complete: about {:.1f} % done; --schedules N goes further\n",
                 result.done * 100);
    }
    if (!result.limits.empty()) fmt::print("not explored: {}\n", result.limits);
    return 0;
  }
  const SearchResult result = search(program, options);
  fmt::print("{} schedules, {} scheduling points\n", result.schedules, result.points);
  if (result.found) return report(program, *result.found, name, out);
  fmt::print("nothing found\n");
  return 0;
}

}   // namespace sim
