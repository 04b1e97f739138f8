// What the one cached device of a run is called, by its users and by the oracle.
#pragma once

#include <cstdint>

namespace scenarios::cache {

inline constexpr const char* kName = "cached";
inline constexpr std::uint32_t kVolume = 0;

}   // namespace scenarios::cache
