#include "engine/dm/event_counter.h"

#include "engine/base/check.h"

namespace engine::dm {

EventCounter::~EventCounter() {
  ENGINE_CHECK_ALIVE(waiters_.empty(), "{}: destroyed while waited for", object_.name);
}

void EventCounter::add(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
  {
    const RawGuard guard{raw_};
    ++value_;
  }
  wake_all(where);
}

void EventCounter::stop(std::source_location where) {
  schedule_point(OpKind::atomic_rmw, Access::write, &object_, where);
  {
    const RawGuard guard{raw_};
    stopped_ = true;
  }
  wake_all(where);
}

void EventCounter::wake_all(std::source_location where) {
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

std::uint64_t EventCounter::value() const noexcept {
  const RawGuard guard{raw_};
  return value_;
}

std::uint64_t EventCounter::wait_above(std::uint64_t seen, std::source_location where) {
  assert_may_block("EventCounter::wait_above", where);
  const Point why{OpKind::atomic_rmw, Access::read, &object_, where};
  schedule_point(why.op, why.access, why.object, where);
  for (;;) {
    Waiter waiter;
    {
      const RawGuard guard{raw_};
      if (value_ > seen || stopped_) return value_;
      waiters_.push(waiter);
    }
    park_until_woken(waiter, why);
  }
}

}   // namespace engine::dm
