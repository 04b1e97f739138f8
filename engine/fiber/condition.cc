#include "engine/fiber/condition.h"

namespace engine {

void Condition::wait(Mutex& mutex, std::source_location where) {
  assert_may_block("Condition::wait", where);
  schedule_point(OpKind::condition_wait, Access::write, &object_, where);
  Waiter waiter;
  {
    const RawGuard guard{raw_};
    waiters_.push(waiter);   // before the unlock: a notify right after it must find us
  }
  mutex.unlock(where);
  park_until_woken(waiter, Point{OpKind::condition_wait, Access::write, &object_, where});
  mutex.lock(where);
}

void Condition::notify_one(std::source_location where) {
  schedule_point(OpKind::condition_notify, Access::write, &object_, where);
  trace_event(OpKind::condition_notify, &object_, where);
  Fiber* fiber = nullptr;
  {
    const RawGuard guard{raw_};
    fiber = waiters_.pop();
  }
  if (fiber != nullptr) unpark(*fiber, where);
}

void Condition::notify_all(std::source_location where) {
  schedule_point(OpKind::condition_notify, Access::write, &object_, where);
  trace_event(OpKind::condition_notify, &object_, where);
  for (;;) {
    Fiber* fiber = nullptr;
    {
      const RawGuard guard{raw_};
      fiber = waiters_.pop();
    }
    if (fiber == nullptr) return;
    unpark(*fiber, where);
  }
}

}   // namespace engine
