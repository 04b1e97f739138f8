#include "sim/library/takings.h"

#include <utility>

#include <fmt/format.h>

#include "sim/tanks_own_memory.h"

namespace sim {
namespace {

// Of the outermost CallersBegin. NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit thread_local std::uintptr_t callers_begin = 0;

}   // namespace

CallersBegin::CallersBegin(const void* frame) noexcept : outermost_{callers_begin == 0} {
  if (outermost_) callers_begin = reinterpret_cast<std::uintptr_t>(frame);
}

CallersBegin::~CallersBegin() {
  if (outermost_) callers_begin = 0;
}

void Takings::begin() {
  left_ = 0;
  if (heap_ == nullptr) heap_ = ProgramHeap::acquire();
  if (heap_ == nullptr) return;
  details_.clear();
  run_ = heap_->begin_run(detail_ == Detail::yes ? this : nullptr);
  outer_ = std::exchange(t_program_heap, heap_);
  runs_ = true;
}

void Takings::end() noexcept {
  if (!std::exchange(runs_, false)) return;
  t_program_heap = outer_;
  left_ = heap_->left();
}

void Takings::let_go() noexcept {
  end();
  if (ProgramHeap* const heap = std::exchange(heap_, nullptr)) heap->let_go();
}

void Takings::taken() {
  const SimFiber& fiber = execution_.current();
  details_.push_back({.fiber = fmt::format("{}#{}", fiber.name(), fiber.id.ordinal()),
                      .point = execution_.points(),
                      .stack = CallStack::here()});
}

bool Takings::held_as_before() const {
  return heap_ != nullptr && held_by(holders_, *heap_, run_);
}

tl::expected<std::vector<Takings::Block>, std::string_view> Takings::lost() {
  std::vector<Block> lost;
  if (heap_ == nullptr) return lost;
  const StackUse stacks{.callers = callers_begin, .fiber_bytes = execution_.stack_bytes()};
  const auto blocks = lost_of(*heap_, run_, stacks, holders_);
  if (!blocks) return tl::unexpected(blocks.error());
  for (const ProgramHeap::Block& block : *blocks) {
    lost.push_back(detail_ == Detail::yes ? details_[block.ordinal] : Block{});
    lost.back().bytes = block.bytes;
  }
  return lost;
}

bool programs_have_a_heap() {
  ProgramHeap* const heap = ProgramHeap::acquire();
  if (heap == nullptr) return false;
  heap->let_go();
  return true;
}

}   // namespace sim
