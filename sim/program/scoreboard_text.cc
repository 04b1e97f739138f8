// A scoreboard for people to read.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "sim/program/scoreboard.h"

namespace program {
namespace {

std::string cell(const Score& score) {
  const auto median = score.quantile(0.5);
  std::string found = fmt::format("{}/{}", score.schedules.size(), score.seeds);
  if (!median) return found;
  const auto high = score.quantile(0.75);
  return fmt::format("{} ({}-{}) {}", *median, *score.quantile(0.25),
                     high ? std::to_string(*high) : "", found);
}

double seconds_of(const MutantScores& mutant) {
  double seconds = 0;
  for (const Score& score : mutant.scores)
    seconds += score.seconds;
  return seconds;
}

// Of the first strategy that found it.
std::string noticed_by(const MutantScores& mutant) {
  for (const Score& score : mutant.scores) {
    if (!score.noticed_by.empty()) return score.noticed_by;
  }
  return "nobody";
}

std::string row(const std::string& name) {
  return fmt::format("{:<36}", name);
}

}   // namespace

std::optional<std::uint64_t> Score::quantile(double share) const {
  if (seeds == 0) return std::nullopt;
  const auto rank = static_cast<std::size_t>(std::ceil(share * seeds));
  if (rank == 0 || rank > schedules.size()) return std::nullopt;
  return schedules[rank - 1];
}

std::vector<std::uint64_t> Scoreboard::medians(std::size_t strategy) const {
  std::vector<std::uint64_t> medians;
  for (const MutantScores& mutant : mutants) {
    if (strategy >= mutant.scores.size()) continue;
    if (const auto median = mutant.scores[strategy].quantile(0.5)) medians.push_back(*median);
  }
  std::sort(medians.begin(), medians.end());
  return medians;
}

std::string scoreboard_text(const Scoreboard& board) {
  std::string text = fmt::format(
      "schedules to the first finding: median (quartiles) seeds that found it; {} seeds, at most "
      "{} schedules each\n",
      board.seeds, board.schedules);
  text += row("");
  for (const std::string& strategy : board.strategies)
    text += fmt::format(" {:>26}", strategy);
  text += fmt::format(" {:>8}  noticed by\n", "seconds");
  for (const MutantScores& mutant : board.mutants) {
    text += row(mutant.mutant);
    for (const Score& score : mutant.scores)
      text += fmt::format(" {:>26}", cell(score));
    text += fmt::format(" {:>8.0f}  {}\n", seconds_of(mutant),
                        mutant.error.empty() ? noticed_by(mutant) : mutant.error);
  }
  text += row(fmt::format("found by half of the seeds, of {}", board.mutants.size()));
  for (std::size_t i = 0; i < board.strategies.size(); ++i)
    text += fmt::format(" {:>26}", board.medians(i).size());
  return text + "\n";
}

}   // namespace program
