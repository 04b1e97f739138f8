// Runs a program under every schedule that matters: of schedules that differ only in the order of
// operations which do not touch each other, one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sim/library/search.h"
#include "sim/tree_estimate.h"

namespace sim {

struct ExploreOptions {
  std::uint64_t executions_max = 1'000'000;      // those cut short do not count
  std::uint64_t begun_max = ~std::uint64_t{0};   // those cut short do
  std::uint64_t points_max = 100'000;            // in one execution; more is a finding
  std::size_t stack_bytes = kStackBytes;         // of each thread
  double seconds_max = 0;                        // looked at between two executions; 0: any time
  std::uint64_t shrink_tries = 5'000;
  double shrink_seconds = 10;
  // Random walks from which the number of all interleavings within the bounds is estimated; 0: no
  // estimate. Where that leaves much open there are more of them when an exploration is over, at
  // most a quarter of its executions. The first that does not fail is run twice: a program whose
  // runs differ has that for a finding. One that fails is told when the exploration itself comes
  // upon nothing.
  std::uint32_t probes = 0;
  // At most so many preemptions, as strategy_bounded.h counts them; none: any number.
  std::optional<std::uint32_t> preemptions = {};
  // How often each fiber that has yielded may look again although nothing has changed.
  std::uint32_t retries = 0;
  // Bytes for the states that strategy_bounded.h remembers; what comes after is explored each time
  // that it is reached.
  std::uint64_t memory_max = std::uint64_t{1} << 30U;
  bool leaks = true;        // as in SearchOptions
  bool lock_order = true;   // the same; of what was not explored to the end without a bound
};

struct Exploration {
  std::uint64_t executions = 0;   // no two of them equivalent; what has failed among them
  std::uint64_t cut_short = 0;    // others: they led only to what had been seen
  std::uint64_t forgotten = 0;    // for want of memory: if any, some of these may be equivalent
  bool complete = false;          // there is no other execution within the bounds
  double done = 0;                // estimated share of the whole
  // Of all operations, estimated from random walks, and no fewer than there are executions.
  Estimated interleavings{};
  std::string limits;           // what was not explored although complete; empty: nothing
  std::string not_looked_for;   // as in SearchResult
  // Ends the exploration; but opposite orders of locks are told when nothing else was found.
  std::optional<Found> found;
};

// Two schedules are equivalent when every two operations of which at least one changes an object
// come to it in the same order. Choices of the environment (Execution::choose) are explored. Timers
// may fire and I/O may happen at any time: a timer may come before or after any other operation of
// anybody, I/Os to one place of a disk in any order. Reading the clock is no operation.
//
// A program of fibers alone is explored by strategy_dpor.h, in memory for one execution; one with
// timers, I/O, a bound, or a loop that goes on as long as nobody else has a turn by
// strategy_bounded.h, which remembers the states it has seen and ends turns that are too long.
//
// A loop that yields, or does nothing but look (spin_looks.h), is taken to wait for a change of
// what it has read since it last yielded, once it has used up its retries. So one that gives up
// after n looks is explored whole with n retries.
[[nodiscard]] Exploration explore(const Program& program, const ExploreOptions& options = {});

}   // namespace sim
