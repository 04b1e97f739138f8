// RCU, timers and work queues: what waits for what, under many seeds.
#include <array>
#include <atomic>
#include <memory>

#include "engine/fiber/atomic.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/timer.h"
#include "engine/fiber/work_queue.h"
#include "tests/unit/fiber/under_seeds.h"

namespace fiber_test {
namespace {

using engine::Completion;
using engine::Nanos;
using engine::Work;
using engine::WorkQueue;
using sim::Execution;
using sim::FindingKind;

void point() {
  engine::schedule_point(engine::OpKind::note, engine::Access::none, nullptr,
                         std::source_location::current());
}

// --- RCU ---

TEST(Rcu, SynchronizeWaitsForSectionsThatBeganBefore) {
  expect_clean([](Execution& execution) {
    engine::Rcu rcu{"rcu"};
    struct Value {
      bool freed = false;
    };
    std::array<Value, 4> values;
    engine::Atomic<Value*> current{"current", &values[0]};
    Completion ended{"ended", 4};
    for (int r = 0; r < 2; ++r) {
      execution.spawn("reader", [&] {
        for (int round = 0; round < 3; ++round) {
          const engine::RcuSection section{rcu};
          Value* const seen = current.load();
          point();
          {
            const engine::RcuSection nested{rcu};
            point();
          }
          ENGINE_CHECK(!seen->freed, "freed under a reader");
        }
        ended.signal();
      });
    }
    for (std::size_t w = 0; w < 2; ++w) {
      execution.spawn("writer", [&, w] {
        Value* const old = current.exchange(&values[w + 1]);
        rcu.synchronize();
        old->freed = true;
        ended.signal();
      });
    }
    ended.wait();
  });
}

TEST(Rcu, DestroyingItUnderAReaderFails) {
  const auto finding = must_fail([](Execution&) {
    auto rcu = std::make_unique<engine::Rcu>("rcu");
    static_cast<void>(rcu->enter());
    rcu.reset();
  });
  EXPECT_EQ(finding.kind, FindingKind::lifetime);
}

// --- timers ---

TEST(Timer, CancelAndWaitLeavesNoCallbackBehind) {
  bool ran = false;
  bool cancelled = false;
  expect_clean([&](Execution& execution) {
    struct State {
      bool alive = true;
      int runs = 0;
    } state;
    engine::Timer timer{"t",
                        [](void* argument) {
                          auto& s = *static_cast<State*>(argument);
                          ENGINE_CHECK(s.alive, "the callback outlives cancel_and_wait");
                          point();
                          ENGINE_CHECK(s.alive, "the callback outlives cancel_and_wait");
                          ++s.runs;
                        },
                        &state};
    timer.arm_after(execution, Nanos{10});
    engine::sleep_for(Nanos{9});   // and if timers race, they race now
    const bool stopped = timer.cancel_and_wait();
    state.alive = false;
    ENGINE_CHECK(state.runs == (stopped ? 0 : 1));
    (stopped ? cancelled : ran) = true;
    engine::sleep_for(Nanos{100});
  });
  if (kSeeds < 100) return;
  EXPECT_TRUE(ran);
  EXPECT_TRUE(cancelled);
}

TEST(Timer, FireInTheOrderOfTheirDeadlines) {
  Execution execution;
  std::vector<int> order;
  struct Entry {
    std::vector<int>* order;
    int tag;
  };
  const sim::Outcome& outcome = execution.run([&] {
    std::array<Entry, 3> entries{Entry{&order, 0}, Entry{&order, 1}, Entry{&order, 2}};
    const auto callback = [](void* argument) {
      const auto& entry = *static_cast<Entry*>(argument);
      entry.order->push_back(entry.tag);
    };
    engine::Timer late{"late", callback, &entries[0]};
    engine::Timer early{"early", callback, &entries[1]};
    engine::Timer middle{"middle", callback, &entries[2]};
    late.arm_after(execution, Nanos{300});
    early.arm_after(execution, Nanos{100});
    middle.arm_after(execution, Nanos{200});
    engine::sleep_for(Nanos{400});
    late.cancel_and_wait();
    early.cancel_and_wait();
    middle.cancel_and_wait();
  });
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 0}));
}

TEST(Timer, DestroyingAnArmedOneFails) {
  const auto finding = must_fail([](Execution& execution) {
    engine::Timer timer{"t", [](void*) {}, nullptr};
    timer.arm_after(execution, Nanos{10});
  });
  EXPECT_EQ(finding.kind, FindingKind::lifetime);
}

// --- work queues ---

struct Job {
  explicit Job(std::function<void()> job_body = {}) : body{std::move(job_body)} {}
  static void run(void* self) {
    auto& job = *static_cast<Job*>(self);
    ENGINE_CHECK(!job.running, "a job runs twice at a time");
    job.running = true;
    point();
    ++job.runs;
    if (job.body) job.body();
    job.running = false;
  }
  std::function<void()> body;
  int runs = 0;
  bool running = false;
  Work work{"job", &Job::run, this};
};

TEST(WorkQueue, RunsInOrderOfQueueing) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    std::vector<int> order;
    Job first{[&] { order.push_back(1); }};
    Job second{[&] { order.push_back(2); }};
    queue.queue(first.work);
    queue.queue(second.work);
    queue.flush();
    ENGINE_CHECK((order == std::vector<int>{1, 2}));
    queue.stop();
  });
}

TEST(WorkQueue, QueueingWhilePendingDoesNothingWhileRunningRunsAgain) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    Job job;
    std::atomic<int> queued{0};
    Completion ended{"ended", 2};
    for (int i = 0; i < 2; ++i) {
      execution.spawn("queuer", [&] {
        for (int round = 0; round < 3; ++round) {
          if (queue.queue(job.work)) ++queued;
          point();
        }
        ended.signal();
      });
    }
    ended.wait();
    queue.flush();
    ENGINE_CHECK(job.runs == queued, "{} runs of {}", job.runs, queued.load());
    queue.stop();
  });
}

TEST(WorkQueue, FlushWaitsForWhatWasQueuedBefore) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    Job job{[] { engine::sleep_for(Nanos{50}); }};   // work may block
    queue.queue(job.work);
    queue.flush();
    ENGINE_CHECK(job.runs == 1);
    ENGINE_CHECK(!job.running);
    queue.stop();
  });
}

TEST(WorkQueue, CancelAndWaitLeavesItNeitherRunningNorPending) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    bool alive = true;
    Job job;
    job.body = [&] {
      ENGINE_CHECK(alive, "the job outlives cancel_and_wait");
      if (job.runs < 3) queue.queue(job.work);   // queues itself again
      point();
      ENGINE_CHECK(alive, "the job outlives cancel_and_wait");
    };
    queue.queue(job.work);
    point();
    queue.cancel_and_wait(job.work);
    alive = false;
    ENGINE_CHECK(!job.running);
    queue.flush();
    queue.stop();
  });
}

TEST(WorkQueue, StopRunsWhatIsQueued) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    Job first;
    Job second;
    queue.queue(first.work);
    queue.queue(second.work);
    queue.stop();
    queue.stop();
    ENGINE_CHECK(first.runs == 1);
    ENGINE_CHECK(second.runs == 1);
  });
}

TEST(WorkQueue, QueueingOnAStoppedOneFails) {
  const auto finding = must_fail([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    Job job;
    queue.stop();
    queue.queue(job.work);
  });
  EXPECT_EQ(finding.kind, FindingKind::lifetime);
}

TEST(WorkQueue, WaitingForItselfFails) {
  const auto finding = must_fail([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    Job job;
    job.body = [&] { queue.cancel_and_wait(job.work); };
    queue.queue(job.work);
    queue.stop();
  });
  EXPECT_NE(finding.message.find("waits for itself"), std::string::npos);
}

TEST(WorkQueue, AWorkerThatNobodyStoppedIsReported) {
  const auto finding = must_fail([](Execution& execution) {
    // Left behind on purpose: its destructor would fail first.
    static_cast<void>(new WorkQueue{execution, "forgotten"});
  });
  EXPECT_EQ(finding.kind, FindingKind::deadlock);
  EXPECT_EQ(finding.place, "worker not stopped");
  EXPECT_NE(finding.detail.find("forgotten#2 waits for work on queue forgotten"), std::string::npos)
      << finding.detail;
}

TEST(DelayedWork, RunsAfterItsDelayAndCancelAndWaitDefeatsRearming) {
  expect_clean([](Execution& execution) {
    WorkQueue queue{execution, "queue"};
    struct State {
      State(Execution& owner, WorkQueue& its_queue) : execution{owner}, queue{its_queue} {}
      static void run(void* self) {
        auto& state = *static_cast<State*>(self);
        ENGINE_CHECK(state.alive, "the work outlives cancel_and_wait");
        ENGINE_CHECK(state.execution.now() >= Nanos{100});
        ++state.runs;
        state.work.queue_after(state.queue, Nanos{100});
      }
      Execution& execution;
      WorkQueue& queue;
      bool alive = true;
      int runs = 0;
      engine::DelayedWork work{"tick", &State::run, this};
    } state{execution, queue};
    state.work.queue_after(queue, Nanos{100});
    engine::sleep_for(Nanos{250});
    state.work.cancel_and_wait();
    state.alive = false;
    engine::sleep_for(Nanos{500});
    queue.stop();
  });
}

}   // namespace
}   // namespace fiber_test
