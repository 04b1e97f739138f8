// A recorded run to test with: a discard that was passed down takes effect after its block was
// given to somebody else. Shaped as the tank records it, with ids as the tank makes them.
#pragma once

#include "traces/trace.h"

namespace traces {

[[nodiscard]] Trace late_discard();
// Two fibers that wait for each other's lock.
[[nodiscard]] Trace deadlocked();

}   // namespace traces
