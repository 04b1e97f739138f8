// wavetank: search for races, replay, shrink and draw what was found, check real images.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "sim/finding_folder.h"
#include "sim/program/commands.h"
#include "sim/program/mutant.h"

namespace program {
namespace {

constexpr int kUsage = 2;

// Becomes the tank around the mutant, with the same arguments but for --mutant, which turns into
// the record of what is being searched. `any_scenario`: a search to which none was named.
int become_mutant(const std::string& wanted, bool any_scenario, int argc, char** argv) {
  const auto mutant = find_mutant(wanted);
  if (!mutant) {
    fmt::print(stderr, "wavetank: {}\n", mutant.error());
    return kUsage;
  }
  const auto path = built_mutant(*mutant);
  if (!path) {
    fmt::print(stderr, "wavetank: {}\n", path.error());
    return kUsage;
  }
  std::vector<std::string> words{path->string()};
  for (int i = 1; i < argc; ++i) {
    const std::string word{argv[i]};
    if (word == "--mutant") {
      ++i;
    } else if (!word.starts_with("--mutant=")) {
      words.push_back(word);
    }
  }
  if (any_scenario) words.push_back("--scenario=" + mutant->general);
  // The name alone: the record must not depend on where anything lies.
  words.push_back("--as-mutant=" + (wanted.ends_with(".patch") ? wanted : mutant->name));
  std::vector<char*> arguments;
  for (std::string& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  fmt::print(stderr, "wavetank: {} cannot be run\n", path->string());
  return kUsage;
}

int dispatch(int argc, char** argv) {
  CLI::App app{"Wavetank: searches a storage engine for races, and proves what it finds."};
  app.require_subcommand(1);
  app.set_version_flag("--version", "wavetank 0.1.0");

  std::string mutant;
  std::string as_mutant;
  const auto with_mutant = [&](CLI::App* command) {
    command->add_option("--mutant", mutant,
                        "a mutant's id or name, or the path of a patch to engine/");
    command->add_option("--as-mutant", as_mutant)->group("");
  };

  SearchOptions search_options;
  CLI::App* const search_command = app.add_subcommand("search", "run many schedules of a scenario");
  search_command->add_option("--scenario", search_options.scenario,
                             "one or more, with commas between them, which take turns; without: "
                             "those that are aimed at nothing. See `wavetank list scenarios`");
  search_command->add_option("--workload", search_options.workload, "one workload, a TOML file");
  search_command->add_option("--strategy", search_options.strategy,
                             "see `wavetank list strategies`");
  search_command->add_option("--seed", search_options.seed, "the first seed");
  search_command->add_option("--schedules", search_options.schedules, "how many to run");
  search_command->add_option("--time", search_options.seconds, "stop after so many seconds");
  search_command->add_option("--jobs", search_options.jobs, "worker processes; 0: one a core");
  search_command->add_option("--per-workload", search_options.schedules_per_workload,
                             "schedules tried on each generated workload");
  search_command->add_option("--shrink-time", search_options.shrink_seconds,
                             "seconds to shrink each finding");
  search_command->add_flag("--keep-going", search_options.keep_going,
                           "look for further defects after the first");
  search_command->add_option("--only-checker", search_options.judges.only,
                             "listen to these alone: see `wavetank list checkers`");
  search_command->add_option("--without-checker", search_options.judges.without,
                             "do not listen to these");
  search_command->add_option("--out", search_options.out, "where findings go");
  search_command->add_flag("--no-folder", search_options.no_folder,
                           "only say what is found: neither shrink nor keep it");
  search_command->add_flag("--json", search_options.json, "the result as JSON");
  search_command->add_flag("--quiet", search_options.quiet, "no live line");
  with_mutant(search_command);

  ExploreOptions explore_options;
  CLI::App* const explore_command =
      app.add_subcommand("explore", "every execution of small workloads, within bounds");
  explore_command->add_option("--workload", explore_options.workload, "a TOML file");
  explore_command->add_option("--scenario", explore_options.scenario,
                              "small workloads of a scenario, one after the other");
  explore_command->add_option("--workloads", explore_options.workloads, "how many of these");
  explore_command->add_option("--operations", explore_options.operations,
                              "of the actors of each, at most so many");
  explore_command->add_option("--seed", explore_options.seed, "of these");
  explore_command->add_option("--preemptions", explore_options.preemptions,
                              "at most so many, counted as docs/exploration.md says; 1, or with "
                              "--cuts one schedule");
  explore_command->add_option("--retries", explore_options.retries,
                              "how often a fiber that yields looks again though nothing changed");
  explore_command->add_option("--faults", explore_options.faults,
                              "of the workload's faults and power cuts, at most so many");
  explore_command->add_flag("--timers", explore_options.timers,
                            "timers may fire while something else could happen");
  explore_command->add_flag("--cuts", explore_options.cuts,
                            "one power cut anywhere, and every image that it can leave");
  explore_command->add_flag("--check", explore_options.check,
                            "look whether what is taken for equivalent is");
  explore_command->add_option("--jobs", explore_options.jobs, "worker processes; 0: one a core");
  explore_command->add_option("--time", explore_options.seconds, "stop after so many seconds");
  explore_command->add_option("--executions", explore_options.executions_max, "stop after so many");
  explore_command->add_option("--shrink-time", explore_options.shrink_seconds,
                              "seconds to shrink what is found");
  explore_command->add_option("--only-checker", explore_options.judges.only,
                              "listen to these alone: see `wavetank list checkers`");
  explore_command->add_option("--without-checker", explore_options.judges.without,
                              "do not listen to these");
  explore_command->add_option("--out", explore_options.out, "where a finding goes");
  explore_command->add_flag("--json", explore_options.json, "the result as JSON");
  with_mutant(explore_command);

  ReplayOptions replay_options;
  CLI::App* const replay_command = app.add_subcommand("replay", "run a trace's schedule again");
  replay_command->add_option("trace", replay_options.trace, "a trace, or a finding's folder")
      ->required();
  replay_command->add_flag("--strict", replay_options.strict, "a divergence is an error");
  replay_command->add_flag("--json", replay_options.json, "the result as JSON");
  with_mutant(replay_command);

  ShrinkOptions shrink_options;
  CLI::App* const shrink_command = app.add_subcommand("shrink", "make a trace smaller");
  shrink_command->add_option("trace", shrink_options.trace, "a trace, or a finding's folder")
      ->required();
  shrink_command->add_option("--out", shrink_options.out, "folder for the result");
  shrink_command->add_option("--time", shrink_options.seconds, "stop after so many seconds");
  with_mutant(shrink_command);

  RenderOptions render_options;
  CLI::App* const render_command = app.add_subcommand("render", "draw a trace");
  render_command->add_option("trace", render_options.trace, "a trace, or a finding's folder")
      ->required();
  render_command
      ->add_option("--format", render_options.format,
                   "svg, dot, html, json (trace events), story, circle")
      ->check(CLI::IsMember({"svg", "dot", "html", "json", "story", "circle"}));
  render_command->add_option("--out", render_options.out, "a file; standard output without");

  ScoreboardOptions board;
  CLI::App* const scoreboard_command =
      app.add_subcommand("scoreboard", "how soon each strategy finds each mutant");
  scoreboard_command
      ->add_option("--mutants", board.mutants, "names with commas between them; all without")
      ->delimiter(',');
  scoreboard_command->add_option("--strategies", board.strategies, "names, likewise")
      ->delimiter(',');
  scoreboard_command->add_option("--seeds", board.seeds, "searches of each");
  scoreboard_command->add_option("--schedules", board.schedules, "of one search, at the most");
  scoreboard_command->add_option("--time", board.seconds, "seconds of one search, at the most");
  scoreboard_command->add_option("--jobs", board.jobs, "worker processes; 0: one a core");
  scoreboard_command->add_flag("--aimed", board.aimed,
                               "with the aimed scenarios, not the general ones");
  scoreboard_command->add_flag("--json", board.json, "as JSON");
  scoreboard_command->add_option("--out", board.out,
                                 "folder for text, JSON and plot, written after each mutant");
  scoreboard_command->add_flag("--resume", board.resume, "go on where the folder ends");

  std::string what;
  bool list_json = false;
  CLI::App* const list_command = app.add_subcommand("list", "what there is");
  list_command->add_option("what", what, "scenarios, mutants, strategies or checkers")
      ->required()
      ->check(CLI::IsMember({"scenarios", "mutants", "strategies", "checkers"}));
  list_command->add_flag("--json", list_json, "as JSON");

  CLI::App* const check_command = app.add_subcommand("check", "check a real metadata image");
  check_command->require_subcommand(1);
  CLI::App* const check_thin_command = check_command->add_subcommand(
      "thin", "metadata of a thin pool; exit 0 clean, 1 leaks only, 2 damaged");
  CLI::App* const check_cache_command = check_command->add_subcommand(
      "cache", "metadata of a cache; exit 0 clean, 1 leaks only, 2 damaged");
  std::filesystem::path image;
  bool check_json = false;
  for (CLI::App* const command : {check_thin_command, check_cache_command}) {
    command->add_option("image", image, "a file or block device; only read")->required();
    command->add_flag("--json", check_json, "as JSON");
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);   // help, version
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    fmt::print(stderr, "wavetank: {}\n", message);
    return kUsage;
  }

  // A trace knows the mutant it was made with.
  if (mutant.empty() && as_mutant.empty() && (*replay_command || *shrink_command)) {
    const auto trace =
        sim::load_trace(*replay_command ? replay_options.trace : shrink_options.trace);
    if (trace) mutant = trace->mutant;
  }
  const bool any_scenario =
      *search_command && search_options.scenario.empty() && search_options.workload.empty();
  if (!mutant.empty()) return become_mutant(mutant, any_scenario, argc, argv);
  if (*search_command) {
    search_options.mutant = as_mutant;
    return search(search_options);
  }
  if (*explore_command) {
    explore_options.mutant = as_mutant;
    return explore(explore_options);
  }
  if (*replay_command) return replay(replay_options);
  if (*shrink_command) return shrink(shrink_options);
  if (*render_command) return render(render_options);
  if (*scoreboard_command) return scoreboard(board);
  if (*list_command) return list(what, list_json);
  return *check_cache_command ? check_cache(image, check_json) : check_thin(image, check_json);
}

}   // namespace
}   // namespace program

int main(int argc, char** argv) {
  try {
    return program::dispatch(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "wavetank: {}\n", error.what());
    return 2;
  }
}
