#include "traces/picture.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "traces/fiber_states.h"
#include "traces/outline.h"
#include "traces/wording.h"

namespace traces {
namespace {

constexpr double kGutter = 74;       // left of the lanes: what is left out
constexpr double kCharWidth = 6.2;   // of the boxes' font, on the wide side
constexpr double kBoldCharWidth = 7.1;
constexpr double kPlaceCharWidth = 5.4;
constexpr double kTextCharWidth = 6.9;   // of the columns above
constexpr double kTitleCharWidth = 10.5;
constexpr double kBoxWidth = 196;   // at least; few lanes have wider ones
constexpr double kBoxWidthMax = 330;
constexpr double kBarPitch = 14;
constexpr double kRowSpace = 9;
constexpr double kGapSpace = 20;
constexpr double kMinWidth = 1080;
constexpr std::size_t kFailureLinesMax = 9;
constexpr std::size_t kBarColumnsMax = 5;
constexpr std::size_t kWakeRowsMax = 7;
constexpr double kWakeFromDiskMax = 160;
constexpr std::uint64_t kStepsWorthAGap = 3;

// "block 0" is not torn apart.
std::string keep_numbers(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool number =
        text[i] == ' ' && i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    if (number) {
      out += "\xC2\xA0";   // no-break space
    } else {
      out += text[i];
    }
  }
  return out;
}

class Layout {
 public:
  explicit Layout(const RunModel& run) : run_{run}, selection_{select_rows(run)} {}

  Picture lay_out() {
    find_bars();
    place_lanes();
    write_head();
    place_rows();
    place_lines();
    place_bars();
    draw_decisions();
    draw_wakes();
    mark_section();
    return std::move(out_);
  }

 private:
  struct IoBar {
    const IoLife* io = nullptr;
    std::size_t lane = 0;
    std::size_t column = 0;
    std::size_t end = 0;   // position
  };

  const Trace& trace() const { return run_.trace(); }

  // The I/Os to show, in as few columns as their overlaps allow.
  void find_bars() {
    std::map<std::string, std::size_t> disks;
    for (std::size_t i = 0; i < selection_.lanes.size(); ++i) {
      if (selection_.lanes[i].kind == LaneKind::disk)
        disks.emplace(selection_.lanes[i].name.substr(std::string_view{"disk "}.size()), i);
    }
    std::set<const IoLife*> shown;
    for (const Row& row : selection_.rows) {
      if (row.kind != RowKind::event) continue;
      const IoLife* const io = run_.io_of_event(row.index);
      if (io != nullptr && io->disk && disks.contains(io->device)) shown.insert(io);
    }
    const std::size_t never = 2 * trace().events.size() + 2;
    std::map<std::size_t, std::vector<std::size_t>> busy_until;   // by lane, then column
    for (const IoLife& io : run_.ios()) {   // by age, whatever the set's order
      if (!shown.contains(&io)) continue;
      IoBar bar{&io, disks.at(io.device), 0, io.complete == kNone ? never : 2 * io.complete + 1};
      std::vector<std::size_t>& columns = busy_until[bar.lane];
      while (bar.column < columns.size() && columns[bar.column] >= 2 * io.submit + 1)
        ++bar.column;
      if (bar.column == columns.size()) {
        if (columns.size() == kBarColumnsMax) continue;
        columns.push_back(0);
      }
      columns[bar.column] = bar.end;
      bars_.push_back(bar);
    }
    for (const auto& [lane, columns] : busy_until)
      bar_columns_[lane] = columns.size();
  }

  void place_lanes() {
    double x = kMargin + kGutter;
    const double lanes = static_cast<double>(std::max<std::size_t>(selection_.lanes.size(), 1));
    box_width_ = std::clamp((kMinWidth - x - kMargin) / lanes - 46, kBoxWidth, kBoxWidthMax);
    for (std::size_t i = 0; i < selection_.lanes.size(); ++i) {
      const Lane& lane = selection_.lanes[i];
      const double bars = static_cast<double>(bar_columns_[i]) * kBarPitch;
      const double left = lane.kind == LaneKind::disk ? 10 + bars : 20;
      out_.heads.push_back({.x = x,
                            .width = left + box_width_ + 12,
                            .line_x = x + (lane.kind == LaneKind::disk ? 12 : 10),
                            .name = lane.name,
                            .role = lane.role});
      x += out_.heads.back().width;
    }
    out_.width = std::max(x + kMargin, kMinWidth);
  }

  void write_head() {
    const auto fitting = [&](double width, double char_width) {
      return static_cast<std::size_t>(std::max(width / char_width, 20.0));
    };
    const double inner = out_.width - 2 * kMargin;
    const WorkloadOutline outline = outline_of(trace().workload);
    out_.failed = trace().failed;
    const std::string title =
        trace().failed ? fmt::format("{}: {}", defect_title(trace()), trace().defect.message)
                       : "Nothing was found in this run";
    out_.title = wrapped(title, fitting(inner, kTitleCharWidth));
    if (out_.title.size() > 4) out_.title.resize(4);
    if (!selection_.explanation.empty())
      out_.explanation = wrapped(selection_.explanation, fitting(inner, kTextCharWidth));
    write_facts(outline);
    const std::size_t half = fitting(inner / 2 - 16, kTextCharWidth);
    for (const OutlineActor& actor : outline.actors) {
      std::string text = fmt::format("{}: {}", actor.name, fmt::join(actor.operations, "; "));
      for (std::string& line : wrapped(text, half))
        out_.workload.push_back(std::move(line));
    }
    if (trace().of_program()) out_.workload = wrapped(threads_words(run_), half);
    if (out_.workload.empty())
      out_.workload.emplace_back("only the set-up, and the checks that end every run");
    for (const auto& [number, index] : selection_.decisions) {
      const std::string text =
          fmt::format("{} {}", circled(number), decision_words(run_, trace().decisions[index]));
      for (std::string& line : wrapped(text, half))
        out_.decisions.push_back(std::move(line));
    }
    if (selection_.decisions_left_out != 0)
      out_.decisions.push_back(fmt::format("… and {} more", selection_.decisions_left_out));
    if (out_.decisions.empty())
      out_.decisions.emplace_back("nothing: it happens in the order of the default rule");
  }

  void write_facts(const WorkloadOutline& outline) {
    std::string facts;
    const auto add = [&](std::string text) {
      if (!facts.empty()) facts += "  ·  ";
      facts += text;
    };
    if (!outline.scenario.empty()) add(outline.scenario);
    if (!trace().mutant.empty()) add("mutant " + trace().mutant);
    if (trace().of_program()) {
      if (!trace().strategy.empty()) add("timers at any time");
    } else {
      if (!trace().strategy.empty()) add(trace().strategy);
      add(fmt::format("seed {}", trace().seed));
    }
    add(fmt::format("{} steps, {} preemption{}", trace().points, trace().preemptions,
                    trace().preemptions == 1 ? "" : "s"));
    if (!outline.system.empty()) add(fmt::format("{}", fmt::join(outline.system, ", ")));
    if (!outline.faults.empty()) add(fmt::format("{}", fmt::join(outline.faults, ", ")));
    const auto width = static_cast<std::size_t>((out_.width - 2 * kMargin) / kTextCharWidth);
    for (std::string& line : wrapped(facts, width))
      out_.facts.push_back(std::move(line));
  }

  Box box_of(const Row& row) const {
    Box box;
    box.lane = row.lane;
    box.number = row.number;
    box.width = box_width_;
    const LaneHead& head = out_.heads[row.lane];
    box.x = head.x + head.width - box_width_ - 6;
    std::string text = row.number != 0 ? circled(row.number) + " " : "";
    switch (row.kind) {
      case RowKind::event: {
        const Event& e = trace().events[row.index];
        text += event_words(run_, row.index);
        box.place = place(e.file, e.line);
        const IoLife* const io = run_.io_of_event(row.index);
        const bool effect = io != nullptr && row.index == io->effect;
        if (row.index == selection_.culprit) {
          box.style = BoxStyle::culprit;
          if (effect) box.place.clear();
        } else if (effect && io->op == engine::BioOp::discard) {
          box.style = BoxStyle::discard;
          box.place.clear();
        } else if (effect) {
          box.style = BoxStyle::effect;
          box.place.clear();
        } else if (row.related) {
          box.style = BoxStyle::related;
        }
        break;
      }
      case RowKind::decision: {
        const Decision& d = trace().decisions[row.index];
        box.style = BoxStyle::decision;
        text += decision_mark(run_, d);
        box.place = place(d.file, d.line);
        break;
      }
      case RowKind::failure:
        box.style = BoxStyle::failure;
        text += fmt::format("✗ {}: {}", defect_title(trace()), trace().defect.message);
        break;
    }
    box.place = end_of(box.place, static_cast<std::size_t>((box_width_ - 14) / kPlaceCharWidth));
    const bool bold = box.style >= BoxStyle::decision;
    const double char_width = bold ? kBoldCharWidth : kCharWidth;
    box.lines =
        wrapped(keep_numbers(text), static_cast<std::size_t>((box_width_ - 14) / char_width));
    if (box.lines.size() > kFailureLinesMax) {
      box.lines.resize(kFailureLinesMax);
      box.lines.back() += "…";
    }
    box.height = 9 + kLineHeight * static_cast<double>(box.lines.size()) +
                 (box.place.empty() ? 0 : kLineHeight - 2);
    return box;
  }

  void place_rows() {
    const std::size_t columns = std::max(out_.workload.size(), out_.decisions.size());
    double y =
        kMargin + kTitleHeight * static_cast<double>(out_.title.size()) +
        (kLineHeight + 2) * static_cast<double>(out_.facts.size() + out_.explanation.size()) + 12;
    y += 18 + (kLineHeight + 2) * static_cast<double>(columns) + 14;
    out_.lanes_top = y;
    y += kHeadHeight + 10;
    std::uint64_t point = 0;
    std::size_t position = 0;
    for (const Row& row : selection_.rows) {
      const std::uint64_t steps = row.point > point ? row.point - point : 0;
      if (row.position > position + 2 && steps >= kStepsWorthAGap) {
        out_.gaps.push_back({y + kGapSpace / 2 - kRowSpace / 2, fmt::format("{} steps", steps)});
        y += kGapSpace;
      }
      point = std::max(point, row.point);
      position = row.position;
      Box box = box_of(row);
      box.y = y;
      y += box.height + kRowSpace;
      out_.boxes.push_back(std::move(box));
    }
    out_.lanes_bottom = y + 6;
    out_.height = out_.lanes_bottom + 62;   // and the legend
  }

  // Where a moment of the run lies: at its row, or between two.
  [[nodiscard]] double y_at(std::size_t position) const {
    const auto& rows = selection_.rows;
    const auto next =
        std::lower_bound(rows.begin(), rows.end(), position,
                         [](const Row& row, std::size_t wanted) { return row.position < wanted; });
    if (next == rows.end()) return out_.lanes_bottom - 8;
    const Box& box = out_.boxes[static_cast<std::size_t>(next - rows.begin())];
    if (next->position == position) return box.middle();
    if (next == rows.begin()) return box.y - 6;
    const Box& before = out_.boxes[static_cast<std::size_t>(next - rows.begin()) - 1];
    return (before.y + before.height + box.y) / 2;
  }

  // Runs, waits, put aside: the line of each fiber.
  void place_lines() {
    const FiberStates states{trace()};
    for (std::size_t i = 0; i < selection_.lanes.size(); ++i) {
      const Lane& lane = selection_.lanes[i];
      if (lane.kind != LaneKind::fiber) continue;
      const double x = out_.heads[i].line_x;
      double from_y = out_.lanes_top + kHeadHeight + 2;
      std::size_t from = 0;
      for (std::size_t k = 0; k <= selection_.rows.size(); ++k) {
        const bool last = k == selection_.rows.size();
        const double y = last ? out_.lanes_bottom : out_.boxes[k].middle();
        const std::size_t to = last ? 2 * trace().events.size() + 2 : selection_.rows[k].position;
        add_line(x, from_y, y, states.between(lane.fiber, from, to));
        from_y = y;
        from = to;
      }
    }
  }

  void add_line(double x, double y1, double y2, FiberState state) {
    BarStyle style = BarStyle::ready;
    switch (state) {
      case FiberState::absent:
        return;
      case FiberState::ready:
        break;
      case FiberState::running:
        style = BarStyle::running;
        break;
      case FiberState::waiting:
        style = BarStyle::waiting;
        break;
      case FiberState::aside:
        style = BarStyle::aside;
        break;
    }
    if (!out_.bars.empty() && out_.bars.back().style == style && out_.bars.back().x == x &&
        out_.bars.back().y2 == y1) {
      out_.bars.back().y2 = y2;
      return;
    }
    out_.bars.push_back({.x = x, .y1 = y1, .y2 = y2, .style = style, .text = {}});
  }

  // From where the failing fiber went in to where it should have been out again.
  void mark_section() {
    if (!selection_.in_section) return;
    const Box* const entry = row_at(2 * selection_.culprit + 1);
    if (entry == nullptr || out_.boxes.back().lane != entry->lane) return;
    const Box& failure = out_.boxes.back();
    out_.bars.push_back({.x = entry->x - 6,
                         .y1 = entry->y,
                         .y2 = failure.y + failure.height,
                         .style = BarStyle::section,
                         .text = "inside: nothing here may wait"});
  }

  [[nodiscard]] const Box* row_at(std::size_t position) const {
    for (std::size_t k = 0; k < selection_.rows.size(); ++k) {
      if (selection_.rows[k].position == position) return &out_.boxes[k];
    }
    return nullptr;
  }

  // From whichever side of the box faces x.
  void arrow_from(const Box& box, double x, double y, ArrowStyle style) {
    const double from = x > box.x ? box.x + box.width : box.x;
    out_.arrows.push_back({from, box.middle(), x, y, style});
  }

  [[nodiscard]] double bar_x(const IoBar& bar) const {
    return out_.heads[bar.lane].line_x + static_cast<double>(bar.column) * kBarPitch;
  }

  void place_bars() {
    for (const IoBar& bar : bars_) {
      const IoLife& io = *bar.io;
      Bar drawn{.x = bar_x(bar), .style = BarStyle::io, .op = io.op, .text = io_words(run_, io)};
      drawn.y1 = y_at(2 * io.submit + 1);
      drawn.open_end = io.complete == kNone;
      drawn.y2 = std::max(y_at(bar.end), drawn.y1 + 8);
      if (io.effect != kNone) {
        drawn.effect_y = y_at(2 * io.effect + 1);
        if (const Box* const box = row_at(2 * io.effect + 1))
          out_.arrows.push_back({box->x, box->middle(), drawn.x, drawn.effect_y, ArrowStyle::done});
      }
      if (const Box* const box = row_at(2 * io.submit + 1))
        arrow_from(*box, drawn.x, drawn.y1, ArrowStyle::io);
      out_.bars.push_back(std::move(drawn));
    }
  }

  [[nodiscard]] std::size_t lane_of(std::uint32_t fiber) const {
    for (std::size_t i = 0; i < selection_.lanes.size(); ++i) {
      if (selection_.lanes[i].kind == LaneKind::fiber && selection_.lanes[i].fiber == fiber)
        return i;
    }
    return kNone;
  }

  // The first row after `position` in the lane.
  [[nodiscard]] std::size_t next_row(std::size_t lane, std::size_t position) const {
    for (std::size_t k = 0; k < selection_.rows.size(); ++k) {
      if (selection_.rows[k].lane == lane && selection_.rows[k].position > position) return k;
    }
    return kNone;
  }

  // Where an arrow that comes from `x` meets a row: the lane's line, or the box's far side.
  [[nodiscard]] double landing(const Box& box, double x) const {
    return x > box.x ? box.x + box.width : out_.heads[box.lane].line_x;
  }

  void arrow_to_row(const Box& from, std::size_t row, ArrowStyle style) {
    const Box& to = out_.boxes[row];
    arrow_from(from, landing(to, from.x), to.middle(), style);
  }

  void draw_decisions() {
    for (std::size_t k = 0; k < selection_.rows.size(); ++k) {
      const Row& row = selection_.rows[k];
      if (row.kind != RowKind::decision) continue;
      const Decision& d = trace().decisions[row.index];
      const std::size_t lane = lane_of(d.to);
      if (!d.put_aside || lane == kNone) continue;
      const std::size_t next = next_row(lane, row.position);
      if (next != kNone) arrow_to_row(out_.boxes[k], next, ArrowStyle::decision);
    }
  }

  // The end of an I/O wakes somebody.
  void wake_from_disk(std::uint32_t actor, std::size_t lane) {
    for (const IoBar& bar : bars_) {
      if (bar.io->actor != actor) continue;
      const double y = y_at(bar.end);
      const std::size_t row = next_row(lane, bar.end);
      if (row == kNone) return;
      const Box& to = out_.boxes[row];
      if (to.middle() - y < kWakeFromDiskMax)
        out_.arrows.push_back(
            {bar_x(bar), y, landing(to, bar_x(bar)), to.middle(), ArrowStyle::wake});
      return;
    }
  }

  void draw_wakes() {
    std::set<std::pair<std::size_t, std::size_t>> drawn;   // rows
    for (std::size_t i = 0; i < trace().events.size(); ++i) {
      const Event& e = trace().events[i];
      if (e.op != "fiber_unpark") continue;
      const std::size_t to_lane = lane_of(static_cast<std::uint32_t>(e.a));
      if (to_lane == kNone) continue;
      const std::size_t to = next_row(to_lane, 2 * i + 1);
      if (to == kNone) continue;
      if (run_.is_io_fiber(e.fiber)) {
        wake_from_disk(e.fiber, to_lane);
        continue;
      }
      const std::size_t from_lane = lane_of(e.fiber);
      if (from_lane == kNone || to_lane == from_lane) continue;
      std::size_t from = kNone;
      for (std::size_t k = 0; k < to; ++k) {
        const Row& row = selection_.rows[k];
        if (row.lane == from_lane && row.position <= 2 * i + 1) from = k;
      }
      if (from == kNone || to - from > kWakeRowsMax || !drawn.insert({from, to}).second) continue;
      arrow_to_row(out_.boxes[from], to, ArrowStyle::wake);
    }
  }

  const RunModel& run_;
  Selection selection_;
  double box_width_ = kBoxWidth;
  std::vector<IoBar> bars_;
  std::map<std::size_t, std::size_t> bar_columns_;
  Picture out_;
};

}   // namespace

Picture lay_out(const RunModel& run) {
  return Layout{run}.lay_out();
}

}   // namespace traces
