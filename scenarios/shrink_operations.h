// Fewer operations. Each set of them goes by itself and, as a second candidate, with as much of the
// pool as was there for what it wrote: a failure of a full pool is lost with either alone.
#pragma once

#include <rapidcheck/Seq.h>

#include "scenarios/workload.h"

namespace scenarios {

// What the set-up does to blocks that no actor comes to; all of a thin's, and the thin; a snapshot,
// in whose place its origin is used; what belongs together, as the meetings of all actors do; then
// runs of them, longest first.
[[nodiscard]] rc::Seq<Workload> with_fewer_operations(const Workload& workload);

// Two at a time, wherever they are: what makes something and what undoes it. Of workloads that are
// small already, as there are so many pairs.
[[nodiscard]] rc::Seq<Workload> without_pairs(const Workload& workload);

// Of the actors' operations one or two, and of the set-up what it does to the blocks that those
// come to, on a pool with as much room as before, or full. Of workloads whose actors do little
// already.
[[nodiscard]] rc::Seq<Workload> cores(const Workload& workload);

// A data block less, and the device with it.
void lower_pool(SystemSpec& system, std::uint64_t blocks) noexcept;

}   // namespace scenarios
