// Where two recorded runs part: what a replay that no longer follows its trace has to say.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "traces/trace.h"

namespace traces {

struct Divergence {
  // What differs first: "workload", "event", "decision", "finding", ...
  std::string part;
  std::size_t index = 0;   // of the event or decision
  std::string text;        // a few lines: where, and what each run has there
};

// The first difference by what happened: events, then decisions, then findings. None when the runs
// agree; seeds and strategies are no part of it, as a replay has others.
[[nodiscard]] std::optional<Divergence> first_divergence(const Trace& recorded,
                                                         const Trace& replayed);

}   // namespace traces
