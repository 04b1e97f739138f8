// From the tank's event log to the one form of trace that files, pictures and stories are made of.
#pragma once

#include "sim/execution.h"
#include "traces/trace.h"

namespace sim {

// What the last run recorded; the events only if it kept its log. The workload, the strategy and
// the mutant are for the caller to fill in.
[[nodiscard]] traces::Trace trace_of(const Execution& execution);

}   // namespace sim
