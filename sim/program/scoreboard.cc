// wavetank scoreboard: searches every mutant with each strategy from several seeds.
#include "sim/program/scoreboard.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/finding_folder.h"
#include "sim/program/commands.h"
#include "sim/program/mutant.h"
#include "sim/program/subprocess.h"
#include "sim/strategies.h"

namespace program {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Searches that follow one another must not share workloads.
constexpr std::uint64_t kSeedStride = 1'000'003;

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
              const ScoreboardOptions& options, const fs::path& scratch, std::string& error) {
  Score score;
  score.strategy = strategy;
  for (std::uint32_t i = 0; i < options.seeds && error.empty(); ++i) {
    const Ended ended = output_of({tank.string(),
                                   "search",
                                   "--as-mutant=" + mutant.name,
                                   "--scenario",
                                   options.aimed ? mutant.scenario : mutant.general,
                                   "--strategy",
                                   strategy,
                                   "--seed",
                                   std::to_string(1 + i * kSeedStride),
                                   "--schedules",
                                   std::to_string(options.schedules),
                                   "--time",
                                   fmt::format("{}", options.seconds),
                                   "--jobs",
                                   std::to_string(options.jobs),
                                   "--shrink-time",
                                   "0",
                                   "--json",
                                   "--quiet",
                                   "--out",
                                   scratch.string()});
    if (ended.status > 1 || !add_search(ended.output, score))
      error = fmt::format("the search of {} ended with {}", mutant.name, ended.status);
  }
  std::sort(score.schedules.begin(), score.schedules.end());
  return score;
}

MutantScores measure(const Mutant& mutant, const ScoreboardOptions& options,
                     const fs::path& scratch) {
  MutantScores scores{.mutant = mutant.name,
                      .scenario = options.aimed ? mutant.scenario : mutant.general,
                      .scores = {},
                      .error = {}};
  const auto tank = built_mutant(mutant);
  if (!tank) {
    scores.error = tank.error();
    return scores;
  }
  for (const std::string& strategy : options.strategies) {
    scores.scores.push_back(measure(*tank, mutant, strategy, options, scratch, scores.error));
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

std::string cell(const Score& score) {
  const auto median = score.quantile(0.5);
  const std::string found = fmt::format("{}/{}", score.schedules.size(), score.seeds);
  if (!median) return found;
  const auto high = score.quantile(0.75);
  return fmt::format("{} ({}-{}) {}", *median, *score.quantile(0.25),
                     high ? std::to_string(*high) : "", found);
}

int complain(const std::string& error) {
  fmt::print(stderr, "wavetank: {}\n", error);
  return 2;
}

}   // namespace

std::optional<std::uint64_t> Score::quantile(double share) const {
  if (seeds == 0) return std::nullopt;
  const auto rank = static_cast<std::size_t>(std::ceil(share * seeds));
  if (rank == 0 || rank > schedules.size()) return std::nullopt;
  return schedules[rank - 1];
}

std::string scoreboard_text(const Scoreboard& board) {
  std::string text = fmt::format(
      "schedules to the first finding: median (quartiles) seeds that found it; {} seeds, at most "
      "{} schedules each\n{:<36}",
      board.seeds, board.schedules, "");
  for (const std::string& strategy : board.strategies)
    text += fmt::format(" {:>26}", strategy);
  text += "\n";
  for (const MutantScores& mutant : board.mutants) {
    text += fmt::format("{:<36}", mutant.mutant);
    for (const Score& score : mutant.scores)
      text += fmt::format(" {:>26}", cell(score));
    text += mutant.error.empty() ? "\n" : fmt::format(" {}\n", mutant.error);
  }
  return text;
}

std::string scoreboard_json(const Scoreboard& board) {
  Json mutants = Json::array();
  for (const MutantScores& mutant : board.mutants) {
    Json scores = Json::array();
    for (const Score& score : mutant.scores) {
      scores.push_back({{"strategy", score.strategy},
                        {"seeds", score.seeds},
                        {"schedules", score.schedules},
                        {"seconds", score.seconds},
                        {"noticed_by", score.noticed_by}});
    }
    mutants.push_back({{"mutant", mutant.mutant},
                       {"scenario", mutant.scenario},
                       {"scores", std::move(scores)},
                       {"error", mutant.error}});
  }
  return Json{{"seeds", board.seeds}, {"schedules", board.schedules}, {"mutants", mutants}}.dump(
             2) +
         "\n";
}

int scoreboard(const ScoreboardOptions& options) {
  const auto mutants = chosen(options.mutants);
  if (!mutants) return complain(mutants.error());
  Scoreboard board{.strategies = options.strategies,
                   .seeds = options.seeds,
                   .schedules = options.schedules,
                   .mutants = {}};
  for (const std::string& strategy : board.strategies) {
    if (!sim::StrategyBox{}.choose(strategy)) return complain("no strategy '" + strategy + "'");
  }
  std::error_code failed;
  const fs::path scratch = fs::temp_directory_path() / fmt::format("scoreboard-{}", getpid());
  for (const Mutant& mutant : *mutants) {
    board.mutants.push_back(measure(mutant, options, scratch));
    if (!options.json) {
      fmt::print(stderr, "{} of {}: {}\n", board.mutants.size(), mutants->size(), mutant.name);
    }
    fs::remove_all(scratch, failed);
  }
  fmt::print("{}", options.json ? scoreboard_json(board) : scoreboard_text(board));
  if (options.out.empty()) return 0;
  fs::create_directories(options.out, failed);
  for (const auto& [name, bytes] : {std::pair{"scoreboard.txt", scoreboard_text(board)},
                                    std::pair{"scoreboard.json", scoreboard_json(board)},
                                    std::pair{"scoreboard.svg", scoreboard_svg(board)}}) {
    if (const auto written = sim::write_file(options.out / name, bytes); !written)
      return complain(written.error());
  }
  return 0;
}

}   // namespace program
