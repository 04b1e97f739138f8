// Makes a failing schedule small: as few preemptions as can be, then as few decisions.
//
// Knows nothing of what runs: the caller tries candidates, in this process or in a child, and says
// which is the first that still fails the same way. Works because a decision names its place by
// actor and step, so dropping one leaves the meaning of the others (schedule.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "sim/schedule.h"

namespace sim {

// What came of a candidate that still fails.
struct ShrinkTrial {
  Schedule schedule;   // as recorded while replaying it: without what did not take hold
  std::uint64_t preemptions = 0;
};

// The first of the candidates that still fails, by its index.
struct ShrinkHit {
  std::size_t which = 0;
  ShrinkTrial trial;
};
// Null: they all pass, or fail in another way. A process that has seen one fail is spoilt, while
// those that pass cost it nothing, so candidates come in batches.
using ShrinkAttempt = std::function<std::optional<ShrinkHit>(std::span<const Schedule> candidates)>;
// Of something that tries one candidate.
[[nodiscard]] ShrinkAttempt one_by_one(
    std::function<std::optional<ShrinkTrial>(const Schedule&)> attempt);

struct ShrinkOptions {
  std::uint64_t tries_max = 5000;
  std::function<bool()> out_of_time;   // may be empty
};

struct ShrinkResult {
  ShrinkTrial best;
  std::uint64_t tries = 0;
  bool complete = false;   // no single decision and no pair of neighbours can go
};

// Null when the schedule given does not fail.
[[nodiscard]] std::optional<ShrinkResult> shrink(const Schedule& schedule,
                                                 const ShrinkAttempt& attempt,
                                                 const ShrinkOptions& options = {});

}   // namespace sim
