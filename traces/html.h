// One run as a page that stands alone: lanes, zoom, what every event was and where in the source, a
// filter. No network, no other file.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_html(const Trace& trace);

}   // namespace traces
