// Trace-event JSON for standard viewers (Perfetto, chrome://tracing): a track a fiber, a slice for
// each stretch that a fiber ran, instants for events, flows for wake-ups and I/O.
//
// The tank's clock stands still while fibers run, so one scheduling point counts as 1 us, and the
// simulated time is an argument of every event.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_chrome_json(const Trace& trace);

}   // namespace traces
