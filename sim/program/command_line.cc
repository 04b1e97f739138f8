#include "sim/program/command_line.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "sim/finding_folder.h"
#include "sim/plain_numbers.h"
#include "sim/program/complaint.h"

namespace program {
CommandLine::CommandLine()
    : app_{"Wavetank: searches a storage engine for races, and proves what it finds."} {
  app_.require_subcommand(1);
  app_.option_defaults()->always_capture_default();   // of the commands made from here on
  app_.set_version_flag("--version", "wavetank 0.1.0");
  add_search();
  add_explore();
  add_replay();
  add_shrink();
  add_render();
  add_scoreboard();
  add_list();
  add_check();
  sim::want_plain_numbers(app_);
}

void CommandLine::with_mutant(CLI::App& command) {
  command.add_option("--mutant", mutant_,
                     "a mutant's id or name, or the path of a patch to engine/");
  command.add_option("--as-mutant", as_mutant_)->group("");
}

void CommandLine::with_judges(CLI::App& command, Judges& judges) {
  command
      .add_option("--only-checker", judges.only,
                  "listen to these alone, without: to all; see `wavetank list checkers`")
      ->default_str("");
  command.add_option("--without-checker", judges.without, "do not listen to these")
      ->default_str("");
}

void CommandLine::add_search() {
  CLI::App& command = *app_.add_subcommand("search", "run many schedules of a scenario");
  command.add_option("--scenario", search_.scenario,
                     "one or more, with commas between them, which take turns; without: "
                     "those that are aimed at nothing. See `wavetank list scenarios`");
  command.add_option("--workload", search_.workload, "one workload, a TOML file");
  command.add_option("--strategy", search_.strategy, "see `wavetank list strategies`");
  command.add_option("--seed", search_.seed, "the first seed");
  command.add_option("--schedules", search_.schedules, "how many to run");
  command.add_option(
      "--time", search_.seconds,
      "stop searching after so many seconds; 0: never. What is found is shrunk after that, "
      "see --shrink-time");
  command.add_option("--jobs", search_.jobs, "worker processes; 0: one a core");
  command.add_option("--per-workload", search_.schedules_per_workload,
                     "schedules tried on each generated workload");
  command.add_option("--shrink-time", search_.shrink_seconds,
                     "seconds of the processor to shrink each finding, at most; by the clock up to "
                     "four times as many on a busy machine");
  command.add_flag("--keep-going", search_.keep_going, "look for further defects after the first");
  with_judges(command, search_.judges);
  command.add_option("--out", search_.out, "where findings go");
  command.add_flag("--no-folder", search_.no_folder,
                   "only say what is found: neither shrink nor keep it");
  command.add_option("--images", search_.images,
                     "folder for the disks as each schedule's power cuts left them");
  command.add_flag(
      "--json", search_.json,
      "the result as JSON: but for its seconds the same with any --jobs, if --time does "
      "not end it");
  command.add_flag("--quiet", search_.quiet, "no live line");
  with_mutant(command);
}

void CommandLine::add_explore() {
  CLI::App& command =
      *app_.add_subcommand("explore", "every execution of small workloads, within bounds");
  command.add_option("--workload", explore_.workload, "a TOML file");
  command.add_option("--scenario", explore_.scenario,
                     "small workloads of a scenario, one after the other");
  command.add_option("--workloads", explore_.workloads, "how many of these");
  command.add_option("--operations", explore_.operations, "of the actors of each, at most so many");
  command.add_option("--seed", explore_.seed, "of these");
  command.add_option("--preemptions", explore_.preemptions,
                     "at most so many, counted as docs/exploration.md says; without: 1, or with "
                     "--cuts one schedule");
  command.add_option("--retries", explore_.retries,
                     "how often a fiber that yields looks again though nothing changed");
  command.add_option("--faults", explore_.faults,
                     "of the workload's faults and power cuts, at most so many; without: none, or "
                     "with --cuts the cut");
  command.add_flag("--timers", explore_.timers,
                   "timers may fire while something else could happen");
  command.add_flag("--cuts", explore_.cuts,
                   "one power cut anywhere, and every image that it can leave");
  command.add_flag("--every-image", explore_.every_image,
                   "of these also those apart that differ only where nobody looks, or in data");
  command.add_flag("--check", explore_.check, "look whether what is taken for equivalent is");
  command.add_option("--jobs", explore_.jobs, "worker processes; 0: one a core");
  command.add_option("--time", explore_.seconds,
                     "stop after so many seconds of each workload, before shrinking what is found");
  command.add_option("--executions", explore_.executions_max,
                     "stop after so many of each workload, but for those cut short");
  command
      .add_option("--memory", explore_.memory_mib,
                  "MiB for what has been seen; what goes beyond is explored once more")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 24U));
  command.add_option("--shrink-time", explore_.shrink_seconds,
                     "seconds to shrink what is found, as in search");
  with_judges(command, explore_.judges);
  command.add_option("--out", explore_.out, "where a finding goes");
  command.add_flag("--no-folder", explore_.no_folder,
                   "only say what is found: neither shrink nor keep it");
  command.add_flag("--json", explore_.json, "the result as JSON");
  with_mutant(command);
}

void CommandLine::add_replay() {
  CLI::App& command = *app_.add_subcommand("replay", "run a trace's schedule again");
  command.add_option("trace", replay_.trace, "a trace, or a finding's folder")->required();
  command.add_option("--images", replay_.images,
                     "folder for the disks as the run's power cuts left them");
  command.add_flag("--strict", replay_.strict, "a divergence is an error");
  command.add_flag("--json", replay_.json, "the result as JSON");
  with_mutant(command);
}

void CommandLine::add_shrink() {
  CLI::App& command = *app_.add_subcommand("shrink", "make a trace smaller");
  command.add_option("trace", shrink_.trace, "a trace, or a finding's folder")->required();
  command.add_option("--out", shrink_.out,
                     "folder for the result; without: out/NAME, by what was found");
  command.add_option("--time", shrink_.seconds,
                     "stop after so many seconds, as --shrink-time of search");
  with_mutant(command);
}

void CommandLine::add_render() {
  CLI::App& command = *app_.add_subcommand("render", "draw a trace");
  command.add_option("trace", render_.trace, "a trace, or a finding's folder")->required();
  command
      .add_option("--format", render_.format, "svg, dot, html, json (trace events), story, circle")
      ->check(CLI::IsMember({"svg", "dot", "html", "json", "story", "circle"}));
  command.add_option("--out", render_.out, "a file; standard output without");
}

void CommandLine::add_scoreboard() {
  CLI::App& command =
      *app_.add_subcommand("scoreboard", "how soon each strategy finds each mutant");
  command
      .add_option("--mutants", scoreboard_.mutants, "names with commas between them; all without")
      ->delimiter(',')
      ->default_str("");
  command.add_option("--strategies", scoreboard_.strategies, "names, likewise")->delimiter(',');
  command.add_option("--seeds", scoreboard_.seeds, "searches of each");
  command.add_option("--schedules", scoreboard_.schedules, "of one search, at the most");
  command.add_option("--time", scoreboard_.seconds, "seconds of one search, at the most; 0: any");
  command.add_option("--jobs", scoreboard_.jobs, "worker processes; 0: one a core");
  command.add_flag("--aimed", scoreboard_.aimed, "with the aimed scenarios, not the general ones");
  command.add_flag("--json", scoreboard_.json, "as JSON");
  command.add_option("--out", scoreboard_.out,
                     "folder for text, JSON and plot, written after each mutant; without: none");
  command.add_flag("--resume", scoreboard_.resume, "go on where the folder ends");
}

void CommandLine::add_list() {
  CLI::App& command = *app_.add_subcommand("list", "what there is");
  command.add_option("what", list_what_, "scenarios, mutants, strategies or checkers")
      ->required()
      ->check(CLI::IsMember({"scenarios", "mutants", "strategies", "checkers"}));
  command.add_flag("--json", json_, "as JSON");
}

void CommandLine::add_check() {
  CLI::App& command = *app_.add_subcommand("check", "check a real metadata image");
  command.require_subcommand(1);
  for (CLI::App* const kind :
       {command.add_subcommand("thin",
                               "metadata of a thin pool; exit 0 clean, 1 leaks only, 2 damaged"),
        command.add_subcommand("cache",
                               "metadata of a cache; exit 0 clean, 1 leaks only, 2 damaged")}) {
    kind->add_option("image", image_, "a file or block device; only read")->required();
    kind->add_flag("--json", json_, "as JSON");
  }
}

std::optional<int> CommandLine::parse(int argc, char** argv) {
  try {
    app_.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error);   // help, version
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return complain(message);
  }
}

std::string CommandLine::mutant() const {
  if (!mutant_.empty() || !as_mutant_.empty()) return mutant_;
  const bool replays = app_.got_subcommand("replay");
  if (!replays && !app_.got_subcommand("shrink")) return {};
  const auto trace = sim::load_trace(replays ? replay_.trace : shrink_.trace);
  return trace ? trace->mutant : std::string{};
}

bool CommandLine::takes_any_scenario() const {
  return app_.got_subcommand("search") && search_.scenario.empty() && search_.workload.empty();
}

int CommandLine::run() {
  search_.mutant = explore_.mutant = as_mutant_;
  if (app_.got_subcommand("search")) return search(search_);
  if (app_.got_subcommand("explore")) return explore(explore_);
  if (app_.got_subcommand("replay")) return replay(replay_);
  if (app_.got_subcommand("shrink")) return shrink(shrink_);
  if (app_.got_subcommand("render")) return render(render_);
  if (app_.got_subcommand("scoreboard")) return scoreboard(scoreboard_);
  if (app_.got_subcommand("list")) return list(list_what_, json_);
  return app_.get_subcommand("check")->got_subcommand("cache") ? check_cache(image_, json_)
                                                               : check_thin(image_, json_);
}

}   // namespace program
