// wavetank scoreboard: searches every mutant with each strategy from several seeds.
#include "sim/program/scoreboard.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/finding_folder.h"
#include "sim/program/commands.h"
#include "sim/program/complaint.h"
#include "sim/program/mutant.h"
#include "sim/program/subprocess.h"
#include "sim/strategies.h"

namespace program {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Searches that follow one another must not share workloads.
constexpr std::uint64_t kSeedStride = 1'000'003;

constexpr const char* kJsonFile = "scoreboard.json";

const std::string& scenario_of(const Mutant& mutant, const ScoreboardOptions& options) {
  return options.aimed ? mutant.scenario : mutant.general;
}

// Of the search's JSON, what counts here. False: it said nothing sensible.
bool add_search(const std::string& text, Score& score) {
  const Json report = Json::parse(text, nullptr, false);
  if (report.is_discarded() || !report.contains("findings")) return false;
  score.seconds += report.value("seconds", 0.0);
  ++score.seeds;
  for (const Json& finding : report["findings"]) {
    score.schedules.push_back(finding.value("schedule", std::uint64_t{0}) + 1);
    if (score.noticed_by.empty()) score.noticed_by = finding.value("signature", "");
    break;
  }
  return true;
}

Score measure(const fs::path& tank, const Mutant& mutant, const std::string& strategy,
              const ScoreboardOptions& options, std::string& error) {
  Score score;
  score.strategy = strategy;
  for (std::uint32_t i = 0; i < options.seeds && error.empty(); ++i) {
    const Ended ended =
        output_of({tank.string(), "search", "--as-mutant=" + mutant.name, "--scenario",
                   scenario_of(mutant, options), "--strategy", strategy, "--seed",
                   std::to_string(1 + i * kSeedStride), "--schedules",
                   std::to_string(options.schedules), "--time", fmt::format("{}", options.seconds),
                   "--jobs", std::to_string(options.jobs), "--no-folder", "--json", "--quiet"});
    if (ended.status > 1 || !add_search(ended.output, score))
      error = fmt::format("the search of {} ended with {}", mutant.name, ended.status);
  }
  std::sort(score.schedules.begin(), score.schedules.end());
  return score;
}

MutantScores measure(const Mutant& mutant, const ScoreboardOptions& options) {
  MutantScores scores{
      .mutant = mutant.name, .scenario = scenario_of(mutant, options), .scores = {}, .error = {}};
  const auto tank = built_mutant(mutant);
  if (!tank) {
    scores.error = tank.error();
    return scores;
  }
  for (const std::string& strategy : options.strategies) {
    scores.scores.push_back(measure(*tank, mutant, strategy, options, scores.error));
    if (!scores.error.empty()) break;
  }
  return scores;
}

tl::expected<std::vector<Mutant>, std::string> chosen(const std::vector<std::string>& names) {
  if (names.empty()) return list_mutants();
  std::vector<Mutant> mutants;
  for (const std::string& name : names) {
    auto mutant = find_mutant(name);
    if (!mutant) return tl::unexpected(mutant.error());
    mutants.push_back(*std::move(mutant));
  }
  return mutants;
}

// The rows that a run which was stopped has left in the folder.
tl::expected<std::vector<MutantScores>, std::string> rows_so_far(const ScoreboardOptions& options) {
  if (!options.resume) return {};
  const fs::path file = options.out / kJsonFile;
  std::ifstream in{file, std::ios::binary};
  if (!in) return {};
  const auto board = read_scoreboard({std::istreambuf_iterator<char>{in}, {}});
  if (!board) return tl::unexpected(fmt::format("{}: {}", file.string(), board.error()));
  if (board->seeds != options.seeds || board->schedules != options.schedules ||
      board->strategies != options.strategies)
    return tl::unexpected(
        fmt::format("{} is of other strategies, seeds or schedules", file.string()));
  return board->mutants;
}

std::string write_board(const fs::path& folder, const Scoreboard& board) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  for (const auto& [name, bytes] : {std::pair{"scoreboard.txt", scoreboard_text(board)},
                                    std::pair{kJsonFile, scoreboard_json(board)},
                                    std::pair{"scoreboard.svg", scoreboard_svg(board)}}) {
    if (const auto written = sim::write_file(folder / name, bytes); !written)
      return written.error();
  }
  return {};
}

}   // namespace

int scoreboard(const ScoreboardOptions& options) {
  const auto mutants = chosen(options.mutants);
  if (!mutants) return complain(mutants.error());
  if (options.resume && options.out.empty()) return complain("--resume needs --out");
  const auto so_far = rows_so_far(options);
  if (!so_far) return complain(so_far.error());
  Scoreboard board{.strategies = options.strategies,
                   .seeds = options.seeds,
                   .schedules = options.schedules,
                   .mutants = {}};
  for (const std::string& strategy : board.strategies) {
    if (!sim::StrategyBox{}.choose(strategy)) return complain("no strategy '" + strategy + "'");
  }
  for (const Mutant& mutant : *mutants) {
    const auto known = std::find_if(so_far->begin(), so_far->end(), [&](const MutantScores& row) {
      return row.mutant == mutant.name && row.scenario == scenario_of(mutant, options);
    });
    const bool is_known = known != so_far->end() && known->error.empty();
    board.mutants.push_back(is_known ? *known : measure(mutant, options));
    if (!options.json)
      fmt::print(stderr, "{} of {}: {}\n", board.mutants.size(), mutants->size(), mutant.name);
    if (options.out.empty()) continue;
    if (const std::string error = write_board(options.out, board); !error.empty())
      return complain(error);
  }
  fmt::print("{}", options.json ? scoreboard_json(board) : scoreboard_text(board));
  return 0;
}

}   // namespace program
