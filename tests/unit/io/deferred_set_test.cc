#include "engine/io/deferred_set.h"

#include <atomic>
#include <optional>
#include <set>
#include <thread>

#include "sim/tsan.h"
#include "tests/unit/io/tank.h"

namespace engine::io {
namespace {

struct Job : DeferredWork {
  std::set<int> waits_for;
  bool ran = false;
};

TEST(DeferredSet, HasNothingToWaitForWhenEmpty) {
  DeferredSet set{"set"};
  Job job;
  job.run = [](DeferredWork&) { FAIL(); };
  EXPECT_FALSE(set.defer(job));
  DeferredSet::Entry entry = set.enter();
  set.leave(entry);
  EXPECT_FALSE(set.defer(job));
  EXPECT_EQ(set.in_use(), 0U);
}

TEST(DeferredSet, WaitsForEarlierEntriesAndNotForLaterOnes) {
  DeferredSet set{"set"};
  DeferredSet::Entry before = set.enter();
  Job job;
  job.run = [](DeferredWork& work) { static_cast<Job&>(work).ran = true; };
  ASSERT_TRUE(set.defer(job));
  DeferredSet::Entry after = set.enter();
  EXPECT_FALSE(job.ran);
  set.leave(before);
  EXPECT_TRUE(job.ran);
  EXPECT_EQ(set.in_use(), 1U);
  set.leave(after);
  EXPECT_EQ(set.in_use(), 0U);
}

TEST(DeferredSet, RunsWorkInTheOrderItWasDeferred) {
  DeferredSet set{"set"};
  std::vector<DeferredSet::Entry> entries;
  std::vector<std::unique_ptr<Job>> jobs;
  static std::vector<const DeferredWork*> order;
  order.clear();
  for (int i = 0; i < 40; ++i) {   // more than there are generations
    entries.push_back(set.enter());
    jobs.push_back(std::make_unique<Job>());
    jobs.back()->run = [](DeferredWork& work) { order.push_back(&work); };
    ASSERT_TRUE(set.defer(*jobs.back()));
  }
  for (std::size_t i = entries.size(); i-- > 1;)
    set.leave(entries[i]);
  EXPECT_TRUE(order.empty());
  set.leave(entries[0]);
  ASSERT_EQ(order.size(), jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i)
    EXPECT_EQ(order[i], jobs[i].get());
  EXPECT_EQ(set.in_use(), 0U);
}

TEST(DeferredSet, KeepsItsPromiseUnderAllSchedules) {
  unit::for_seeds(4000, [](sim::Execution& execution, std::uint64_t seed) {
    DeferredSet set{"set"};
    std::set<int> inside;   // ids of entries that have entered and not begun to leave
    int next_id = 0;
    int jobs_run = 0;
    struct Checked : DeferredWork {
      std::set<int> waits_for;
      const std::set<int>* inside = nullptr;
      int* jobs_run = nullptr;
    };
    std::vector<std::unique_ptr<Checked>> jobs;
    int deferred = 0;
    unit::Together fibers{execution};
    for (int i = 0; i < 4; ++i) {
      fibers.run("entrant", [&] {
        for (int round = 0; round < 6; ++round) {
          DeferredSet::Entry entry = set.enter();
          int id = 0;
          {
            const sim::Hush bookkeeping;
            id = next_id++;
            inside.insert(id);
          }
          yield_now();
          {
            const sim::Hush bookkeeping;
            inside.erase(id);
          }
          set.leave(entry);
        }
      });
    }
    const std::uint64_t deferrers = 1 + seed % 3;
    for (std::uint64_t i = 0; i < deferrers; ++i) {
      fibers.run("deferrer", [&] {
        for (int round = 0; round < 8; ++round) {
          std::optional<sim::Hush> bookkeeping{std::in_place};
          jobs.push_back(std::make_unique<Checked>());
          Checked& job = *jobs.back();
          job.waits_for = inside;
          job.inside = &inside;
          job.jobs_run = &jobs_run;
          job.run = [](DeferredWork& work) {
            const sim::Hush ignored;
            auto& self = static_cast<Checked&>(work);
            for (const int id : self.waits_for)
              EXPECT_FALSE(self.inside->contains(id));
            ++*self.jobs_run;
          };
          const std::set<int> before = job.waits_for;
          bookkeeping.reset();
          const bool waits = set.defer(job);
          bookkeeping.emplace();
          if (waits) {
            ++deferred;
          } else {
            for (const int id : before)
              EXPECT_FALSE(inside.contains(id));
          }
        }
      });
    }
    fibers.wait();
    EXPECT_EQ(jobs_run, deferred);
    EXPECT_EQ(set.in_use(), 0U);
  });
}

TEST(DeferredSet, LosesNoWorkOnRealThreads) {
  DeferredSet set{"set"};
  static std::atomic<int> jobs_run;
  jobs_run = 0;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::array<std::atomic<std::uint32_t>, 3> epochs{};   // odd: inside
  for (std::uint32_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      t_thread.thread_index = t + 1;
      while (!stop.load()) {
        DeferredSet::Entry entry = set.enter();
        epochs[t].fetch_add(1);
        epochs[t].fetch_add(1);
        set.leave(entry);
      }
    });
  }
  for (const auto& epoch : epochs) {
    while (epoch.load() == 0)
      std::this_thread::yield();
  }
  struct Checked : DeferredWork {
    std::array<std::uint32_t, 3> seen{};
    std::array<std::atomic<std::uint32_t>, 3>* epochs = nullptr;
  };
  std::vector<std::unique_ptr<Checked>> jobs;
  int deferred = 0;
  for (int i = 0; i < 20'000; ++i) {
    jobs.push_back(std::make_unique<Checked>());
    Checked& job = *jobs.back();
    job.epochs = &epochs;
    for (std::uint32_t t = 0; t < 3; ++t)
      job.seen[t] = epochs[t].load();
    job.run = [](DeferredWork& work) {
      auto& self = static_cast<Checked&>(work);
      for (std::size_t t = 0; t < 3; ++t) {
        const bool inside = self.seen[t] % 2 == 1;
        EXPECT_TRUE(!inside || (*self.epochs)[t].load() > self.seen[t]);
      }
      jobs_run.fetch_add(1);
    };
    if (set.defer(job)) ++deferred;
  }
  stop = true;
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(jobs_run, deferred);
  EXPECT_EQ(set.in_use(), 0U);
}

}   // namespace
}   // namespace engine::io
