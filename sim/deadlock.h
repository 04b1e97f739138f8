// Who waits for what, held by whom: the report when nothing can happen any more, or it goes on for
// ever.
#pragma once

#include <string>

#include "sim/finding.h"

namespace sim {

class Execution;

// Its detail has a line a fiber: what it waits for, where, and who holds that, or woke somebody
// there last; with since when, and the stack, where the execution is traced. Fibers that wait for
// each other are the finding; the others wait for them.
[[nodiscard]] Finding describe_deadlock(const Execution& execution);
// The same of an execution that does not end: who goes on for ever, and who waits for a lock
// meanwhile.
[[nodiscard]] Finding describe_endless(const Execution& execution);

}   // namespace sim
