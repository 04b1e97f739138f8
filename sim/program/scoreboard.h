// How soon each strategy finds each mutant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
};

[[nodiscard]] std::string scoreboard_text(const Scoreboard& board);
[[nodiscard]] std::string scoreboard_json(const Scoreboard& board);
// A row a mutant, schedules to the right on a logarithmic scale, a mark a strategy at the median
// with a bar between the quartiles.
[[nodiscard]] std::string scoreboard_svg(const Scoreboard& board);

}   // namespace program
