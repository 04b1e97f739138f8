#include "real-io/uring_executor.h"

#include "engine/base/check.h"
#include "engine/fiber/timer.h"

namespace real_io {

using engine::OpKind;

UringExecutor::UringExecutor(const Options& options) {
  ENGINE_CHECK(options.reactors != 0, "an executor needs a reactor");
  for (std::uint32_t i = 0; i < options.reactors; ++i)
    reactors_.push_back(std::make_unique<Reactor>(*this, i, options.reactor));
  for (const auto& reactor : reactors_)
    reactor->thread_ = std::thread{[&reactor = *reactor] { reactor.thread_main(); }};
}

UringExecutor::~UringExecutor() {
  // Fibers that have told their caller of their end may still be on their way out.
  constexpr int kRounds = 100;
  for (int i = 0; i < kRounds && fibers_alive_.load() != 0; ++i)
    on_each_reactor([](Reactor&) {});
  ENGINE_CHECK_ALIVE(fibers_alive_.load() == 0, "executor destroyed under {} fibers",
                     fibers_alive_.load());
  for (const auto& reactor : reactors_) {
    ENGINE_CHECK_ALIVE(reactor->timers_.empty(), "executor destroyed under an armed timer");
    Message stop{[](Message&, Reactor& there) { there.stopping_ = true; }};
    reactor->post(stop);
    reactor->thread_.join();
  }
}

void UringExecutor::park(const engine::Point& why) {
  engine::trace_event(OpKind::fiber_park, why.object, why.where);
  Reactor::current()->park();
}

void UringExecutor::unpark(engine::Fiber& fiber, std::source_location where) noexcept {
  auto& woken = static_cast<ReactorFiber&>(fiber);
  engine::trace_event(OpKind::fiber_unpark, &woken.object, where);
  if (&woken.home == Reactor::current()) {
    woken.home.wake(woken);
  } else if (!woken.wake_posted.exchange(true, std::memory_order_acq_rel)) {
    woken.home.post(woken.wake);
  }
}

void UringExecutor::yield(std::source_location where) {
  engine::trace_event(OpKind::yield, nullptr, where);
  Reactor::current()->yield();
}

engine::Nanos UringExecutor::now() const noexcept {
  return std::chrono::steady_clock::now() - begin_;
}

engine::Fiber& UringExecutor::new_fiber() {
  Reactor* const here = Reactor::current();
  ENGINE_CHECK(here != nullptr, "spawn() on a thread that is no reactor: use spawn_on()");
  return here->new_fiber();
}

void UringExecutor::start(engine::Fiber& fiber, std::source_location where) {
  engine::trace_event(OpKind::fiber_spawn, &fiber.object, where);
  fibers_alive_.fetch_add(1, std::memory_order_relaxed);
  Reactor::current()->make_ready(fiber);
}

void UringExecutor::finished(engine::Fiber& fiber) {
  engine::trace_event(OpKind::fiber_exit, &fiber.object, std::source_location::current());
  fibers_alive_.fetch_sub(1, std::memory_order_release);
  auto& ended = static_cast<ReactorFiber&>(fiber);
  ended.home.exit_fiber(ended);
}

// --- Timers: each reactor keeps those armed on it; one lock for all, which is cold ---

void UringExecutor::update_next_deadline(Reactor& reactor) noexcept {
  const auto first = reactor.timers_.begin();
  reactor.next_deadline_.store(
      first == reactor.timers_.end() ? Reactor::kNever : first->deadline.count(),
      std::memory_order_release);
}

void UringExecutor::arm(engine::Timer& timer, engine::Nanos deadline) noexcept {
  Reactor* const here = Reactor::current();
  Reactor& home = here != nullptr ? *here : *reactors_.front();
  {
    const engine::RawGuard guard{timer_lock_};
    ENGINE_CHECK(!timer.armed, "timer {} is armed twice", timer.object.name);
    timer.deadline = deadline;
    timer.sequence = timer_sequence_++;
    timer.home = home.index();
    timer.armed = true;
    home.timers_.insert(timer);
    update_next_deadline(home);
  }
  if (here == nullptr) {
    // It may sleep past the new deadline.
    struct Nudge : Message {
      Nudge() : Message{[](Message& self, Reactor&) { delete static_cast<Nudge*>(&self); }} {}
    };
    home.post(*new Nudge);
  }
}

bool UringExecutor::disarm(engine::Timer& timer) noexcept {
  const engine::RawGuard guard{timer_lock_};
  if (!timer.armed) return false;
  timer.armed = false;
  Reactor& home = *reactors_[timer.home];
  home.timers_.erase(home.timers_.iterator_to(timer));
  update_next_deadline(home);
  return true;
}

engine::Timer* UringExecutor::begin_due_timer(Reactor& reactor, engine::Nanos now) noexcept {
  const engine::RawGuard guard{timer_lock_};
  const auto first = reactor.timers_.begin();
  if (first == reactor.timers_.end() || first->deadline > now) return nullptr;
  engine::Timer& timer = *first;
  reactor.timers_.erase(first);
  timer.armed = false;
  update_next_deadline(reactor);
  timer.begin_fire();   // under the lock: who finds it disarmed finds it running
  return &timer;
}

}   // namespace real_io
