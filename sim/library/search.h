// Searches a program of anyone's own, written on the primitives of engine/fiber and sim/library,
// for schedules under which it fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

#include "sim/execution.h"
#include "sim/finding.h"
#include "sim/schedule.h"
#include "sim/strategy_replay.h"

namespace sim {

// Runs from its beginning in every execution, so it makes what it needs anew each time; what it
// keeps outside, or asks of a clock or of threads, the tank cannot control.
using Program = std::function<void()>;

// Fails the execution when `holds` is false. The finding bears the caller's line.
void expect(bool holds, std::string_view what,
            std::source_location where = std::source_location::current());

// Only what is used of it takes memory.
inline constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

struct SearchOptions {
  std::uint64_t seed = 1;
  std::uint64_t schedules = 10'000;
  // Names as in strategies.h, with commas between them: they take turns.
  std::string strategy = "portfolio";
  // An execution with more scheduling points than this is a finding: something never ends.
  std::uint64_t points_max = 1'000'000;
  // If it gives way again and again, only when as many points again, in fair turns, do not end it.
  bool fair_end = true;
  std::size_t stack_bytes = kStackBytes;   // of each thread
  double seconds_max = 0;                  // ends the search between two schedules; 0: never
  // Timers may fire while fibers could go on, as for fibers slowed down by something else.
  bool timers_race = false;
  // Locks taken in opposite orders are a finding also when nobody waited (lock_order.h).
  bool lock_order = true;
  // Memory that is taken with new and lost is a finding (leaks.h).
  bool leaks = true;
  // 0: what is found is reported as it was found.
  std::uint64_t shrink_tries = 5'000;
  double shrink_seconds = 10;   // at most; 0: any time
};

struct Found {
  Finding finding{};
  std::uint64_t ordinal = 0;   // of the schedule that failed first, from 1
  Schedule schedule{};         // shrunk
  std::uint64_t preemptions = 0;
  std::uint64_t digest = 0;   // of the shrunk execution
  bool timers_race = false;
  // There is no schedule that shows it: two runs of one differed.
  bool not_deterministic = false;
};

struct SearchResult {
  std::uint64_t schedules = 0;
  std::uint64_t points = 0;
  std::string not_looked_for{};   // though it was wanted; empty: nothing
  std::optional<Found> found;
};

// Stops at the first finding; a crash is one, too (crashes.h). The first schedule is run twice: a
// program whose runs differ has that for a finding. Fails (ENGINE_CHECK) on an unknown strategy.
[[nodiscard]] SearchResult search(const Program& program, const SearchOptions& options = {});

// What `outcome` found, with the smallest schedule that the options' tries and seconds lead to.
[[nodiscard]] Found shrunk(const Program& program, const Outcome& outcome,
                           const SearchOptions& options);

// That two runs of one schedule differed, as `message` says.
[[nodiscard]] Found not_deterministic(std::string message);

struct ReplayOptions {
  bool timers_race = false;   // as when the schedule was found
  std::uint64_t points_max = 20'000'000;
  bool fair_end = true;
  bool lock_order = true;
  bool leaks = true;
  // Told where the run left the schedule, if it did; null: nobody asks.
  std::optional<Divergence>* divergence = nullptr;
};

// Runs `program` under that schedule. `execution` is reset with tracing on.
const Outcome& replay(Execution& execution, const Program& program, const Schedule& schedule,
                      const ReplayOptions& options = {});

}   // namespace sim
