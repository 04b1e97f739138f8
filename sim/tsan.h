// What ThreadSanitizer must know of the tank, so that it reports the unlocked accesses of simulated
// fibers and nothing else: the scheduler's own state is shared by all fibers without locks (they
// run on one thread), and an I/O is handed from who submits it to who ends it. Nothing in other
// builds. Only the scheduler's internals may be hushed, never code under test.
#pragma once

#include "engine/base/sanitizers.h"

#if WAVETANK_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

#include "sim/tanks_own_memory.h"

namespace sim {

// Accesses of the calling fiber are not looked at while it lives, and what memory it takes is none
// of the program's (tanks_own_memory.h). A fiber that is switched away
// from must not have one: the sanitizer takes that ill of a fiber that never comes back.
class Hush {
 public:
#if WAVETANK_TSAN
  Hush() noexcept {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    ++depth;
  }
  ~Hush() { end(); }
  // Before a stack is abandoned.
  static void end_all() noexcept {
    for (int left = depth_now(); left > 0; --left)
      end();
  }

 private:
  WAVETANK_NO_TSAN static int depth_now() noexcept { return depth; }
  static void end() noexcept {
    --depth;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  static inline thread_local int depth = 0;

 public:
#else
  Hush() noexcept {}
  ~Hush() {}
  static void end_all() noexcept {}

 private:
  const TanksOwnMemory memory_;

 public:
#endif
  Hush(const Hush&) = delete;
  Hush& operator=(const Hush&) = delete;
};

// What came before handed_over() has happened before what comes after taken_over() of the same
// object.
inline void handed_over([[maybe_unused]] void* object) noexcept {
#if WAVETANK_TSAN
  __tsan_release(object);
#endif
}
inline void taken_over([[maybe_unused]] void* object) noexcept {
#if WAVETANK_TSAN
  __tsan_acquire(object);
#endif
}

}   // namespace sim
