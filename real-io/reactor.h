// One reactor thread: an io_uring, a run queue of fibers, timers, and an inbox for other threads.
//
// All but post() and wake-ups belongs to the reactor's own thread. A round of its loop runs the
// fibers that are ready, lets the deferred jobs gather what those left behind, enters the kernel at
// most once, and runs the completions; it sleeps only in that one place. Another thread's message
// costs it a system call only when it finds the reactor asleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "engine/fiber/fiber.h"
#include "engine/fiber/stack_pool.h"
#include "engine/fiber/timer.h"
#include "real-io/ring.h"

namespace real_io {

class Reactor;
class UringExecutor;

// Something to run on another reactor, in completion context. The sender keeps it alive until run()
// is called, and may post it again from then on.
struct Message {
  using Run = void (*)(Message& self, Reactor& reactor);
  explicit Message(Run on_arrival) noexcept : run{on_arrival} {}
  Run run;
  Message* next = nullptr;   // in the inbox
};

// Run once at the end of the present round, before the kernel is entered: the place to turn what a
// round has gathered into one operation. Not a job for other threads.
struct Deferred : boost::intrusive::slist_base_hook<> {
  using Run = void (*)(Deferred& self);
  explicit Deferred(Run at_end) noexcept : run{at_end} {}
  Run run;
  bool pending = false;
};

class ReactorFiber final : public engine::Fiber {
 public:
  ReactorFiber(engine::Stack stack, Reactor& home) noexcept;
  struct Wake : Message {
    explicit Wake(ReactorFiber& woken) noexcept;
    ReactorFiber& fiber;
  };
  Reactor& home;
  bool parked = false;                    // the home thread's
  std::atomic<bool> wake_posted{false};   // at most one wake-up of a fiber is under way
  Wake wake{*this};
};

class Reactor {
 public:
  struct Options {
    // How long an idle reactor looks for work before it sleeps in the kernel: always, and at least
    // while somebody says that much is under way.
    engine::Nanos spin{0};
    engine::Nanos busy_spin{0};
  };

  Reactor(UringExecutor& executor, std::uint32_t index, const Options& options);
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // The calling thread's; null on other threads.
  [[nodiscard]] static Reactor* current() noexcept;
  [[nodiscard]] UringExecutor& executor() noexcept { return executor_; }
  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }

  // Any thread.
  void post(Message& message) noexcept;

  // --- Own thread only. ---
  void start(Operation& operation) noexcept { ring_->start(operation); }
  void defer(Deferred& job) noexcept;
  // Much is under way, so that something is likely to happen soon. In pairs.
  void begin_busy() noexcept { ++busy_; }
  void end_busy() noexcept { --busy_; }
  [[nodiscard]] Ring& ring() noexcept { return *ring_; }

 private:
  friend class UringExecutor;
  friend struct ReactorFiber::Wake;
  using RunQueue = boost::intrusive::list<
      engine::Fiber,
      boost::intrusive::member_hook<engine::Fiber, boost::intrusive::list_member_hook<>,
                                    &engine::Fiber::queue_hook>,
      boost::intrusive::constant_time_size<true>>;
  struct TimerBefore {
    bool operator()(const engine::Timer& a, const engine::Timer& b) const noexcept {
      return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence;
    }
  };
  using TimerQueue = boost::intrusive::set<
      engine::Timer,
      boost::intrusive::member_hook<engine::Timer, boost::intrusive::set_member_hook<>,
                                    &engine::Timer::queue_hook>,
      boost::intrusive::compare<TimerBefore>>;
  static constexpr std::int64_t kNever = INT64_MAX;

  void thread_main();
  void loop();
  void wait_for_work();
  void hand_over() noexcept;
  bool spin_for_work(engine::Nanos how_long);
  void run_ready_fibers();
  void run_inbox();
  void run_deferred();
  void fire_timers();
  void arm_wake_up() noexcept;
  static void prepare_wake_up(Operation& self, io_uring_sqe& entry) noexcept;
  static void woken_up(Operation& self, std::int32_t result, std::uint32_t flags);

  // Scheduling, called by the executor on this thread.
  ReactorFiber& new_fiber();
  void make_ready(engine::Fiber& fiber) noexcept { ready_.push_back(fiber); }
  void wake(ReactorFiber& fiber) noexcept;
  void park();
  void yield();
  [[noreturn]] void exit_fiber(ReactorFiber& fiber);
  // The next fiber that is ready, or the loop.
  engine::Fiber& next_to_run() noexcept;
  void switch_fiber(engine::Fiber& from, engine::Fiber& to);

  struct WakeUp : Operation {
    Reactor* reactor = nullptr;
    std::uint64_t count = 0;
  };

  UringExecutor& executor_;
  const std::uint32_t index_;
  const Options options_;
  std::unique_ptr<Ring> ring_;            // made on the thread that uses it
  std::unique_ptr<engine::Fiber> loop_;   // the thread's own stack, made there
  RunQueue ready_;
  std::size_t round_left_ = 0;   // fibers that may still run in this round
  boost::intrusive::slist<Deferred, boost::intrusive::cache_last<true>,
                          boost::intrusive::constant_time_size<false>>
      deferred_;
  engine::StackPool stacks_;
  std::vector<std::unique_ptr<ReactorFiber>> fibers_;
  std::vector<ReactorFiber*> free_fibers_;
  bool stopping_ = false;
  std::uint32_t busy_ = 0;   // begin_busy() without end_busy()

  TimerQueue timers_;   // guarded by the executor's timer lock
  std::atomic<std::int64_t> next_deadline_{kNever};

  int event_fd_ = -1;
  WakeUp wake_up_;
  alignas(64) std::atomic<Message*> inbox_{nullptr};
  std::atomic<bool> sleeping_{false};
  std::thread thread_;
};

}   // namespace real_io
