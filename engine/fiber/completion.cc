#include "engine/fiber/completion.h"

#include "engine/base/check.h"

namespace engine {

Completion::~Completion() {
  // Passing through the lock lets the last signal() leave it first.
  const RawGuard guard{raw_};
  ENGINE_CHECK_ALIVE(waiters_.empty(), "completion {} destroyed under a waiter", object_.name);
}

void Completion::expect_more(std::uint32_t count) noexcept {
  const RawGuard guard{raw_};
  ENGINE_CHECK(missing_ != 0, "completion {} is open already", object_.name);
  missing_ += count;
}

void Completion::signal(std::source_location where) {
  schedule_point(OpKind::completion_signal, Access::write, &object_, where);
  trace_event(OpKind::completion_signal, &object_, where);
  WaitQueue woken;
  {
    const RawGuard guard{raw_};
    ENGINE_CHECK(missing_ != 0, "completion {} signalled once too often", object_.name);
    if (--missing_ != 0) return;
    while (Waiter* const waiter = waiters_.front()) {
      waiters_.remove(*waiter);
      woken.push(*waiter);
    }
  }
  // From here on *this may be gone.
  while (Fiber* const fiber = woken.pop())
    unpark(*fiber, where);
}

void Completion::wait(std::source_location where) {
  assert_may_block("Completion::wait", where);
  schedule_point(OpKind::completion_wait, Access::read, &object_, where);
  Waiter waiter;
  {
    const RawGuard guard{raw_};
    if (missing_ == 0) return;
    waiters_.push(waiter);
  }
  park_until_woken(waiter, Point{OpKind::completion_wait, Access::read, &object_, where});
}

bool Completion::done() const noexcept {
  const RawGuard guard{raw_};
  return missing_ == 0;
}

}   // namespace engine
