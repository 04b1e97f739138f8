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
#include "sim/plain_numbers.h"
#include "sim/process.h"
#include "sim/strategies.h"
#include "sim/trace_of.h"

namespace sim {
namespace {

namespace fs = std::filesystem;
constexpr int kUsage = 2;
// The strategy that a trace names when its timers could fire at any time.
constexpr const char* kTimersRace = "explore";
constexpr double kSeconds = 60;   // unless told otherwise
// From which the number of all interleavings is estimated.
constexpr std::uint32_t kProbes = 200;

int complain(const std::string& error) {
  fmt::print(stderr, "error: {}\n", error);
  return kUsage;
}

struct Arguments {
  SearchOptions search;
  bool everything = false;
  std::optional<std::uint64_t> points;   // in one execution
  std::uint32_t stack_kib = kStackBytes / 1024;
  std::optional<std::uint32_t> preemptions;
  std::uint32_t retries = 0;
  std::uint64_t memory_mib = 1024;
  bool any_lock_order = false;
  bool any_leak = false;
  fs::path trace;
  fs::path out = "out";
};

// Replays it once more with the log on, writes the folder, says what there is.
int report(const Program& program, const Found& found, const std::string& name,
           const Arguments& given, std::uint64_t points_max) {
  const auto tell = [&](const std::string& message, const std::string& detail) {
    fmt::print("found: {}: {}\n  {}\n", to_string(found.finding.kind), found.finding.place,
               message);
    if (!found.not_deterministic) {
      fmt::print("  {} preemptions, {} decisions; schedule {}\n", found.preemptions,
                 found.schedule.decisions.size(), found.ordinal);
    }
    fmt::print("{}{}", detail, detail.empty() || detail.ends_with('\n') ? "" : "\n");
  };
  const std::string& detail = found.finding.detail;   // lines
  if (found.not_deterministic) {                      // no schedule leads there
    tell(found.finding.message, detail);
    return 1;
  }
  Execution execution{{.stack_bytes = given.search.stack_bytes}};
  // What has no end ends where it did.
  const bool endless = found.finding.kind == FindingKind::endless;
  static_cast<void>(replay(execution, program, found.schedule,
                           {.timers_race = found.timers_race,
                            .points_max = endless ? found.finding.point : points_max,
                            .fair_end = !endless,
                            .lock_order = given.search.lock_order,
                            .leaks = found.finding.kind == FindingKind::leak}));
  traces::Trace trace = trace_of(execution);
  // The log knows names and places that the search did not; with all stacks it would be too much.
  const bool only_place = found.finding.kind == FindingKind::crash ||
                          found.finding.kind == FindingKind::lifetime || detail.empty();
  tell(trace.failed ? trace.defect.message : found.finding.message,
       trace.failed && only_place ? trace.defect.detail : detail);
  trace.world = traces::Trace::kProgram;
  if (found.timers_race) trace.strategy = kTimersRace;
  const fs::path folder = given.out / folder_name(trace);
  const std::string command = fmt::format("{} --replay {}", name, folder.string());
  const auto written = write_finding(folder, trace, command);
  if (!written) return complain(written.error());
  fmt::print("  {}\n  replay: {}\n", folder.string(), command);
  return 1;
}

int replay_trace(const Program& program, const Arguments& given) {
  const auto trace = load_trace(given.trace);
  if (!trace) return complain(trace.error());
  const std::string where = given.trace.string();
  if (!trace->of_program())
    return complain(fmt::format("{}: a trace of the engine: `wavetank replay` takes it", where));
  const auto schedule = Schedule::from_text(trace->schedule);
  if (!schedule)
    return complain(fmt::format("{}: its schedule: line {}: {}", where, schedule.error().where,
                                schedule.error().what));
  Execution execution{{.stack_bytes = given.search.stack_bytes}};
  ReplayOptions options{.timers_race = trace->strategy == kTimersRace,
                        .lock_order = given.search.lock_order,
                        .leaks = trace->defect.kind == to_string(FindingKind::leak)};
  std::optional<Divergence> divergence;
  options.divergence = &divergence;
  // What has no end ends where it did.
  if (trace->defect.kind == to_string(FindingKind::endless)) {
    options.points_max = trace->points;
    options.fair_end = false;
  }
  const Outcome& outcome = replay(execution, program, *schedule, options);
  fmt::print("digest {:016x}, {}\n", outcome.digest,
             outcome.digest == trace->digest ? "as recorded" : "not as recorded");
  if (divergence) fmt::print("diverges: {}\n", divergence->text);
  if (!outcome.finding) {
    fmt::print("nothing found; the recorded one was {}: {}\n", trace->defect.kind,
               trace->defect.message);
    return 0;
  }
  fmt::print("found: {}: {}\n  {}\n", to_string(outcome.finding->kind), outcome.finding->place,
             outcome.finding->message);
  return 1;
}

void print_not_looked_for(const std::string& what) {
  if (!what.empty()) fmt::print("not looked for: {}\n", what);
}

void print_not_explored(const Exploration& result) {
  if (!result.limits.empty()) fmt::print("not explored: {}\n", result.limits);
}

int explore_all(const Program& program, const std::string& name, const Arguments& given) {
  ExploreOptions options{.executions_max = given.search.schedules,
                         .stack_bytes = given.search.stack_bytes,
                         .seconds_max = given.search.seconds_max,
                         .probes = kProbes,
                         .preemptions = given.preemptions,
                         .retries = given.retries,
                         .memory_max = given.memory_mib << 20U,
                         .leaks = given.search.leaks,
                         .lock_order = given.search.lock_order};
  if (given.points) options.points_max = *given.points;
  const Exploration result = explore(program, options);
  const std::string within =
      given.preemptions ? fmt::format(" of at most {} preemptions", *given.preemptions) : "";
  fmt::print("{} executions, {} cut short; of about {} interleavings{}\n", result.executions,
             result.cut_short, result.interleavings.text(), within);
  print_not_looked_for(result.not_looked_for);
  if (result.found) {
    if (result.complete) {
      fmt::print("complete: {} executions{}, none of which fails\n", result.executions, within);
      print_not_explored(result);
    }
    return report(program, *result.found, name, given, options.points_max);
  }
  if (result.complete) {
    fmt::print("complete: {} executions{}, nothing found\n", result.executions, within);
  } else {
    fmt::print("not complete: about {:.1f} % done; --schedules N and --time S go further\n",
               result.done * 100);
  }
  if (result.forgotten != 0)
    fmt::print("memory was short (--memory): some of these executions may be equivalent\n");
  print_not_explored(result);
  return 0;
}

int search_some(const Program& program, const std::string& name, Arguments& given) {
  if (given.points) given.search.points_max = *given.points;
  const SearchResult result = search(program, given.search);
  const bool in_time = result.found || result.schedules == given.search.schedules;
  fmt::print("{} schedules, {} scheduling points{}\n", result.schedules, result.points,
             in_time ? "" : "; the time is up (--time)");
  print_not_looked_for(result.not_looked_for);
  if (result.found) return report(program, *result.found, name, given, given.search.points_max);
  fmt::print("nothing found\n");
  return 0;
}

void add_options(CLI::App& app, Arguments& given) {
  SearchOptions& search = given.search;
  app.option_defaults()->always_capture_default();
  app.add_option("--schedules", search.schedules,
                 "how many to run; explore: to their end, those cut short do not count");
  app.add_option("--seed", search.seed, "the first seed");
  app.add_option("--strategy", search.strategy, "names, with commas between them: they take turns");
  app.add_option("--time", search.seconds_max, "seconds, looked at between schedules; 0: any");
  app.add_option(
      "--points", given.points,
      "in one schedule; more is a finding: something never ends (1000000; explore 100000)");
  app.add_option("--stack", given.stack_kib, "of each thread, in KiB")
      ->check(CLI::Range(16U, 1U << 20U));
  app.add_flag("--any-lock-order", given.any_lock_order,
               "locks taken in opposite orders are no finding, only deadlocks are");
  app.add_flag("--any-leak", given.any_leak,
               "memory that is taken with new and left behind is no finding");
  CLI::Option* const explore = app.add_flag("--explore", given.everything,
                                            "every schedule that matters, instead of a search");
  app.add_option("--preemptions", given.preemptions,
                 "explore: at most so many, without: any number; a bound makes it finish sooner")
      ->needs(explore);
  app.add_option("--retries", given.retries,
                 "explore: how often a fiber that yields looks again though nothing has changed")
      ->needs(explore);
  app.add_option("--memory", given.memory_mib,
                 "explore: MiB for what has been seen; what goes beyond is explored once more")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 24U))
      ->needs(explore);
  app.add_option("--replay", given.trace, "run a finding again: its folder or its trace");
  app.add_option("--out", given.out, "where a finding goes");
}

}   // namespace

int search_main(int argc, char** argv, const Program& program) {
  CLI::App app{"Searches this program for schedules under which it fails."};
  Arguments given;
  given.search.seconds_max = kSeconds;
  add_options(app, given);
  want_plain_numbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : complain(error.what());
  }
  if (!StrategyBox{}.choose(given.search.strategy))
    return complain(fmt::format("no strategy '{}'", given.search.strategy));
  given.search.stack_bytes = std::size_t{given.stack_kib} * 1024;
  given.search.lock_order = !given.any_lock_order;
  given.search.leaks = !given.any_leak;
  keep_freed_memory();
  if (!given.trace.empty()) return replay_trace(program, given);
  const std::string name = argc > 0 ? argv[0] : "program";
  return given.everything ? explore_all(program, name, given) : search_some(program, name, given);
}

}   // namespace sim
