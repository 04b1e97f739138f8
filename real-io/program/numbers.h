// Numbers as flags take them. CLI11 by itself wraps negative ones into unsigned ones, reads 010 as
// eight, and has nan for a number.
#pragma once

#include <cstdint>

#include <CLI/CLI.hpp>

namespace wavetankd {

inline constexpr std::uint32_t kReactorsMax = 64;   // --reactors

// Of an option that is an unsigned integer: decimal digits, `min` to `max`.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t min, std::uint64_t max);
// Of an option that is a double: finite and not negative.
[[nodiscard]] CLI::Validator seconds();

}   // namespace wavetankd
