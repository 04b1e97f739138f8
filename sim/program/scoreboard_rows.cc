// Few mutants: a row each.
#include <fmt/format.h>

#include "sim/program/scoreboard_plot.h"

namespace program {
namespace {

class Rows : ScoreboardPlot {
  static constexpr double kLeft = 290;    // of the names
  static constexpr double kPlot = 760;    // width of the scale
  static constexpr double kNever = 120;   // to the right of it: not found in half of the searches
  static constexpr double kNeverAt = kLeft + kPlot + 75;
  static constexpr double kTop = 96;
  static constexpr double kLane = 9;   // a strategy's share of a row
  static constexpr double kGap = 12;

 public:
  explicit Rows(const Scoreboard& board)
      : ScoreboardPlot{board, kLeft, kTop, kPlot},
        row_{kLane * static_cast<double>(board.strategies.size()) + kGap} {}

  std::string draw() {
    const double bottom = kTop + row_ * static_cast<double>(board_.mutants.size());
    begin(kLeft + kPlot + kNever + 20, bottom + 44,
          fmt::format("median and quartiles of {} searches of at most {} schedules", board_.seeds,
                      board_.schedules));
    legend();
    scale(bottom);
    say(kNeverAt, bottom + 20, 12, kPale, "middle", "not in half");
    for (std::size_t i = 0; i < board_.mutants.size(); ++i)
      row(board_.mutants[i], kTop + row_ * static_cast<double>(i), i % 2 == 1);
    return text_ + "</svg>\n";
  }

 private:
  void row(const MutantScores& mutant, double y, bool shaded) {
    if (shaded) {
      text_ += fmt::format(
          "<rect x=\"0\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.1f}\" fill=\"#f4f6f9\"/>\n", y,
          kLeft + kPlot + kNever + 20, row_);
    }
    say(kLeft - 14, y + row_ / 2 + 4, 12, kInk, "end", mutant.mutant);
    if (!mutant.error.empty()) say(kLeft, y + row_ / 2 + 4, 12, "#c1121f", "start", mutant.error);
    for (std::size_t i = 0; i < mutant.scores.size(); ++i)
      mark(mutant.scores[i], y + kGap / 2 + kLane * (static_cast<double>(i) + 0.5), colour_of(i));
  }

  void mark(const Score& score, double y, std::string_view colour) {
    const auto low = score.quantile(0.25);
    const auto median = score.quantile(0.5);
    const auto high = score.quantile(0.75);
    if (low) {
      text_ += fmt::format(
          "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
          "stroke-width=\"2\" stroke-opacity=\"0.45\"/>\n",
          x_of(*low), y, high ? x_of(*high) : kNeverAt, y, colour);
    }
    text_ +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"{}\"/>\n",
                    median ? x_of(*median) : kNeverAt, y, median ? colour : "#ffffff", colour);
  }

  const double row_;
};

}   // namespace

std::string scoreboard_rows(const Scoreboard& board) {
  return Rows{board}.draw();
}

}   // namespace program
