#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "sim/program/scoreboard.h"
#include "traces/escape.h"

namespace program {
namespace {

constexpr double kLeft = 290;    // of the names
constexpr double kPlot = 760;    // width of the scale
constexpr double kNever = 120;   // to the right of it: not found in half of the searches
constexpr double kNeverAt = kLeft + kPlot + 75;
constexpr double kTop = 96;
constexpr double kLane = 9;   // a strategy's share of a row
constexpr double kGap = 12;
constexpr std::array<std::string_view, 8> kColours{"#1f77b4", "#d95f02", "#2a9d4b", "#b5179e",
                                                   "#7a5c00", "#c1121f", "#555f6e", "#0fa3b1"};

std::string_view colour_of(std::size_t strategy) {
  return kColours[strategy % kColours.size()];
}

class Plot {
 public:
  explicit Plot(const Scoreboard& board)
      : board_{board},
        row_{kLane * static_cast<double>(board.strategies.size()) + kGap},
        decades_{std::max(1.0, std::ceil(std::log10(static_cast<double>(
                                   std::max<std::uint64_t>(board.schedules, 10)))))} {}

  std::string draw() {
    const double bottom = kTop + row_ * static_cast<double>(board_.mutants.size());
    text_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"DejaVu Sans, sans-serif\" "
        "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        kLeft + kPlot + kNever + 20, bottom + 44);
    say(20, 28, 17, "#1b2a41", "start", "Schedules to the first finding");
    say(20, 48, 12, "#555f6e", "start",
        fmt::format("median and quartiles of {} searches of at most {} schedules", board_.seeds,
                    board_.schedules));
    legend();
    scale(bottom);
    for (std::size_t i = 0; i < board_.mutants.size(); ++i)
      row(board_.mutants[i], kTop + row_ * static_cast<double>(i), i % 2 == 1);
    return text_ + "</svg>\n";
  }

 private:
  [[nodiscard]] double x_of(std::uint64_t schedules) const {
    const double decade = std::log10(static_cast<double>(std::max<std::uint64_t>(schedules, 1)));
    return kLeft + kPlot * std::min(decade / decades_, 1.0);
  }

  void say(double x, double y, int size, std::string_view colour, std::string_view anchor,
           const std::string& words) {
    text_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" "
        "text-anchor=\"{}\">{}</text>\n",
        x, y, size, colour, anchor, traces::escape_xml(words));
  }

  void legend() {
    double x = 20;
    for (std::size_t i = 0; i < board_.strategies.size(); ++i) {
      text_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"66\" r=\"4.5\" fill=\"{}\"/>\n", x + 5,
                           colour_of(i));
      say(x + 15, 70, 12, "#1b2a41", "start", board_.strategies[i]);
      x += 34 + 8 * static_cast<double>(board_.strategies[i].size());
    }
  }

  void scale(double bottom) {
    for (int decade = 0; decade <= static_cast<int>(decades_); ++decade) {
      const double x = kLeft + kPlot * decade / decades_;
      text_ += fmt::format(
          "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#d5dae1\"/>\n", x,
          kTop - 6, bottom);
      say(x, bottom + 20, 12, "#555f6e", "middle", fmt::format("{:.0f}", std::pow(10.0, decade)));
    }
    say(kNeverAt, bottom + 20, 12, "#555f6e", "middle", "not in half");
  }

  void row(const MutantScores& mutant, double y, bool shaded) {
    if (shaded) {
      text_ += fmt::format(
          "<rect x=\"0\" y=\"{:.1f}\" width=\"{:.0f}\" height=\"{:.1f}\" fill=\"#f4f6f9\"/>\n", y,
          kLeft + kPlot + kNever + 20, row_);
    }
    say(kLeft - 14, y + row_ / 2 + 4, 12, "#1b2a41", "end", mutant.mutant);
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

  const Scoreboard& board_;
  const double row_;
  const double decades_;
  std::string text_;
};

}   // namespace

std::string scoreboard_svg(const Scoreboard& board) {
  return Plot{board}.draw();
}

}   // namespace program
