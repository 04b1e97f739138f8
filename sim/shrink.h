// Makes a failing schedule small: as few preemptions as can be, then as few decisions.
//
// Knows nothing of what runs: the caller tries a candidate, in this process or in a child, and says
// whether it still fails the same way. Works because a decision names its place by actor and step,
// so dropping one leaves the meaning of the others (schedule.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "sim/schedule.h"

namespace sim {

// What came of a candidate that still fails.
struct ShrinkTrial {
  Schedule schedule;   // as recorded while replaying it: without what did not take hold
  std::uint64_t preemptions = 0;
};

struct ShrinkOptions {
  std::uint64_t tries_max = 5000;
  std::function<bool()> out_of_time;   // may be empty
};

struct ShrinkResult {
  ShrinkTrial best;
  std::uint64_t tries = 0;
  bool complete = false;   // no single decision and no pair of neighbours can go
};

// Null when the schedule given does not fail. `attempt` gives null for candidates that pass or fail
// in another way.
[[nodiscard]] std::optional<ShrinkResult> shrink(
    const Schedule& schedule,
    const std::function<std::optional<ShrinkTrial>(const Schedule&)>& attempt,
    const ShrinkOptions& options = {});

}   // namespace sim
