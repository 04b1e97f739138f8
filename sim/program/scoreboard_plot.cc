#include "sim/program/scoreboard_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "traces/escape.h"

namespace program {
namespace {

constexpr std::size_t kRowsMax = 24;   // more are too high to be looked at

double decades_of(std::uint64_t schedules) {
  return std::log10(static_cast<double>(std::max<std::uint64_t>(schedules, 10)));
}

}   // namespace

ScoreboardPlot::ScoreboardPlot(const Scoreboard& board, double left, double top, double width)
    : board_{board}, left_{left}, top_{top}, width_{width}, decades_{decades_of(board.schedules)} {}

void ScoreboardPlot::begin(double width, double height, std::string_view below_title) {
  text_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"DejaVu Sans, sans-serif\" "
      "font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      width, height);
  say(20, 28, 17, kInk, "start", "Schedules to the first finding");
  say(20, 48, 12, kPale, "start", below_title);
}

double ScoreboardPlot::x_of(std::uint64_t schedules) const {
  const double decade = std::log10(static_cast<double>(std::max<std::uint64_t>(schedules, 1)));
  return left_ + width_ * std::min(decade / decades_, 1.0);
}

void ScoreboardPlot::say(double x, double y, int size, std::string_view colour,
                         std::string_view anchor, std::string_view words) {
  text_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\">{}</text>\n",
      x, y, size, colour, anchor, traces::escape_xml(words));
}

void ScoreboardPlot::legend() {
  double x = 20;
  for (std::size_t i = 0; i < board_.strategies.size(); ++i) {
    text_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"66\" r=\"4.5\" fill=\"{}\"/>\n", x + 5,
                         colour_of(i));
    say(x + 15, 70, 12, kInk, "start", board_.strategies[i]);
    x += 34 + 8 * static_cast<double>(board_.strategies[i].size());
  }
}

void ScoreboardPlot::scale(double bottom) {
  for (std::uint64_t at = 1; at <= board_.schedules; at *= 10) {
    text_ += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#d5dae1\"/>\n",
        x_of(at), top_ - 6, bottom);
    say(x_of(at), bottom + 20, 12, kPale, "middle", std::to_string(at));
  }
}

std::string scoreboard_svg(const Scoreboard& board) {
  return board.mutants.size() <= kRowsMax ? scoreboard_rows(board) : scoreboard_curves(board);
}

}   // namespace program
