#include "traces/circle.h"

#include <memory>
#include <set>
#include <string_view>

#include <graphviz/gvc.h>

#include <fmt/format.h>

#include "traces/escape.h"
#include "traces/palette.h"
#include "traces/wording.h"

namespace traces {
namespace {

// Reports write objects as name@id, and fibers as name#number.
bool is_lock(std::string_view node) {
  return node.find('@') != std::string_view::npos;
}

std::string node_line(const std::string& node) {
  const Colours colours = colours_of(is_lock(node) ? BoxStyle::decision : BoxStyle::related);
  return fmt::format("  \"{0}\" [label=\"{0}\" shape={1} fillcolor=\"{2}\" color=\"{3}\"];\n",
                     escape_dot(node), is_lock(node) ? "ellipse" : "box", colours.fill,
                     colours.edge);
}

struct Closer {
  void operator()(Agraph_t* graph) const noexcept { agclose(graph); }
};

// One for the process, and never freed: Graphviz's Pango plugin keeps a pointer to the name of the
// last font from one layout to the next, and that name is the context's.
GVC_t* context() {
  static GVC_t* const one = gvContext();
  return one;
}

}   // namespace

std::string circle_dot(const Trace& trace) {
  std::string out = fmt::format(
      "digraph circle {{\n"
      "  graph [rankdir=LR labelloc=t fontname=\"DejaVu Sans\" fontsize=14 label=\"{}\\n{}\\n "
      "\"];\n"
      "  node [style=filled fontname=\"DejaVu Sans\" fontsize=11];\n"
      "  edge [fontname=\"DejaVu Sans\" fontsize=9 color=\"{}\"];\n",
      escape_dot(defect_title(trace)), escape_dot(trace.defect.message),
      colours_of(BoxStyle::failure).edge);
  std::set<std::string> nodes;
  for (const CircleEdge& edge : trace.defect.circle) {
    for (const std::string* const node : {&edge.from, &edge.to}) {
      if (nodes.insert(*node).second) out += node_line(*node);
    }
    out += fmt::format("  \"{}\" -> \"{}\" [label=\"{}\"];\n", escape_dot(edge.from),
                       escape_dot(edge.to),
                       escape_dot(edge.why + '\n'));   // the last line, too, to the left
  }
  out += "}\n";
  return out;
}

tl::expected<std::string, std::string> render_circle(const Trace& trace) {
  const std::unique_ptr<Agraph_t, Closer> graph{agmemread(circle_dot(trace).c_str())};
  if (context() == nullptr || !graph)
    return tl::unexpected{std::string{"Graphviz does not take the graph"}};
  if (gvLayout(context(), graph.get(), "dot") != 0)
    return tl::unexpected{std::string{"Graphviz cannot lay the graph out"}};
  char* drawn = nullptr;
  unsigned size = 0;
  std::string svg;
  const bool good = gvRenderData(context(), graph.get(), "svg", &drawn, &size) == 0;
  if (good) svg.assign(drawn, size);
  gvFreeRenderData(drawn);
  gvFreeLayout(context(), graph.get());
  if (!good) return tl::unexpected{std::string{"Graphviz cannot draw SVG here"}};
  return svg;
}

}   // namespace traces
