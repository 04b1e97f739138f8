// The executor of real disks: N reactor threads (reactor.h). A fiber stays on the reactor it was
// spawned on; unparking it from another thread is a message.
//
// Nothing may be left running when the executor is destroyed: fibers ended, timers disarmed,
// operations done. That is checked, because nothing here could end them in good order.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "engine/fiber/executor.h"
#include "engine/fiber/waiters.h"
#include "real-io/reactor.h"

namespace real_io {

class UringExecutor final : public engine::Executor {
 public:
  struct Options {
    std::uint32_t reactors = 1;
    Reactor::Options reactor;
  };
  // Starts the threads. The kernel must offer io_uring: ask Ring::available() first.
  explicit UringExecutor(const Options& options);
  ~UringExecutor() override;

  [[nodiscard]] std::uint32_t reactor_count() const noexcept {
    return static_cast<std::uint32_t>(reactors_.size());
  }
  // Fibers that have been started and not ended.
  [[nodiscard]] std::uint64_t fibers_alive() const noexcept { return fibers_alive_.load(); }
  [[nodiscard]] Reactor& reactor(std::uint32_t index) noexcept { return *reactors_[index]; }

  // Starts a fiber on a reactor of choice. Any thread.
  template <typename Body>
  void spawn_on(std::uint32_t index, const char* name, Body&& body,
                std::source_location where = std::source_location::current()) {
    struct Start : Message {
      Start(UringExecutor& owner, const char* fiber_name, std::source_location at, Body&& run_it)
          : Message{&Start::arrived},
            executor{owner},
            name{fiber_name},
            where{at},
            body{std::forward<Body>(run_it)} {}
      static void arrived(Message& self, Reactor&) {
        const std::unique_ptr<Start> start{static_cast<Start*>(&self)};
        start->executor.spawn(start->name, std::move(start->body), start->where);
      }
      UringExecutor& executor;
      const char* name;
      std::source_location where;
      std::decay_t<Body> body;
    };
    reactor(index).post(*new Start{*this, name, where, std::forward<Body>(body)});
  }

  // Runs `body` on a fiber of reactor `index` and waits for it. From a thread that is no reactor.
  template <typename Body>
  void run(Body&& body, std::uint32_t index = 0) {
    auto done = std::make_shared<std::promise<void>>();
    std::future<void> ended = done->get_future();
    spawn_on(index, "main", [&body, done]() mutable {
      body();
      const auto keep = std::move(done);
      keep->set_value();
    });
    ended.wait();
  }

  // Runs `job(reactor)` on each reactor, in completion context, and waits. Not from a reactor.
  template <typename Job>
  void on_each_reactor(Job&& job) {
    for (const auto& reactor : reactors_) {
      struct Call : Message {
        using Message::Message;
        std::decay_t<Job>* job = nullptr;
        std::promise<void> done;
      };
      auto call = std::make_shared<Call>([](Message& self, Reactor& there) {
        auto& arrived = static_cast<Call&>(self);
        (*arrived.job)(there);
        arrived.done.set_value();
      });
      call->job = &job;
      std::future<void> done = call->done.get_future();
      reactor->post(*call);
      done.wait();
    }
  }

  // engine::Executor.
  void park(const engine::Point& why) override;
  void unpark(engine::Fiber& fiber, std::source_location where) noexcept override;
  void yield(std::source_location where = std::source_location::current()) override;
  [[nodiscard]] engine::Nanos now() const noexcept override;
  void arm(engine::Timer& timer, engine::Nanos deadline) noexcept override;
  bool disarm(engine::Timer& timer) noexcept override;

 protected:
  engine::Fiber& new_fiber() override;
  void start(engine::Fiber& fiber, std::source_location where) override;
  void finished(engine::Fiber& fiber) override;

 private:
  friend class Reactor;
  // Takes a timer that is due off `reactor`'s queue and marks it as firing in the same step.
  engine::Timer* begin_due_timer(Reactor& reactor, engine::Nanos now) noexcept;
  static void update_next_deadline(Reactor& reactor) noexcept;

  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Reactor>> reactors_;
  std::atomic<std::uint64_t> fibers_alive_{0};
  engine::RawLock timer_lock_;
  std::uint64_t timer_sequence_ = 0;   // guarded by timer_lock_
};

}   // namespace real_io
