#include "engine/fiber/timer.h"

#include "engine/base/check.h"

namespace engine {

Timer::~Timer() {
  ENGINE_CHECK_ALIVE(!armed, "timer {} destroyed while armed", object.name);
  const RawGuard guard{raw_};
  ENGINE_CHECK_ALIVE(running_ == 0, "timer {} destroyed while its callback runs", object.name);
}

void Timer::arm_after(Executor& executor, Nanos delay, std::source_location where) {
  schedule_point(OpKind::timer_arm, Access::write, &object, where);
  executor_.store(&executor, std::memory_order_release);
  executor.disarm(*this);
  executor.arm(*this, executor.now() + delay);
  trace_event(OpKind::timer_arm, &object, where, static_cast<std::uint64_t>(delay.count()));
}

bool Timer::cancel(std::source_location where) {
  schedule_point(OpKind::timer_cancel, Access::write, &object, where);
  Executor* const executor = executor_.load(std::memory_order_acquire);
  const bool cancelled = executor != nullptr && executor->disarm(*this);
  trace_event(OpKind::timer_cancel, &object, where, cancelled ? 1 : 0);
  return cancelled;
}

bool Timer::cancel_and_wait(std::source_location where) {
  assert_may_block("Timer::cancel_and_wait", where);
  const bool cancelled = cancel(where);
  for (;;) {
    Waiter waiter;
    {
      const RawGuard guard{raw_};
      if (running_ == 0) return cancelled;
      waiters_.push(waiter);
    }
    park_until_woken(waiter, Point{OpKind::timer_cancel, Access::write, &object, where});
  }
}

// `running_` must be raised in the same step in which the executor takes the timer off its queue,
// as seen by cancel_and_wait(): executors call fire() before any other fiber can run, and the first
// scheduling point lies behind the increment.
void Timer::fire() {
  begin_fire();
  finish_fire();
}

void Timer::begin_fire() noexcept {
  const RawGuard guard{raw_};
  ++running_;
}

void Timer::finish_fire() {
  const std::source_location where = std::source_location::current();
  schedule_point(OpKind::timer_fire, Access::write, &object, where);
  trace_event(OpKind::timer_fire, &object, where);
  callback_(argument_);
  WaitQueue woken;
  {
    const RawGuard guard{raw_};
    if (--running_ != 0) return;
    while (Waiter* const waiter = waiters_.front()) {
      waiters_.remove(*waiter);
      woken.push(*waiter);
    }
  }
  // From here on *this may be gone.
  while (Fiber* const fiber = woken.pop())
    unpark(*fiber, where);
}

void sleep_for(Nanos delay, std::source_location where) {
  assert_may_block("sleep_for", where);
  Completion over{"sleep"};
  Timer timer{"sleep", [](void* gate) { static_cast<Completion*>(gate)->signal(); }, &over};
  timer.arm_after(current_executor(), delay, where);
  over.wait(where);
  timer.cancel_and_wait(where);   // the callback may still be on its way out
}

}   // namespace engine
