// Who waits for what, held by whom: the report when nothing can happen any more.
#pragma once

#include <string>

#include "sim/finding.h"

namespace sim {

class Execution;
class SimFiber;

// "writer#2"; completions by their I/O: "io 1.5".
[[nodiscard]] std::string describe(const SimFiber& fiber);
// One line a fiber: what it waits for, where, and who holds that.
[[nodiscard]] std::string describe_waits(const Execution& execution);
[[nodiscard]] Finding describe_deadlock(const Execution& execution);

}   // namespace sim
