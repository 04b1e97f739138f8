// Whether a sanitizer watches this build: it tells some things itself, and has stacks of its own.
#pragma once

#include "engine/base/sanitizers.h"

namespace sim {

#if WAVETANK_ASAN || WAVETANK_TSAN
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}   // namespace sim
