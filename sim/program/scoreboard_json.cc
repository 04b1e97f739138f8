// A scoreboard as JSON, written and read.
#include <exception>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/program/scoreboard.h"

namespace program {

using Json = nlohmann::ordered_json;

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
  return Json{{"seeds", board.seeds},
              {"schedules", board.schedules},
              {"strategies", board.strategies},
              {"mutants", mutants}}
             .dump(2) +
         "\n";
}

tl::expected<Scoreboard, std::string> read_scoreboard(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Scoreboard board{.strategies = json.at("strategies"),
                     .seeds = json.at("seeds"),
                     .schedules = json.at("schedules"),
                     .mutants = {}};
    for (const Json& row : json.at("mutants")) {
      MutantScores& mutant = board.mutants.emplace_back(
          MutantScores{row.at("mutant"), row.at("scenario"), {}, row.at("error")});
      for (const Json& score : row.at("scores"))
        mutant.scores.push_back(Score{score.at("strategy"), score.at("schedules"),
                                      score.at("seeds"), score.at("seconds"),
                                      score.at("noticed_by")});
    }
    return board;
  } catch (const std::exception& problem) {
    return tl::unexpected(fmt::format("no scoreboard: {}", problem.what()));
  }
}

}   // namespace program
