#include "real-io/reactor.h"

#include <algorithm>
#include <chrono>

#include <sys/eventfd.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/sanitizers.h"
#include "real-io/uring_executor.h"

#if WAVETANK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace real_io {
namespace {

// Whose thread this is. NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit thread_local Reactor* t_reactor = nullptr;

// Fiber switches tell ThreadSanitizer of no order (the tank wants it so). Here the fibers of one
// reactor share its queues and are ordered by sharing its thread: that must be said.
#if WAVETANK_TSAN
void order_after(Reactor* reactor) noexcept {
  __tsan_acquire(reactor);
}
void order_before(Reactor* reactor) noexcept {
  __tsan_release(reactor);
}
#else
void order_after(Reactor*) noexcept {}
void order_before(Reactor*) noexcept {}
#endif

}   // namespace

ReactorFiber::Wake::Wake(ReactorFiber& woken) noexcept
    : Message{[](Message& self, Reactor&) {
        ReactorFiber& parked_one = static_cast<Wake&>(self).fiber;
        // From here on another thread may post the message again.
        parked_one.wake_posted.store(false, std::memory_order_release);
        parked_one.home.wake(parked_one);
      }},
      fiber{woken} {}

ReactorFiber::ReactorFiber(engine::Stack stack, Reactor& home_reactor) noexcept
    : Fiber{stack}, home{home_reactor} {}

Reactor::Reactor(UringExecutor& executor, std::uint32_t index, const Options& options)
    : executor_{executor}, index_{index}, options_{options} {
  event_fd_ = eventfd(0, EFD_CLOEXEC);
  ENGINE_CHECK(event_fd_ >= 0, "no eventfd for reactor {}", index);
}

Reactor::~Reactor() {
  ENGINE_CHECK(!thread_.joinable(), "reactor {} destroyed while it runs", index_);
  ENGINE_CHECK(busy_ == 0, "reactor {} destroyed while {} say that it is busy", index_, busy_);
  fibers_.clear();
  close(event_fd_);
}

Reactor* Reactor::current() noexcept {
  if (t_reactor != nullptr) order_after(t_reactor);
  return t_reactor;
}

void Reactor::post(Message& message) noexcept {
  Message* head = inbox_.load(std::memory_order_relaxed);
  do {
    message.next = head;
  } while (!inbox_.compare_exchange_weak(head, &message, std::memory_order_seq_cst,
                                         std::memory_order_relaxed));
  // Pairs with wait_for_work(): either it sees the message, or we see it asleep.
  if (sleeping_.load(std::memory_order_seq_cst) &&
      sleeping_.exchange(false, std::memory_order_seq_cst)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event_fd_, &one, sizeof one);
  }
}

void Reactor::defer(Deferred& job) noexcept {
  if (job.pending) return;
  job.pending = true;
  deferred_.push_back(job);
}

void Reactor::thread_main() {
  t_reactor = this;
  pthread_setname_np(pthread_self(), fmt::format("reactor-{}", index_).c_str());
  engine::t_thread.executor = &executor_;
  engine::t_thread.thread_index = index_;
  engine::t_thread.fiber = nullptr;
  loop_ = std::make_unique<engine::Fiber>();
  engine::t_thread.context = &loop_->context;
  ring_ = std::make_unique<Ring>();
  arm_wake_up();
  loop();
  ring_.reset();
  loop_.reset();
  engine::t_thread = {};
  t_reactor = nullptr;
}

void Reactor::loop() {
  while (!stopping_) {
    run_inbox();
    fire_timers();
    run_ready_fibers();
    run_deferred();
    // Deferred jobs may make fibers ready, or leave more to be deferred: then only hand over.
    if (!ready_.empty() || !deferred_.empty()) {
      hand_over();
    } else {
      wait_for_work();
    }
    engine::ContextScope scope{engine::ContextKind::completion};
    ring_->reap();
  }
}

// There is more to do here: what has completed is fetched on the way.
void Reactor::hand_over() noexcept {
  ring_->submit();
  ring_->pull();
}

bool Reactor::spin_for_work(engine::Nanos how_long) {
  const auto until = executor_.now() + how_long;
  do {
    for (int i = 0; i < 16; ++i) {
      if (ring_->pull() || inbox_.load(std::memory_order_relaxed) != nullptr) return true;
      __builtin_ia32_pause();
    }
  } while (executor_.now() < until);
  return false;
}

void Reactor::wait_for_work() {
  if (inbox_.load(std::memory_order_relaxed) != nullptr || ring_->ready() || stopping_) {
    hand_over();
    return;
  }
  const engine::Nanos spin =
      busy_ == 0 ? options_.spin : std::max(options_.spin, options_.busy_spin);
  if (spin > engine::Nanos{0}) {
    ring_->submit();
    if (spin_for_work(spin)) return;
  }
  sleeping_.store(true, std::memory_order_seq_cst);
  if (inbox_.load(std::memory_order_seq_cst) != nullptr) {
    sleeping_.store(false, std::memory_order_relaxed);
    hand_over();
    return;
  }
  engine::Nanos timeout{-1};
  const std::int64_t deadline = next_deadline_.load(std::memory_order_acquire);
  if (deadline != kNever) {
    timeout = engine::Nanos{deadline} - executor_.now();
    if (timeout < engine::Nanos{0}) timeout = engine::Nanos{0};
  }
  ring_->submit_and_wait(timeout);
  sleeping_.store(false, std::memory_order_relaxed);
}

void Reactor::run_inbox() {
  if (inbox_.load(std::memory_order_relaxed) == nullptr) return;
  Message* newest = inbox_.exchange(nullptr, std::memory_order_acquire);
  Message* oldest = nullptr;
  while (newest != nullptr) {
    Message* const next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  engine::ContextScope scope{engine::ContextKind::completion};
  while (oldest != nullptr) {
    Message* const message = oldest;
    oldest = message->next;   // before run(): the sender may reuse or free it
    message->run(*message, *this);
  }
}

void Reactor::run_deferred() {
  if (deferred_.empty()) return;
  engine::ContextScope scope{engine::ContextKind::completion};
  auto jobs = std::move(deferred_);
  deferred_.clear();
  while (!jobs.empty()) {
    Deferred& job = jobs.front();
    jobs.pop_front();
    job.pending = false;
    job.run(job);
  }
}

void Reactor::fire_timers() {
  if (next_deadline_.load(std::memory_order_relaxed) == kNever) return;
  const engine::Nanos now = executor_.now();
  while (next_deadline_.load(std::memory_order_relaxed) <= now.count()) {
    engine::Timer* const timer = executor_.begin_due_timer(*this, now);
    if (timer == nullptr) return;
    const engine::ContextScope scope{engine::ContextKind::completion};
    timer->finish_fire();
  }
}

void Reactor::arm_wake_up() noexcept {
  wake_up_.prepare = &Reactor::prepare_wake_up;
  wake_up_.done = &Reactor::woken_up;
  wake_up_.reactor = this;
  ring_->start(wake_up_);
}

void Reactor::prepare_wake_up(Operation& self, io_uring_sqe& entry) noexcept {
  auto& wake_up = static_cast<WakeUp&>(self);
  io_uring_prep_read(&entry, wake_up.reactor->event_fd_, &wake_up.count, sizeof wake_up.count, 0);
}

void Reactor::woken_up(Operation& self, std::int32_t, std::uint32_t) {
  static_cast<WakeUp&>(self).reactor->ring_->start(self);
}

// --- Scheduling ---

// Only as many fibers as were ready at the start: one that yields in a loop must not keep the
// reactor from its completions.
void Reactor::run_ready_fibers() {
  if (ready_.empty()) return;
  round_left_ = ready_.size();
  engine::Fiber& first = next_to_run();
  if (&first != loop_.get()) switch_fiber(*loop_, first);
  engine::t_thread.fiber = nullptr;   // nobody's, until the next switch
}

void Reactor::switch_fiber(engine::Fiber& from, engine::Fiber& to) {
  order_before(this);
  from.switch_to(to);
  order_after(this);
}

engine::Fiber& Reactor::next_to_run() noexcept {
  if (round_left_ == 0 || ready_.empty()) return *loop_;
  --round_left_;
  engine::Fiber& fiber = ready_.front();
  ready_.pop_front();
  return fiber;
}

ReactorFiber& Reactor::new_fiber() {
  if (!free_fibers_.empty()) {
    ReactorFiber& fiber = *free_fibers_.back();
    free_fibers_.pop_back();
    return fiber;
  }
  fibers_.push_back(std::make_unique<ReactorFiber>(stacks_.take(), *this));
  free_fibers_.reserve(fibers_.size());
  return *fibers_.back();
}

void Reactor::wake(ReactorFiber& fiber) noexcept {
  if (fiber.parked) {
    fiber.parked = false;
    ready_.push_back(fiber);
  } else {
    fiber.notified = true;
  }
}

void Reactor::park() {
  auto& self = static_cast<ReactorFiber&>(*engine::t_thread.fiber);
  if (self.notified) {
    self.notified = false;
    return;
  }
  self.parked = true;
  switch_fiber(self, next_to_run());
}

void Reactor::yield() {
  engine::Fiber& self = *engine::t_thread.fiber;
  ready_.push_back(self);
  engine::Fiber& next = next_to_run();
  if (&next != &self) switch_fiber(self, next);
}

void Reactor::exit_fiber(ReactorFiber& fiber) {
  free_fibers_.push_back(&fiber);
  order_before(this);
  fiber.exit_to(next_to_run());
}

}   // namespace real_io
