// Which sanitizer watches this build: WAVETANK_ASAN and WAVETANK_TSAN are 1 or 0. gcc says it by
// macros, clang by features.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define WAVETANK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WAVETANK_ASAN 1
#endif
#endif
#if !defined(WAVETANK_ASAN)
#define WAVETANK_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define WAVETANK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WAVETANK_TSAN 1
#endif
#endif
#if !defined(WAVETANK_TSAN)
#define WAVETANK_TSAN 0
#endif

// A function whose accesses ThreadSanitizer must not look at, and whose calls it must not count:
// one that never returns would stay on its fiber's list of calls for good. clang counts calls of
// what is only not looked at.
#if !WAVETANK_TSAN
#define WAVETANK_NO_TSAN
#elif defined(__clang__)
#define WAVETANK_NO_TSAN [[clang::no_sanitize("thread"), clang::disable_sanitizer_instrumentation]]
#else
#define WAVETANK_NO_TSAN [[gnu::no_sanitize_thread]]
#endif
