// What both pictures of a scoreboard have: strategies by colour, schedules to the right on a
// logarithmic scale.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "sim/program/scoreboard.h"

namespace program {

class ScoreboardPlot {
 public:
  // The scale is `width` wide and begins at `left`; what is drawn over it lies between `top` and
  // the bottom told to scale().
  ScoreboardPlot(const Scoreboard& board, double left, double top, double width);

 protected:
  void begin(double width, double height, std::string_view below_title);
  void legend();
  void scale(double bottom);
  void say(double x, double y, int size, std::string_view colour, std::string_view anchor,
           std::string_view words);
  [[nodiscard]] double x_of(std::uint64_t schedules) const;
  [[nodiscard]] static std::string_view colour_of(std::size_t strategy) {
    return kColours[strategy % kColours.size()];
  }

  static constexpr std::string_view kInk = "#1b2a41";
  static constexpr std::string_view kPale = "#555f6e";

  const Scoreboard& board_;
  const double left_;
  const double top_;
  const double width_;
  std::string text_;

 private:
  static constexpr std::array<std::string_view, 8> kColours{
      "#1f77b4", "#d95f02", "#2a9d4b", "#b5179e", "#7a5c00", "#c1121f", "#555f6e", "#0fa3b1"};
  const double decades_;
};

// A row a mutant, a mark a strategy at the median with a bar between the quartiles.
[[nodiscard]] std::string scoreboard_rows(const Scoreboard& board);
// A curve a strategy: how many mutants it has found in the median after so many schedules.
[[nodiscard]] std::string scoreboard_curves(const Scoreboard& board);

}   // namespace program
