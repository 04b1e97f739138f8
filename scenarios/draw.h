// A source of small decisions for what a generator draws before it draws operations: everything
// follows from one seed, nothing of it is shrunk (scenarios/shrink.h shrinks the workload itself).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace scenarios {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_{seed} {}

  // Below `count`, which is not 0. splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
  // number generators", 2014).
  [[nodiscard]] std::uint32_t below(std::uint32_t count) noexcept {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t value = state_;
    value = (value ^ value >> 30U) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ value >> 27U) * 0x94D049BB133111EBULL;
    value ^= value >> 31U;
    return static_cast<std::uint32_t>((value >> 32U) * count >> 32U);
  }
  [[nodiscard]] bool one_in(std::uint32_t count) noexcept { return below(count) == 0; }
  // Repeat a value to make it more likely.
  template <typename T>
  [[nodiscard]] T of(std::initializer_list<T> values) noexcept {
    return values.begin()[below(static_cast<std::uint32_t>(values.size()))];
  }

 private:
  std::uint64_t state_;
};

}   // namespace scenarios
