// Smaller workloads that may show the same defect, biggest steps first: without faults, without an
// actor, without a run of operations, then plainer operations and a plainer system.
#pragma once

#include <rapidcheck/Seq.h>

#include "scenarios/workload.h"

namespace scenarios {

// Each is smaller than `workload` by an order that has no infinite descent.
[[nodiscard]] rc::Seq<Workload> shrinks(const Workload& workload);

}   // namespace scenarios
