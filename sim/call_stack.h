// Where a fiber stands, function by function, for the findings of traced executions.
//
// Taking one is a walk over the stack; putting it into words reads the program's debug information.
// What the frames are differs between compilers and optimisers, so nothing may be decided by them:
// they go into a finding's detail, never into its place or a digest.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace sim {

class CallStack {
 public:
  CallStack() = default;
  // The calling fiber's.
  [[nodiscard]] static CallStack here() noexcept;

  // A line for each function of the program under test, innermost first, as "  at FUNCTION
  // (FILE:LINE)"; the tank's own and those without debug information are left out. Empty when there
  // is none.
  [[nodiscard]] std::string describe() const;

 private:
  static constexpr std::uint32_t kFramesMax = 40;
  std::array<void*, kFramesMax> frames_{};   // within the calls, not behind them
  std::uint32_t count_ = 0;
};

}   // namespace sim
