// Fibers of one kind have been started under one name at one line, so they do the same. A strategy
// that treats all fibers alike has a crowd of one kind outvote the only one of another: of fifty
// that write and one that reads, the reader is first once in fifty-one times. One that treats kinds
// alike has it first once in two.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "sim/sim_fiber.h"

namespace sim {

// Kept by the execution, in SimFiber::kind. Dense, in the order in which it first starts one of
// each, so that what a kind's number is does not depend on executions before.
class FiberKinds {
 public:
  void begin() noexcept { kinds_.clear(); }
  void started(SimFiber& fiber, std::uint32_t line) {
    fiber.kind = 0;
    while (fiber.kind != kinds_.size() && !is(kinds_[fiber.kind], fiber.name(), line))
      ++fiber.kind;
    if (fiber.kind == kinds_.size()) kinds_.push_back({.name = fiber.name(), .line = line});
    ++kinds_[fiber.kind].live;
  }
  void ended(const SimFiber& fiber) noexcept { --kinds_[fiber.kind].live; }

  // Fibers of its kind that have not ended, itself among them.
  [[nodiscard]] std::uint32_t live(const SimFiber& fiber) const noexcept {
    return kinds_[fiber.kind].live;
  }
  [[nodiscard]] std::size_t size() const noexcept { return kinds_.size(); }

 private:
  struct Kind {
    const char* name;   // a string literal
    std::uint32_t line;
    std::uint32_t live = 0;
  };
  static bool is(const Kind& kind, const char* name, std::uint32_t line) noexcept {
    return kind.line == line && (kind.name == name || std::strcmp(kind.name, name) == 0);
  }
  std::vector<Kind> kinds_;
};

}   // namespace sim
