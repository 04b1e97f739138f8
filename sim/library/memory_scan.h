// Which blocks of the programs' heap nothing in this process points to any more: as LeakSanitizer
// looks for them, word by word through all that can be written (data of the program and of
// libraries, other heaps, the thread's stack and its thread-locals), taking for a pointer whatever
// could be one. Before anything is called lost there is a second look, at every byte, and also at
// memory shared with other processes and at what was written and can now only be read: pointers may
// be out of line, or have tags in their upper 16 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "sim/library/program_heap.h"

namespace sim {

// What of stacks counts.
struct StackUse {
  // The thread's own from here up, which is its callers'. What is below is the tank's.
  std::uintptr_t callers = 0;
  std::size_t fiber_bytes = 0;   // those of fibers, over a guard page, do not: all have ended
};

// Where, outside of the programs' heap, pointers to what was left behind were found: most often
// that is a static, which holds the next run's in the same place.
class Holders {
 public:
  void note(std::uintptr_t place);
  [[nodiscard]] const std::vector<std::uintptr_t>& places() const noexcept { return places_; }

 private:
  static constexpr std::size_t kMost = 64;
  std::vector<std::uintptr_t> places_;
  std::size_t next_ = 0;   // of those, to be forgotten
};

// Whether those of `run` can all be reached from what blocks of other runs and the known holders
// hold now: then none of them is lost, and there is no need to look through everything. False says
// nothing.
[[nodiscard]] bool held_by(const Holders& holders, const ProgramHeap& heap, std::uint32_t run);

// Those of `run`, by age. Blocks of other runs count as there. Notes who holds those that are not
// lost. The error says why memory cannot be looked through, so that nothing is known.
[[nodiscard]] tl::expected<std::vector<ProgramHeap::Block>, std::string_view> lost_of(
    const ProgramHeap& heap, std::uint32_t run, StackUse stacks, Holders& holders);

}   // namespace sim
