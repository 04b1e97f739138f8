// One run as a picture: a lane for each fiber that matters, time downwards, arrows for wake-ups,
// hand-overs and I/O, the schedule's decisions numbered, the failure in red.
//
// Nothing but shapes and text: no script, no outside font, no link; and nothing that differs
// between two renderings of one trace.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_svg(const Trace& trace);

}   // namespace traces
