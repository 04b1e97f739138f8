// What went wrong in an execution.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/call_stack.h"

namespace sim {

enum class FindingKind : std::uint8_t {
  assertion,        // a failed ENGINE_CHECK
  atomic_context,   // blocking where blocking is forbidden
  lifetime,         // use of something that is gone
  lock_order,       // locks taken in opposite orders: some schedule deadlocks
  deadlock,         // fibers wait and nothing will ever wake them
  endless,          // more scheduling points than the options allow
  checker,          // a checker's or an oracle's verdict
  leak,             // a program's memory that it never frees
  crash,            // the process died
};

[[nodiscard]] constexpr std::string_view to_string(FindingKind kind) noexcept {
  switch (kind) {
    case FindingKind::assertion:
      return "assertion";
    case FindingKind::atomic_context:
      return "atomic-context";
    case FindingKind::lifetime:
      return "lifetime";
    case FindingKind::lock_order:
      return "lock-order";
    case FindingKind::deadlock:
      return "deadlock";
    case FindingKind::endless:
      return "endless";
    case FindingKind::checker:
      return "checker";
    case FindingKind::leak:
      return "leak";
    case FindingKind::crash:
      return "crash";
  }
  return "?";
}

// One of a few that go round in a circle: fibers that wait for each other, locks that are taken one
// under the other.
struct FindingEdge {
  std::string from;
  std::string to;
  std::string why;   // a few lines
};

// A stack that belongs into a finding's detail, not yet in words: that takes more stack than a
// fiber has.
struct PlacedStack {
  std::size_t at = 0;   // in the detail
  CallStack stack;
  bool is_the_place = false;   // nothing else says where
};

struct Finding {
  FindingKind kind = FindingKind::checker;
  std::string message = {};   // one line
  // Where, or which rule: the same for the same defect, whatever the schedule. "file.cc:12" for
  // failed checks; the objects waited for in a deadlock; a checker's own name for its rule.
  std::string place = {};
  std::string detail = {};   // several lines: who waits for what, what a checker has to add
  std::vector<PlacedStack> stacks = {};   // of traced executions, in order of `at`
  std::vector<FindingEdge> circle = {};   // of deadlocks and lock orders, where there is one

  // Filled in by the execution.
  std::string fiber = {};    // "writer#2"
  std::uint64_t point = 0;   // the ordinal of the last scheduling point
  std::int64_t time_ns = 0;

  // The stack of who does that, at the end of the detail so far.
  void add_stack(const CallStack& stack) { stacks.push_back({detail.size(), stack}); }
  // The same where nothing else says where that is.
  void add_place(const CallStack& stack) { stacks.push_back({detail.size(), stack, true}); }
  // On a thread's own stack: puts the stacks into the detail.
  void spell_out() {
    for (auto placed = stacks.rbegin(); placed != stacks.rend(); ++placed) {
      const std::string words = placed->stack.describe();
      const bool unknown = words.empty() && placed->is_the_place;
      detail.insert(placed->at, unknown ? "  at a place that a build with -g would tell\n" : words);
    }
    stacks.clear();
  }
  // Findings of one defect share it.
  [[nodiscard]] std::string signature() const { return std::string{to_string(kind)} + ' ' + place; }
};

}   // namespace sim
