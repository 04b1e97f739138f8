// Fibers that are started and waited for, as threads are.
#pragma once

#include <deque>
#include <source_location>
#include <utility>

#include "engine/base/check.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/executor.h"

namespace sim {

// Runs a body beside whoever made it. Must be joined before it is destroyed.
class Thread {
 public:
  // `name` is a string literal. Starting is a scheduling point.
  template <typename Body>
  Thread(const char* name, Body&& body,
         std::source_location where = std::source_location::current())
      : name_{name} {
    engine::trace_event(engine::OpKind::thread_start, &ended_.object(), where, 0, 0, 0, name_);
    engine::current_executor().spawn(
        name,
        [this, run = std::forward<Body>(body)]() mutable {
          tell_end();
          run();
          ended_.signal();
        },
        where);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { ENGINE_CHECK(joined_, "a thread is destroyed that nobody has joined"); }

  // Suspends until the body has returned.
  void join(std::source_location where = std::source_location::current()) {
    ended_.wait(where);
    engine::trace_event(engine::OpKind::thread_join, &ended_.object(), where, 0, 0, 0, name_);
    joined_ = true;
  }

 private:
  void tell_end() noexcept;   // who waits for ended_ waits for who runs

  const char* name_;
  engine::Completion ended_{"thread ended"};
  bool joined_ = false;
};

// Several of them.
class Threads {
 public:
  template <typename Body>
  void start(const char* name, Body&& body,
             std::source_location where = std::source_location::current()) {
    all_.emplace_back(name, std::forward<Body>(body), where);
  }
  // Suspends until all have returned.
  void join(std::source_location where = std::source_location::current()) {
    for (Thread& thread : all_)
      thread.join(where);
    all_.clear();
  }

 private:
  std::deque<Thread> all_;
};

}   // namespace sim
