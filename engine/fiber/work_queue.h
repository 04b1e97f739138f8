// Work queued from any context and run in order by one fiber of the queue's own.
#pragma once

#include <source_location>

#include <boost/intrusive/list.hpp>

#include "engine/fiber/timer.h"

namespace engine {

class WorkQueue;

// A job that can be queued again and again; queueing it while it is pending does nothing.
class Work {
 public:
  using Run = void (*)(void* argument);
  Work(const char* name, Run run, void* argument) noexcept
      : name_{name}, run_{run}, argument_{argument} {}
  ~Work();
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

 private:
  friend class WorkQueue;
  const char* name_;
  Run run_;
  void* argument_;
  bool pending_ = false;   // guarded by the queue's lock
  boost::intrusive::list_member_hook<> hook_;
};

class WorkQueue {
 public:
  // Starts the worker fiber. Where the executor has several threads, it lives on the calling one.
  WorkQueue(Executor& executor, const char* name);
  // Worker context; everything must have been stopped with stop().
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // Any context. False: it was pending already. Queueing on a stopped queue is a lifetime failure.
  bool queue(Work& work, std::source_location where = std::source_location::current());
  // Any context. True: it was pending and will not run for that. It may be running.
  bool cancel(Work& work, std::source_location where = std::source_location::current());
  // Suspends; not from the worker itself. On return the work neither runs nor is pending.
  bool cancel_and_wait(Work& work, std::source_location where = std::source_location::current());
  // Suspends until all that was queued before the call has run.
  void flush(std::source_location where = std::source_location::current());
  // Suspends: runs what is queued, ends the worker. Idempotent.
  void stop(std::source_location where = std::source_location::current());

  [[nodiscard]] bool on_worker() const noexcept {
    return t_thread.fiber == worker_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Executor& executor() noexcept { return executor_; }

 private:
  void run_worker();
  // Suspends until `done()`, looked at under raw_ each time a job ends.
  template <typename Done>
  void wait_until(Done&& done, std::source_location where);
  void wake_waiters(std::source_location where);

  Executor& executor_;
  SyncObject object_;
  RawLock raw_;
  boost::intrusive::list<
      Work, boost::intrusive::member_hook<Work, boost::intrusive::list_member_hook<>, &Work::hook_>>
      list_;                              // guarded by raw_
  WaitQueue waiters_;                     // guarded by raw_
  Work* running_ = nullptr;               // guarded by raw_
  bool sleeping_ = false;                 // guarded by raw_
  bool stopping_ = false;                 // guarded by raw_
  std::atomic<Fiber*> worker_{nullptr};   // set once, by the worker itself
  Completion started_{"work_queue.started"};
  Completion ended_{"work_queue.ended"};
};

// Work that is queued when a timer fires.
class DelayedWork {
 public:
  DelayedWork(const char* name, Work::Run run, void* argument) noexcept
      : work_{name, run, argument}, timer_{name, &DelayedWork::fired, this} {}

  // Any context. Arming again moves the deadline.
  void queue_after(WorkQueue& queue, Nanos delay,
                   std::source_location where = std::source_location::current());
  // Does not wait: the timer's callback or the work may be under way.
  void cancel(std::source_location where = std::source_location::current());
  // Suspends. Also defeats work that re-arms itself, as long as only the work does.
  void cancel_and_wait(std::source_location where = std::source_location::current());

 private:
  static void fired(void* self);
  Work work_;
  Timer timer_;
  std::atomic<WorkQueue*> queue_{nullptr};   // a cancel may come while the work arms it again
};

}   // namespace engine
