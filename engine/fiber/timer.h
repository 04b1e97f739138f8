// One-shot timers. The callback runs in completion context: it must not block, and usually queues
// work.
#pragma once

#include <atomic>
#include <source_location>

#include <boost/intrusive/set_hook.hpp>

#include "engine/fiber/completion.h"
#include "engine/fiber/executor.h"

namespace engine {

class Timer {
 public:
  using Callback = void (*)(void* argument);
  Timer(const char* name, Callback callback, void* argument) noexcept
      : object{ObjectKind::timer, name}, callback_{callback}, argument_{argument} {}
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Any context. Arming an armed timer moves its deadline.
  void arm_after(Executor& executor, Nanos delay,
                 std::source_location where = std::source_location::current());
  // Any context. True: the callback will not run. False: it was not armed, or the callback may be
  // running right now: before freeing what it uses, cancel_and_wait().
  bool cancel(std::source_location where = std::source_location::current());
  // Suspends. On return the callback neither runs nor will, unless somebody arms the timer again.
  bool cancel_and_wait(std::source_location where = std::source_location::current());

  // Called by executors, in completion context.
  void fire();
  // fire() in its two halves, for executors with several threads: the first goes with taking the
  // timer off its queue, under the same lock; the second runs the callback.
  void begin_fire() noexcept;
  void finish_fire();

  SyncObject object;
  // --- For executors, guarded by whatever they use. ---
  boost::intrusive::set_member_hook<> queue_hook;
  Nanos deadline{0};
  std::uint64_t sequence = 0;   // orders timers with equal deadlines
  std::uint32_t home = 0;       // the thread that keeps it
  bool armed = false;

 private:
  Callback callback_;
  void* argument_;
  std::atomic<Executor*> executor_{nullptr};   // a cancel may come while a callback arms it again
  RawLock raw_;
  std::uint32_t running_ = 0;   // guarded by raw_
  WaitQueue waiters_;           // for running_ == 0; guarded by raw_
};

// Suspends the calling fiber for `delay`.
void sleep_for(Nanos delay, std::source_location where = std::source_location::current());

}   // namespace engine
