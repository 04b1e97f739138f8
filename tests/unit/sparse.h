// How much of a test of many like cases is done: all, or every n-th of them where a case is dear.
// The sanitizer presets say so by WAVETANK_TEST_SPARSE; properties have RapidCheck's own RC_PARAMS.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace unit {

// One case in so many.
inline std::uint32_t sparse() {
  static const std::uint32_t every = [] {
    const char* const asked = std::getenv("WAVETANK_TEST_SPARSE");
    const int value = asked != nullptr ? std::atoi(asked) : 1;
    return value > 1 ? static_cast<std::uint32_t>(value) : 1U;
  }();
  return every;
}

}   // namespace unit
