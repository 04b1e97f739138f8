// The one source of randomness of the tank: PCG32 (M. O'Neill, 2014, XSH-RR with a 64-bit state).
// Written out, so that a seed means the same decisions with every library and compiler.
#pragma once

#include <cstdint>

namespace sim {

class Rng {
 public:
  explicit Rng(std::uint64_t seed = 0) noexcept { reseed(seed); }

  void reseed(std::uint64_t seed) noexcept {
    state_ = 0;
    next();
    state_ += seed;
    next();
  }
  std::uint32_t next() noexcept {
    const std::uint64_t old = state_;
    state_ = old * 6364136223846793005ULL + kIncrement;
    const auto shifted = static_cast<std::uint32_t>(((old >> 18U) ^ old) >> 27U);
    const auto turn = static_cast<std::uint32_t>(old >> 59U);
    return (shifted >> turn) | (shifted << ((32U - turn) & 31U));
  }
  std::uint64_t next64() noexcept {
    const std::uint64_t high = next();
    return high << 32U | next();
  }
  // Below `count`, which is not 0. The bias of 2^-32 * count is of no consequence here.
  std::uint32_t below(std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * count) >> 32U);
  }
  // True once in `count`.
  bool one_in(std::uint32_t count) noexcept { return below(count) == 0; }
  // An answer below `count` to Execution::choose(): with `rarely` above 1 anything but 0 once in so
  // many times.
  std::uint32_t answer(std::uint32_t count, std::uint32_t rarely) noexcept {
    if (rarely <= 1) return below(count);
    return one_in(rarely) && count > 1 ? 1 + below(count - 1) : 0;
  }

 private:
  static constexpr std::uint64_t kIncrement = 1442695040888963407ULL;
  std::uint64_t state_ = 0;
};

}   // namespace sim
