// How soon each strategy finds each mutant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace program {

// One strategy against one mutant, from several first seeds.
struct Score {
  std::string strategy;
  std::vector<std::uint64_t>
      schedules;   // to the first finding, of the seeds that found it; sorted
  std::uint32_t seeds = 0;
  double seconds = 0;
  std::string noticed_by;   // the first finding's signature

  // Schedules after which that share of all seeds had found it; none when too few ever did.
  [[nodiscard]] std::optional<std::uint64_t> quantile(double share) const;
};

struct MutantScores {
  std::string mutant;
  std::string scenario;
  std::vector<Score> scores;   // in the order of the strategies
  std::string error;           // it could not be built or run; one line
};

struct Scoreboard {
  std::vector<std::string> strategies;
  std::uint32_t seeds = 0;
  std::uint64_t schedules = 0;   // the budget of one search
  std::vector<MutantScores> mutants;

  // Of the mutants that half of a strategy's seeds have found: how soon, sorted.
  [[nodiscard]] std::vector<std::uint64_t> medians(std::size_t strategy) const;
};

[[nodiscard]] std::string scoreboard_text(const Scoreboard& board);
[[nodiscard]] std::string scoreboard_json(const Scoreboard& board);
// Takes any text; the error is one line.
[[nodiscard]] tl::expected<Scoreboard, std::string> read_scoreboard(const std::string& text);
// Schedules to the right on a logarithmic scale. Of few mutants a row each, with a mark a strategy
// at the median and a bar between the quartiles; of many a curve a strategy: how many of them it
// has found in the median after so many schedules.
[[nodiscard]] std::string scoreboard_svg(const Scoreboard& board);

}   // namespace program
