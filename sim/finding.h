// What went wrong in an execution.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sim {

enum class FindingKind : std::uint8_t {
  assertion,        // a failed ENGINE_CHECK
  atomic_context,   // blocking where blocking is forbidden
  lifetime,         // use of something that is gone
  lock_order,       // locks taken in opposite orders: some schedule deadlocks
  deadlock,         // fibers wait and nothing will ever wake them
  endless,          // more scheduling points than the options allow
  checker,          // a checker's or an oracle's verdict
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
    case FindingKind::crash:
      return "crash";
  }
  return "?";
}

struct Finding {
  FindingKind kind = FindingKind::checker;
  std::string message = {};   // one line
  // Where, or which rule: the same for the same defect, whatever the schedule. "file.cc:12" for
  // failed checks; the objects waited for in a deadlock; a checker's own name for its rule.
  std::string place = {};
  std::string detail = {};   // several lines: the wait-for graph, what a checker has to add

  // Filled in by the execution.
  std::string fiber = {};    // "writer#2"
  std::uint64_t point = 0;   // the ordinal of the last scheduling point
  std::int64_t time_ns = 0;

  // Findings of one defect share it.
  [[nodiscard]] std::string signature() const { return std::string{to_string(kind)} + ' ' + place; }
};

}   // namespace sim
