// The fibers that wait for each other in a deadlock, or the locks that are taken one under the
// other, as a graph that Graphviz lays out and draws.
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] inline bool has_circle(const Trace& trace) noexcept {
  return !trace.defect.circle.empty();
}
// In Graphviz' language, without positions.
[[nodiscard]] std::string circle_dot(const Trace& trace);
// As SVG. The error is Graphviz' own: it finds its plug-ins at run time, and may find none.
[[nodiscard]] tl::expected<std::string, std::string> render_circle(const Trace& trace);

}   // namespace traces
