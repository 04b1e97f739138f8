// What the aimed scenarios of pools have in common.
#pragma once

#include <cstdint>

namespace scenarios::thin {

inline constexpr std::uint32_t kAimedBlockSectors = 128;

}   // namespace scenarios::thin
