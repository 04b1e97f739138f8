// What a world gives to the primitives: fibers, parking, time. Two implementations: the tank's
// seeded scheduler (one OS thread) and the reactors of real-io (one per thread).
//
// Both pass tests/conformance/executor_suite.h, so each promise made here is a test there.
#pragma once

#include <source_location>
#include <utility>

#include "engine/base/sanitizers.h"
#include "engine/base/units.h"
#include "engine/fiber/context.h"
#include "engine/fiber/fiber.h"

namespace engine {

class Timer;

class Executor {
 public:
  virtual ~Executor() = default;

  // Starts a fiber that runs `body()`. Any context. The body runs in worker context; it must not
  // let an exception out. On real disks the fiber lives on the calling reactor.
  template <typename Body>
  void spawn(const char* name, Body&& body,
             std::source_location where = std::source_location::current()) {
    Fiber& fiber = new_fiber();
    if (fiber.executor != this) fiber.executor = this;   // a late unpark may be reading it
    fiber.prepare(name, &Executor::ended, std::forward<Body>(body));
    start(fiber, where);
  }

  // Suspends the calling fiber until unpark(). An unpark that came first makes it return at once;
  // it may also return for no reason, so callers loop on their own condition. `why` says what for:
  // the deadlock report names it. Worker context only.
  virtual void park(const Point& why) = 0;

  // Any context, any thread of this executor. `fiber` may have ended meanwhile.
  virtual void unpark(Fiber& fiber, std::source_location where) noexcept = 0;

  // Suspends and lets others run. Worker context only.
  virtual void yield(std::source_location where = std::source_location::current()) = 0;

  [[nodiscard]] virtual Nanos now() const noexcept = 0;

  // Timers (timer.h is the primitive over these). `timer` fires once, at or after `deadline`: its
  // fire() runs in completion context. Any context, any thread.
  virtual void arm(Timer& timer, Nanos deadline) noexcept = 0;
  // True: it was armed and will not fire. False: it was not armed, or fire() has begun.
  virtual bool disarm(Timer& timer) noexcept = 0;

 protected:
  // A fiber that is new or ended, ready for prepare().
  virtual Fiber& new_fiber() = 0;
  virtual void start(Fiber& fiber, std::source_location where) = 0;
  // On the ending fiber; switches away for good.
  virtual void finished(Fiber& fiber) = 0;

 private:
  // ThreadSanitizer must not count it as a call: it does not return.
  WAVETANK_NO_TSAN static void ended(Fiber& fiber) { fiber.executor->finished(fiber); }
};

// The executor of the calling thread; there must be one.
inline Executor& current_executor() noexcept {
  return *t_thread.executor;
}

inline void yield_now(std::source_location where = std::source_location::current()) {
  assert_may_block("yield", where);
  current_executor().yield(where);
}

}   // namespace engine
