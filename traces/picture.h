// The layout of a run's picture: what stands where, in units of SVG pixels, y downwards. Knows
// nothing of any output format.
//
// A column for each lane. On a fiber's left edge a line shows whether it runs, waits, or was put
// aside; a disk's left edge holds a bar for each I/O, from its submission to its end. Time goes
// down in equal rows; what is left out is a gap that says how much.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "traces/selection.h"

namespace traces {

enum class BoxStyle : std::uint8_t { plain, related, effect, discard, decision, culprit, failure };

struct Box {
  std::size_t lane = 0;
  double x = 0;
  double y = 0;   // top left
  double width = 0;
  double height = 0;
  BoxStyle style = BoxStyle::plain;
  std::size_t number = 0;   // of a decision, 0 for none
  std::vector<std::string> lines;
  std::string place;   // file:line
  [[nodiscard]] double middle() const noexcept { return y + height / 2; }
};

enum class ArrowStyle : std::uint8_t { wake, io, done, decision };

struct Arrow {
  double x1 = 0;
  double y1 = 0;
  double x2 = 0;
  double y2 = 0;
  ArrowStyle style = ArrowStyle::wake;
};

enum class BarStyle : std::uint8_t { running, ready, waiting, aside, section, io };

// A stretch of a lane's line, or an I/O under way.
struct Bar {
  double x = 0;   // its middle
  double y1 = 0;
  double y2 = 0;
  BarStyle style = BarStyle::ready;
  engine::BioOp op = engine::BioOp::read;   // io
  double effect_y = -1;                     // io: where it took effect; below 0: nowhere
  bool open_end = false;                    // io: still under way
  std::string text;                         // io: what it is; section: what it means
};

struct Gap {
  double y = 0;
  std::string text;
};

struct LaneHead {
  double x = 0;
  double width = 0;
  double line_x = 0;
  std::string name;
  std::string role;
};

struct Picture {
  double width = 0;
  double height = 0;
  double lanes_top = 0;   // of the lanes' heads
  double lanes_bottom = 0;
  bool failed = false;
  std::vector<std::string> title;
  std::vector<std::string> explanation;
  std::vector<std::string> facts;       // small lines under the title
  std::vector<std::string> workload;    // left column
  std::vector<std::string> decisions;   // right column
  std::vector<LaneHead> heads;
  std::vector<Box> boxes;
  std::vector<Arrow> arrows;
  std::vector<Bar> bars;
  std::vector<Gap> gaps;
};

inline constexpr double kLineHeight = 14;
inline constexpr double kTitleHeight = 26;
inline constexpr double kMargin = 20;
inline constexpr double kHeadHeight = 38;

[[nodiscard]] Picture lay_out(const RunModel& run);

}   // namespace traces
