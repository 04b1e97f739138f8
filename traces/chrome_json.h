// Trace-event JSON for standard viewers (Perfetto, chrome://tracing): a track a fiber and a disk, a
// slice for each stretch that a fiber ran, instants for events, flows for wake-ups, async slices
// for I/Os, a counter of I/Os under way.
//
// The tank's clock stands still while fibers run, so an event counts as 2 us; scheduling point and
// simulated time are arguments of every event.
#pragma once

#include <string>

#include "traces/trace.h"

namespace traces {

[[nodiscard]] std::string render_chrome_json(const Trace& trace);

}   // namespace traces
