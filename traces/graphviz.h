// One run as a picture: a lane for each fiber that matters, time downwards, arrows for wake-ups,
// hand-overs and I/O, the schedule's decisions numbered, the failure in red.
//
// Both forms show the same layout (picture.h) and hold nothing that differs between two renderings
// of one trace. The DOT has its positions fixed: `neato -n2 -Tpdf` draws it.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_svg(const Trace& trace);
[[nodiscard]] std::string render_dot(const Trace& trace);

}   // namespace traces
