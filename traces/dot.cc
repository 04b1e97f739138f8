#include "traces/dot.h"

#include <fmt/format.h>

#include "traces/escape.h"
#include "traces/palette.h"
#include "traces/picture.h"

namespace traces {
namespace {

constexpr double kPointsPerInch = 72;

std::string_view attributes_of(ArrowStyle style) {
  switch (style) {
    case ArrowStyle::wake:
      return R"(color="#3b7dd8" style=dashed)";
    case ArrowStyle::io:
      return R"(color="#455a64")";
    case ArrowStyle::done:
      return R"(color="#7a8894" style=dotted arrowhead=none)";
    case ArrowStyle::decision:
      return R"(color="#e67700" penwidth=2.5)";
  }
  return {};
}

std::string_view attributes_of(BarStyle style) {
  switch (style) {
    case BarStyle::running:
      return R"(color="#4a7fb5" penwidth=6)";
    case BarStyle::ready:
      return R"(color="#9fb3c6" penwidth=2)";
    case BarStyle::waiting:
      return R"(color="#a5b1bc" style=dotted)";
    case BarStyle::aside:
      return R"(color="#e67700" penwidth=8)";
    case BarStyle::section:
      return R"(color="#c62828" penwidth=3)";
    case BarStyle::io:
      return R"(color="#7b8a97" penwidth=5)";
  }
  return {};
}

class Dot {
 public:
  explicit Dot(const Picture& picture) : picture_{picture} {}

  std::string draw() {
    std::string title;
    for (const auto* const lines :
         {&picture_.title, &picture_.explanation, &picture_.facts, &picture_.decisions}) {
      for (const std::string& line : *lines)
        title += escape_dot(line) + "\\l";
    }
    add("// neato -n2 -Tsvg");
    add("digraph run {{");
    add(R"(  graph [label="{}" labelloc=t labeljust=l fontname="DejaVu Sans" splines=true];)",
        title);
    add(R"(  node [shape=box style="filled,rounded" fontname="DejaVu Sans" fontsize=10 fixedsize=true];)");
    add(R"(  edge [arrowsize=0.6];)");
    for (std::size_t i = 0; i < picture_.heads.size(); ++i) {
      const LaneHead& head = picture_.heads[i];
      node(fmt::format("lane{}", i), head.x + head.width / 2, picture_.lanes_top + kHeadHeight / 2,
           head.width - 6, kHeadHeight, escape_dot(head.name + "\n" + head.role),
           R"(fillcolor="#22324a" fontcolor=white)");
    }
    for (std::size_t i = 0; i < picture_.boxes.size(); ++i)
      draw(i, picture_.boxes[i]);
    for (const Bar& bar : picture_.bars)
      edge(bar.x, bar.y1, bar.x, bar.y2, fmt::format("{} arrowhead=none", attributes_of(bar.style)),
           bar.text);
    for (const Arrow& arrow : picture_.arrows)
      edge(arrow.x1, arrow.y1, arrow.x2, arrow.y2, attributes_of(arrow.style), {});
    for (const Gap& gap : picture_.gaps)
      node(fmt::format("gap{}", points_++), kMargin + 36, gap.y, 72, 14,
           "… " + escape_dot(gap.text), R"(shape=plaintext style="" fontcolor=grey40)");
    add("}}");
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  // Graphviz counts y upwards.
  void node(std::string_view name, double x, double y, double width, double height,
            std::string_view label, std::string_view more) {
    add(R"(  {} [pos="{:.1f},{:.1f}!" width={:.3f} height={:.3f} label="{}" {}];)", name, x,
        picture_.height - y, width / kPointsPerInch, height / kPointsPerInch, label, more);
  }

  void draw(std::size_t index, const Box& box) {
    std::string label;
    for (const std::string& line : box.lines)
      label += escape_dot(line) + "\\l";
    if (!box.place.empty()) label += escape_dot(box.place) + "\\l";
    const Colours colours = colours_of(box.style);
    node(fmt::format("box{}", index), box.x + box.width / 2, box.middle(), box.width, box.height,
         label,
         fmt::format(R"(fillcolor="{}" color="{}" penwidth={})", colours.fill,
                     box.number != 0 ? "#e67700" : colours.edge, box.number != 0 ? 2 : 1));
  }

  // Between two invisible points.
  void edge(double x1, double y1, double x2, double y2, std::string_view more,
            std::string_view tooltip) {
    const std::size_t from = points_++;
    const std::size_t to = points_++;
    for (const auto& [id, x, y] : {std::tuple{from, x1, y1}, std::tuple{to, x2, y2}})
      node(fmt::format("p{}", id), x, y, 0.72, 0.72, "", "shape=point style=invis");
    add(R"(  p{} -> p{} [{} tooltip="{}"];)", from, to, more, escape_dot(tooltip));
  }

  const Picture& picture_;
  std::size_t points_ = 0;
  std::string out_;
};

}   // namespace

std::string render_dot(const Trace& trace) {
  const RunModel run{trace};
  const Picture picture = lay_out(run);
  return Dot{picture}.draw();
}

}   // namespace traces
