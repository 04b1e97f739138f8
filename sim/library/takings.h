// What one run of a program takes with new, and loses.
//
// Does not see malloc without new; nothing at all where there is no heap for programs
// (program_heap.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "sim/call_stack.h"
#include "sim/execution.h"
#include "sim/library/memory_scan.h"
#include "sim/library/program_heap.h"

namespace sim {

// Made by whoever runs programs for somebody: what is on the stack above the outermost one, of
// those that live on this thread, is the callers', who may hold on to what a program has taken.
class CallersBegin {
 public:
  explicit CallersBegin(const void* frame) noexcept;
  ~CallersBegin();
  CallersBegin(const CallersBegin&) = delete;
  CallersBegin& operator=(const CallersBegin&) = delete;

 private:
  bool outermost_ = false;
};

// Under a CallersBegin.
class Takings final : private ProgramHeap::Watcher {
 public:
  enum class Detail : bool { no, yes };
  explicit Takings(const Execution& execution, Detail detail = Detail::no) noexcept
      : execution_{execution}, detail_{detail} {}
  ~Takings() { let_go(); }
  Takings(const Takings&) = delete;
  Takings& operator=(const Takings&) = delete;

  // Around a run of the execution, on its thread.
  void begin();
  void end() noexcept;
  // Others may have the heap: there is nothing more to be asked of the last run.
  void let_go() noexcept;

  // Whether there was a heap for the last run; else nothing is known of it.
  [[nodiscard]] bool looked() const noexcept { return heap_ != nullptr; }
  // Blocks, by the last run.
  [[nodiscard]] std::uint32_t left() const noexcept { return left_; }
  struct Block {
    std::size_t bytes = 0;
    // Only with Detail::yes.
    std::string fiber{};
    std::uint64_t point = 0;
    CallStack stack{};
  };
  // Whether all of them are held where others were held before, or by what other runs have left. If
  // so none is lost; if not, some may be.
  [[nodiscard]] bool held_as_before() const;
  // Those of them that nobody can give back any more, as nothing points to them, by age. Looks
  // through all of the process's memory; the error says why it cannot.
  [[nodiscard]] tl::expected<std::vector<Block>, std::string_view> lost();

 private:
  void taken() override;   // by the current fiber

  const Execution& execution_;
  const Detail detail_;
  ProgramHeap* heap_ = nullptr;    // null: there is none for us, or it was let go
  ProgramHeap* outer_ = nullptr;   // of a run that this one is in the midst of
  bool runs_ = false;
  std::uint32_t run_ = 0;
  std::uint32_t left_ = 0;
  std::vector<Block> details_;   // by ordinal
  Holders holders_;
};

// Runs a program whose losses nobody asks for, on the same heap: what it gives back is filled, and
// taken again in the same order, so that whoever uses it then does so in every run of a schedule.
template <typename Program>
const Outcome& run_on_own_heap(Execution& execution, const Program& program) {
  Takings takings{execution};
  takings.begin();
  return execution.run(program);
}

// Whether there is a heap for programs, while none runs.
[[nodiscard]] bool programs_have_a_heap();

}   // namespace sim
