// Many mutants: how many of them each strategy has found after so many schedules.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "sim/program/scoreboard_plot.h"

namespace program {
namespace {

class Curves : ScoreboardPlot {
  static constexpr double kLeft = 64;     // of the numbers
  static constexpr double kPlot = 820;    // width of the scale
  static constexpr double kNames = 150;   // to the right of it
  static constexpr double kTop = 84;
  static constexpr double kHeight = 480;
  static constexpr double kBottom = kTop + kHeight;
  static constexpr double kLine = 16;   // between two names

 public:
  explicit Curves(const Scoreboard& board) : ScoreboardPlot{board, kLeft, kTop, kPlot} {
    for (std::size_t i = 0; i < board.strategies.size(); ++i)
      medians_.push_back(board.medians(i));
  }

  std::string draw() {
    begin(kLeft + kPlot + kNames, kBottom + 56,
          fmt::format("how many of {} mutants half of {} searches have found after so many "
                      "schedules, of at most {}",
                      board_.mutants.size(), board_.seeds, board_.schedules));
    scale(kBottom);
    say(kLeft + kPlot / 2, kBottom + 42, 12, kPale, "middle", "schedules");
    lines();
    for (std::size_t i = 0; i < medians_.size(); ++i)
      curve(i);
    names();
    return text_ + "</svg>\n";
  }

 private:
  [[nodiscard]] double y_of(std::size_t found) const {
    return kBottom - kHeight * static_cast<double>(found) /
                         static_cast<double>(std::max<std::size_t>(board_.mutants.size(), 1));
  }

  void lines() {
    const std::size_t all = board_.mutants.size();
    const std::size_t step = all <= 50 ? 10 : all <= 250 ? 25 : 100;
    for (std::size_t found = 0; found <= all; found += step) {
      text_ += fmt::format(
          "<line x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\" "
          "stroke=\"#e8ebef\"/>\n",
          kLeft, kLeft + kPlot, y_of(found));
      say(kLeft - 8, y_of(found) + 4, 12, kPale, "end", std::to_string(found));
    }
  }

  void curve(std::size_t strategy) {
    std::string path = fmt::format("M{:.1f},{:.1f}", kLeft, kBottom);
    for (std::size_t i = 0; i < medians_[strategy].size(); ++i)
      path += fmt::format(" H{:.1f} V{:.1f}", x_of(medians_[strategy][i]), y_of(i + 1));
    path += fmt::format(" H{:.1f}", x_of(board_.schedules));
    text_ += fmt::format(
        "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" "
        "stroke-opacity=\"0.85\"/>\n",
        path, colour_of(strategy));
  }

  // Beside the ends of the curves, with a line's distance between them.
  void names() {
    std::vector<std::size_t> order(medians_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return medians_[a].size() > medians_[b].size();
    });
    double free_from = kTop;
    for (const std::size_t i : order) {
      const double y = std::max(y_of(medians_[i].size()), free_from);
      free_from = y + kLine;
      say(x_of(board_.schedules) + 10, y + 4, 12, colour_of(i), "start",
          fmt::format("{} {}", medians_[i].size(), board_.strategies[i]));
    }
  }

  std::vector<std::vector<std::uint64_t>> medians_;
};

}   // namespace

std::string scoreboard_curves(const Scoreboard& board) {
  return Curves{board}.draw();
}

}   // namespace program
