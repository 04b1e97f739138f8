// Which blocks of the programs' heap nothing in this process points to any more: as LeakSanitizer
// looks for them, word by word through all that can be written (data of the program and of
// libraries, other heaps, the thread's stack and its thread-locals), taking for a pointer whatever
// could be one. Before anything is called lost there is a second look, at every byte and at memory
// shared with other processes too: pointers may be out of line, or have tags in their upper 16
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/library/program_heap.h"

namespace sim {

// What of stacks counts.
struct StackUse {
  // The thread's own from here up, which is its callers'. What is below is the tank's.
  std::uintptr_t callers = 0;
  std::size_t fiber_bytes = 0;   // those of fibers, over a guard page, do not: all have ended
};

// Those of `run`, by age. Blocks of other runs count as there. None where memory cannot be looked
// through.
[[nodiscard]] std::vector<ProgramHeap::Block> lost_of(const ProgramHeap& heap, std::uint32_t run,
                                                      StackUse stacks);

}   // namespace sim
