// Whether a sanitizer watches this build: it tells some things itself, and has stacks of its own.
#pragma once

namespace sim {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}   // namespace sim
