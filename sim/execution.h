// One simulated world: the seeded scheduler that runs fibers, moves time and lets the environment
// act. Single-threaded; an Execution may be run again and again and keeps its stacks.
//
// Invariants: at any moment one fiber runs, or the thread that called run(). Every choice is made
// in decide(), or in choose(), by the strategy, and recorded where it deviates from the rule of
// schedule.h. Nothing here depends on addresses, so a seed means one execution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/intrusive/set.hpp>

#include "engine/base/check.h"
#include "engine/fiber/executor.h"
#include "engine/fiber/timer.h"
#include "sim/env_step.h"
#include "sim/event_log.h"
#include "sim/fiber_kinds.h"
#include "sim/finding.h"
#include "sim/order_listener.h"
#include "sim/schedule.h"
#include "sim/sim_fiber.h"
#include "sim/strategy.h"

namespace sim {

struct ExecutionOptions {
  std::uint64_t seed = 0;
  Strategy* strategy = nullptr;   // null: a random walk
  // More scheduling points than that are a finding.
  std::uint64_t points_max = 20'000'000;
  // Where fibers give way again and again, that it has no end is a finding only if it has none when
  // their giving way is honoured, either: after points_max the strategy decides no more who goes
  // on, and for as many points again each turn lasts until its fiber gives way, waits or has had
  // it, and the next is for who has waited for one the longest. Not for strategies that have to
  // make every decision themselves.
  bool fair_end = false;
  // A fiber that ran that many points in a row while others could is put aside, so that waiting in
  // a loop ends. Part of the rule of schedule.h.
  std::uint64_t turn_points_max = 20'000;
  // Timers may fire while fibers could still run, as for fibers slowed down by something else; but
  // only so many before all that can happen by itself has happened (kTimersAheadMax).
  bool timers_race = false;
  // Keep the event log.
  bool trace = false;
  // And in it what is done to atomics, which tell of themselves before only
  // (engine/fiber/atomic.h).
  bool trace_atomics = false;
  // Of each fiber's stack; the constructor's options decide.
  std::size_t stack_bytes = engine::StackPool::kDefaultSize;
  // Events and the bytes that reach devices also enter the digest: slower, and proves more.
  bool digest_events = false;
  // Objects whose names begin so are of whoever has set the world up, and not of what runs in it:
  // who waits for them is kept waiting by others. Empty: there are none.
  std::string_view lab{};
  // What the strategy begins with; without: `seed`.
  std::optional<std::uint64_t> strategy_seed{};
};

struct Outcome {
  std::optional<Finding> finding;
  std::uint64_t points = 0;
  std::uint64_t switches = 0;      // between fibers
  std::uint64_t preemptions = 0;   // switches away from a fiber that could have gone on
  std::uint64_t digest = 0;        // of everything that happened; equal for equal executions
  std::int64_t time_ns = 0;        // simulated
  Schedule schedule;               // names are filled in only when there is a finding or a trace
};

// Made, run and ended on one thread: its stacks are those that the thread's last ones left.
class Execution final : public engine::Executor,
                        private engine::PointHook,
                        private engine::CheckSink,
                        private engine::TraceSink {
 public:
  explicit Execution(ExecutionOptions options = {});
  ~Execution() override;
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  // Prepares for another run. Devices and other objects of the execution must be gone: object ids
  // begin anew. Called by the constructor.
  void reset(ExecutionOptions options);

  // Runs `body` on a fiber and returns when every fiber has ended and every I/O with it, or at the
  // first finding; then the stacks of the other fibers are abandoned, with whatever they own. Valid
  // until the next reset().
  template <typename Body>
  const Outcome& run(Body&& body) {
    begin_run();
    spawn("main", std::forward<Body>(body));
    return finish_run();
  }
  [[nodiscard]] const Outcome& outcome() const noexcept { return outcome_; }

  // Any context: ends the execution as failed. Returns only on the thread's own stack; the first
  // finding stands.
  void report(Finding finding);

  // A free decision of the environment: a value below `count`. 0 must be the mildest; with `one_in`
  // above 1 the others are that rare. Recorded, replayed, shrunk. Any context.
  std::uint32_t choose(const char* what, std::uint32_t count, std::uint32_t one_in = 1);

  // Lets `step` happen at any time from now on, once. Its owner keeps it alive until it has
  // happened or was withdrawn.
  void offer(EnvStep& step);
  // At any time from `delay` after now on.
  void offer(EnvStep& step, engine::Nanos delay);
  void hurry(EnvStep& step);   // what still waits for its time need not any longer
  // When nothing else can happen and somebody waits: once, before that is a deadlock, or before
  // time moves on. There is one such step at a time. Before time moves there is one at each moment.
  enum class Before : bool { deadlock, time };
  void offer_at_standstill(EnvStep& step, Before what);
  void withdraw(EnvStep& step) noexcept;   // no effect when it is not offered
  // The calling fiber gives back that memory: a finding if another stands at an object in it. To
  // strategies it is as if every object there were changed.
  void gone(const void* memory, std::size_t bytes);
  // For steps: starts a fiber that runs at once, under the name of `actor`.
  template <typename Body>
  SimFiber* start_for_step(ActorId actor, const char* name, Body&& body) {
    step_actor_ = actor;
    step_fiber_ = nullptr;
    spawn(name, std::forward<Body>(body));
    return std::exchange(step_fiber_, nullptr);
  }
  // Whoever runs begins something new: to strategies it is as good as another fiber.
  void renew();
  [[nodiscard]] std::uint32_t next_device() noexcept { return devices_++; }
  [[nodiscard]] ActorId next_step_id() noexcept {
    return ActorId{ActorKind::step, 0, steps_offered_++};
  }

  // Listeners get every event from then on, in order of addition. One that ends before the
  // execution is removed first; reset() forgets all.
  void add_sink(engine::TraceSink& sink);
  void remove_sink(engine::TraceSink& sink) noexcept;
  // One at a time, until it is told otherwise or the execution is reset.
  void set_order_listener(OrderListener& listener) noexcept { order_listener_ = &listener; }
  void end_order_listener(OrderListener& listener) noexcept {
    if (order_listener_ == &listener) order_listener_ = nullptr;
  }
  // Of what whoever runs hands over: for who gets it back (order_listener.h).
  [[nodiscard]] std::uint32_t sent() noexcept {
    return order_listener_ != nullptr ? order_listener_->sent() : 0;
  }
  void received(std::uint32_t ticket) noexcept {
    if (order_listener_ != nullptr) order_listener_->received(ticket);
  }

  [[nodiscard]] const EventLog& log() const noexcept { return log_; }
  [[nodiscard]] const ExecutionOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::uint64_t points() const noexcept { return points_; }
  // In this run: times that timers_race let no timer come before its time, as too many had.
  [[nodiscard]] std::uint64_t timers_kept_waiting() const noexcept { return timers_kept_waiting_; }
  // Who runs. Id 0 on the thread's own stack.
  [[nodiscard]] const SimFiber& current() const noexcept { return *current_; }
  // Who runs does nothing after it has signalled that.
  void ends_with(const engine::SyncObject& completion) noexcept {
    current_->ends_with = &completion;
  }
  [[nodiscard]] bool digests_data() const noexcept { return options_.digest_events; }
  void digest_value(std::uint64_t value) noexcept;
  // Of each fiber that there has been; 0: there was none.
  [[nodiscard]] std::size_t stack_bytes() const noexcept {
    return slots_.empty() ? 0 : slots_.front()->stack().size;
  }
  // All fibers of this run that have not ended, by age.
  [[nodiscard]] std::vector<const SimFiber*> live_fibers() const;

  // --- engine::Executor ---
  void park(const engine::Point& why) override;
  void unpark(engine::Fiber& fiber, std::source_location where) noexcept override;
  void yield(std::source_location where = std::source_location::current()) override;
  [[nodiscard]] engine::Nanos now() const noexcept override { return now_; }
  void arm(engine::Timer& timer, engine::Nanos deadline) noexcept override;
  bool disarm(engine::Timer& timer) noexcept override;

 private:
  struct EarlierTimer {
    bool operator()(const engine::Timer& a, const engine::Timer& b) const noexcept {
      return a.deadline != b.deadline ? a.deadline < b.deadline : a.sequence < b.sequence;
    }
  };
  using Timers = boost::intrusive::set<
      engine::Timer,
      boost::intrusive::member_hook<engine::Timer, boost::intrusive::set_member_hook<>,
                                    &engine::Timer::queue_hook>,
      boost::intrusive::compare<EarlierTimer>>;

  struct Waiting {
    engine::Nanos due;
    EnvStep* step;
  };

  // The earliest timer fires.
  class TimerStep final : public EnvStep {
   public:
    explicit TimerStep(Execution& execution) noexcept
        : EnvStep{ChoiceKind::fire, ActorId{ActorKind::timer, 0, 0}, "timer", Duty::must_happen},
          execution_{execution} {}
    SimFiber* happen() override { return execution_.fire_timer(); }
    [[nodiscard]] Touch touches() const noexcept override { return {.what = Touch::What::timers}; }

   private:
    Execution& execution_;
  };

  // --- engine::Executor ---
  engine::Fiber& new_fiber() override;
  void start(engine::Fiber& fiber, std::source_location where) override;
  void finished(engine::Fiber& fiber) override;
  // Makes it runnable; true when its starting is a scheduling point.
  bool enlist(engine::Fiber& fiber, std::source_location where);
  // --- engine::PointHook ---
  void point(const engine::Point& point) override;
  void spin_wait(const engine::Point& point) override;
  void spin_released(const engine::SyncObject& object) noexcept override;
  void touched(const engine::SyncObject& object, engine::Access access) noexcept override;
  void unchanged(const engine::SyncObject& object) noexcept override;
  void has_share(const engine::SyncObject& object, std::source_location where) noexcept override;
  void lets_share_go(const engine::SyncObject& object) noexcept override;
  // --- engine::CheckSink, engine::TraceSink ---
  [[noreturn]] void check_failed(const engine::CheckFailure& failure) noexcept override;
  void event(const engine::Event& event) noexcept override;

  void stand_at(const engine::Point& point);   // until it is its turn
  // And tells the listener and the log. By itself, so that where neither asks there is no frame to
  // make.
  [[gnu::noinline]] void stand_and_tell(const engine::Point& point);
  void note_object(const engine::SyncObject& object);
  void log_event(const engine::Event& event);
  // Who comes to an atomic and goes on does it at once: where it goes on it is logged.
  void log_operation(const engine::Point& point);
  void log_unchanged(const engine::SyncObject& object) noexcept;
  void begin_run();
  const Outcome& finish_run();
  void enter_thread() noexcept;
  void leave_thread() noexcept;
  // Whoever goes on after `self`: a fiber, or root_ when the run is over.
  SimFiber& decide(SimFiber& self, const engine::Point& point);
  [[nodiscard]] std::uint32_t fallback(const SimFiber& self) noexcept;
  [[nodiscard]] std::uint32_t oldest_step() const noexcept;
  // Whose turn it is where `rule` is what the rule of schedule.h says (ExecutionOptions::fair_end).
  [[nodiscard]] std::uint32_t fair_turn(const SimFiber& self, std::uint32_t rule) noexcept;
  void note_decision(SimFiber& self, const engine::Point& point, std::uint32_t pick,
                     std::uint32_t rule);
  // Nothing can happen at the present time: true when time moved, or something can after all; false
  // when the run is over.
  bool advance_time();
  [[nodiscard]] bool stands_still(bool for_good) noexcept;
  void set_time(engine::Nanos time);   // never back
  void forget_waiting() noexcept;
  void refresh_timer_step() noexcept;
  SimFiber* fire_timer();
  // Suspends `self` in that state.
  void set_aside(SimFiber& self, SimFiber::State state, const engine::Point& why);
  void hand_over(SimFiber& next) noexcept {
    ++switches_;
    turn_began_ = points_;
    current_ = &next;
  }
  void make_runnable(SimFiber& fiber) noexcept {
    fiber.state = SimFiber::State::runnable;
    fiber.index = static_cast<std::uint32_t>(runnable_.size());
    runnable_.push_back(&fiber);
  }
  void look_again(SimFiber& fiber) noexcept;
  void take_notice(SimFiber& fiber) noexcept {   // it goes on
    unnoticed_ -= fiber.unnoticed ? 1 : 0;
    fiber.unnoticed = false;
  }
  void stop_running(SimFiber& fiber) noexcept {
    SimFiber* const last = runnable_.back();
    runnable_[fiber.index] = last;
    last->index = fiber.index;
    runnable_.pop_back();
  }
  void refresh_sink() noexcept;
  void tell(engine::OpKind op, const engine::Fiber& fiber, std::source_location where) noexcept;
  void fill_names();
  void abandon();
  SimFiber* after_end(SimFiber& self);   // who goes on
  [[gnu::cold]] void too_many_points(const engine::Point& point);
  // There are as many points as there may be before it is asked whether turns would end it.
  [[nodiscard]] bool begins_fair_end() noexcept;
  // Somebody is about to use what does not live (any more).
  [[gnu::cold]] void object_is_gone(const engine::Point& point);
  // Who runs ends, and what it has locked nobody can unlock any more.
  [[gnu::cold]] void ends_with_locks();
  [[nodiscard]] std::string last_of(std::uint32_t object) const;
  void touch_all_in(const void* memory, std::size_t bytes);
  // Who else stands at an object there, or waits for one; null: nobody.
  [[nodiscard]] const SimFiber* standing_in(const void* memory, std::size_t bytes) const noexcept;
  void keep(Finding finding);   // the first one stands
  // Keeps the finding; abandons the calling fiber, unless on the thread's own stack.
  void fail(Finding finding);
  void mix(std::uint64_t value) noexcept {
    constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;   // XXH64's round
    constexpr std::uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
    digest_ += value * kPrime2;
    digest_ = (digest_ << 31U | digest_ >> 33U) * kPrime1;
  }

  // Hot first.
  SimFiber* current_;
  std::uint64_t points_ = 0;
  std::uint64_t digest_ = 0;
  std::vector<SimFiber*> runnable_;
  std::vector<EnvStep*> steps_;
  Strategy* strategy_ = nullptr;
  std::uint64_t points_max_ = 0;
  OrderListener* order_listener_ = nullptr;
  std::uint64_t turn_began_ = 0;   // value of points_ at the last switch
  std::uint64_t switches_ = 0;
  std::uint64_t preemptions_ = 0;
  std::vector<SimFiber*> free_;
  FiberKinds kinds_;
  std::uint32_t used_ = 0;          // of slots_ in this run; free_ holds some of them
  std::uint32_t live_ = 0;          // fibers that have not ended
  std::uint32_t must_happen_ = 0;   // of steps_
  std::uint32_t spinning_ = 0;
  std::uint32_t unnoticed_ = 0;   // of runnable_
  std::uint32_t spawned_ = 1;
  std::uint32_t births_ = 1;
  // A timer that arms itself again is a new one each time, so a fiber or an I/O that is never
  // preferred to one would be kept waiting for ever.
  static constexpr std::uint32_t kTimersAheadMax = 64;
  std::uint32_t timers_ahead_ = 0;   // fired ahead of time since nothing else could happen
  std::uint64_t timers_kept_waiting_ = 0;
  std::uint32_t fired_ = 0;
  std::uint32_t devices_ = 0;
  std::uint32_t steps_offered_ = 0;
  std::uint64_t offers_ = 0;
  std::uint64_t timer_sequence_ = 0;
  std::uint64_t gave_way_at_ = 0;   // the last yield: points_ then, and one
  bool fair_ = false;               // in a fair end
  std::uint64_t turns_ = 0;         // in it
  std::uint64_t steps_turn_ = 0;    // the last one of the environment
  engine::Nanos now_{0};
  ActorId step_actor_;   // not the default: spawn() serves start_for_step()
  SimFiber* step_fiber_ = nullptr;
  Timers timers_;
  std::vector<Waiting> waiting_;   // steps that are offered later, the earliest last
  EnvStep* at_standstill_ = nullptr;
  Before standstill_before_ = Before::deadlock;
  engine::Nanos stood_still_{-1};   // when it last happened before time moved
  TimerStep timer_step_{*this};
  std::vector<std::uint32_t> nobodys_;   // what shares of it there are says nothing
  bool running_ = false;
  bool used_up_ = false;       // ran since the last reset
  bool every_point_ = false;   // the strategy is asked also where there is no choice

  SimFiber root_;
  std::shared_ptr<engine::StackPool> stacks_;   // its thread's
  std::vector<std::unique_ptr<SimFiber>> slots_;
  std::unique_ptr<Strategy> own_strategy_;
  ExecutionOptions options_;
  Outcome outcome_;
  EventLog log_;
  std::vector<engine::TraceSink*> sinks_;
  engine::ThreadState saved_thread_;
  engine::CheckSink* saved_check_sink_ = nullptr;
  std::uint64_t logged_point_ = 0;
  LoggedEvent* last_logged_ = nullptr;                // until there is another
  std::vector<const engine::SyncObject*> stood_at_;   // by id, where the strategy wants every point
};

}   // namespace sim
