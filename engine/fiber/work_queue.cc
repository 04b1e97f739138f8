#include "engine/fiber/work_queue.h"

#include "engine/base/check.h"

namespace engine {

Work::~Work() {
  ENGINE_CHECK_ALIVE(!pending_, "work {} destroyed while pending", name_);
}

WorkQueue::WorkQueue(Executor& executor, const char* name)
    : executor_{executor}, object_{ObjectKind::work_queue, name} {
  executor_.spawn(name, [this] { run_worker(); });
}

WorkQueue::~WorkQueue() {
  ENGINE_CHECK_ALIVE(ended_.done(), "work queue {} destroyed before it was stopped", object_.name);
}

bool WorkQueue::queue(Work& work, std::source_location where) {
  schedule_point(OpKind::work_queue, Access::write, &object_, where);
  Fiber* wake = nullptr;
  {
    const RawGuard guard{raw_};
    ENGINE_CHECK_ALIVE(!stopping_, "work {} queued on {}, which has stopped", work.name_,
                       object_.name);
    if (work.pending_) return false;
    work.pending_ = true;
    list_.push_back(work);
    if (sleeping_) {
      sleeping_ = false;
      wake = worker_.load(std::memory_order_relaxed);
    }
  }
  trace_event(OpKind::work_queue, &object_, where, 0, 0, 0, work.name_);
  if (wake != nullptr) unpark(*wake, where);
  return true;
}

bool WorkQueue::cancel(Work& work, std::source_location where) {
  schedule_point(OpKind::work_queue, Access::write, &object_, where);
  {
    const RawGuard guard{raw_};
    if (!work.pending_) return false;
    work.pending_ = false;
    list_.erase(list_.iterator_to(work));
  }
  wake_waiters(where);
  return true;
}

template <typename Done>
void WorkQueue::wait_until(Done&& done, std::source_location where) {
  for (;;) {
    Waiter waiter;
    {
      const RawGuard guard{raw_};
      if (done()) return;
      waiters_.push(waiter);
    }
    park_until_woken(waiter, Point{OpKind::work_done, Access::read, &object_, where});
  }
}

void WorkQueue::wake_waiters(std::source_location where) {
  WaitQueue woken;
  {
    const RawGuard guard{raw_};
    while (Waiter* const waiter = waiters_.front()) {
      waiters_.remove(*waiter);
      woken.push(*waiter);
    }
  }
  while (Fiber* const fiber = woken.pop())
    unpark(*fiber, where);
}

bool WorkQueue::cancel_and_wait(Work& work, std::source_location where) {
  assert_may_block("WorkQueue::cancel_and_wait", where);
  ENGINE_CHECK(!on_worker(), "work {} waits for itself", work.name_);
  bool cancelled = false;
  // Work that queues itself again while it runs is taken off again when it has ended.
  for (;;) {
    cancelled |= cancel(work, where);
    wait_until([&] { return running_ != &work; }, where);
    const RawGuard guard{raw_};
    if (!work.pending_ && running_ != &work) return cancelled;
  }
}

void WorkQueue::flush(std::source_location where) {
  assert_may_block("WorkQueue::flush", where);
  ENGINE_CHECK(!on_worker(), "work queue {} flushed from its own worker", object_.name);
  Completion reached{"work_queue.flush"};
  Work barrier{"flush", [](void* gate) { static_cast<Completion*>(gate)->signal(); }, &reached};
  queue(barrier, where);
  reached.wait(where);
}

void WorkQueue::stop(std::source_location where) {
  assert_may_block("WorkQueue::stop", where);
  started_.wait(where);
  schedule_point(OpKind::work_queue, Access::write, &object_, where);
  Fiber* wake = nullptr;
  {
    const RawGuard guard{raw_};
    stopping_ = true;
    if (sleeping_) {
      sleeping_ = false;
      wake = worker_.load(std::memory_order_relaxed);
    }
  }
  if (wake != nullptr) unpark(*wake, where);
  ended_.wait(where);
}

void WorkQueue::run_worker() {
  const std::source_location where = std::source_location::current();
  worker_.store(t_thread.fiber, std::memory_order_relaxed);
  started_.signal();
  for (;;) {
    Work* work = nullptr;
    {
      const RawGuard guard{raw_};
      if (!list_.empty()) {
        work = &list_.front();
        list_.pop_front();
        work->pending_ = false;
        running_ = work;
      } else if (stopping_) {
        break;
      } else {
        sleeping_ = true;
      }
    }
    if (work == nullptr) {
      executor_.park(Point{OpKind::work_run, Access::read, &object_, where});
      continue;
    }
    schedule_point(OpKind::work_run, Access::write, &object_, where);
    trace_event(OpKind::work_run, &object_, where, 0, 0, 0, work->name_);
    work->run_(work->argument_);   // may destroy *work
    {
      const RawGuard guard{raw_};
      running_ = nullptr;
    }
    trace_event(OpKind::work_done, &object_, where);
    wake_waiters(where);
  }
  ended_.signal();
}

void DelayedWork::queue_after(WorkQueue& queue, Nanos delay, std::source_location where) {
  queue_.store(&queue, std::memory_order_release);
  timer_.arm_after(queue.executor(), delay, where);
}

void DelayedWork::cancel(std::source_location where) {
  timer_.cancel(where);
  WorkQueue* const queue = queue_.load(std::memory_order_acquire);
  if (queue != nullptr) queue->cancel(work_, where);
}

void DelayedWork::cancel_and_wait(std::source_location where) {
  WorkQueue* const queue = queue_.load(std::memory_order_acquire);
  if (queue == nullptr) return;
  // The work may arm the timer once more while we wait for it; after the second pass it cannot.
  for (int pass = 0; pass < 2; ++pass) {
    timer_.cancel_and_wait(where);
    queue->cancel_and_wait(work_, where);
  }
  timer_.cancel_and_wait(where);
}

void DelayedWork::fired(void* self) {
  auto& delayed = *static_cast<DelayedWork*>(self);
  delayed.queue_.load(std::memory_order_acquire)->queue(delayed.work_);
}

}   // namespace engine
