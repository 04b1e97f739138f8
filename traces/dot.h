// The same layout as svg.h draws, in Graphviz' language, for whoever wants to go on from there. Its
// positions are fixed: `neato -n2 -Tpdf` draws it.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_dot(const Trace& trace);

}   // namespace traces
