// Exhaustive exploration against brute force: of random programs each class of schedules comes
// once.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sim/rng.h"
#include "sim/strategy_dpor.h"
#include "tests/unit/library/every_schedule.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::Atomic;
using engine::Mutex;

struct Step {
  enum class What : std::uint8_t {
    read,
    write,
    add,
    swap,       // if the value is even
    lock,       // and add
    try_lock,   // and add, if it works
    choose,
    wait,     // for a gate to be opened
    notify,   // open it, and wake one or all, after the lock has been given back
    retry,    // look for an odd value, yield, look once more, and give up
  } what;
  std::uint32_t object;
};
using Script = std::vector<std::vector<Step>>;
using Kinds = std::vector<Step::What>;

// Whoever waits is waited for by somebody who does nothing but open both gates.
Script random_script(Rng& rng, const Kinds& kinds, std::uint32_t steps_max) {
  Script script(2 + rng.below(2));
  bool waits = false;
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(steps_max);
    for (std::uint32_t i = 0; i < count; ++i) {
      steps.push_back({kinds[rng.below(static_cast<std::uint32_t>(kinds.size()))], rng.below(2)});
      waits |= steps.back().what == Step::What::wait;
    }
  }
  if (waits) script.push_back({{Step::What::notify, 0}, {Step::What::notify, 1}});
  return script;
}

// More than any of these programs has looks, so that whoever gives up may do so.
constexpr std::uint32_t kRetries = 8;

struct Gate {
  Mutex mutex{"gate"};
  engine::Condition opened{"opened"};
  bool open = false;
};

struct Shared {
  std::array<Atomic<std::uint32_t>, 2> variables{Atomic<std::uint32_t>{"a"},
                                                 Atomic<std::uint32_t>{"b"}};
  std::array<Mutex, 2> mutexes{Mutex{"m"}, Mutex{"n"}};
  std::array<Gate, 2> gates{};
};

void run_step(Shared& shared, const Step& step) {
  Atomic<std::uint32_t>& variable = shared.variables[step.object];
  Mutex& mutex = shared.mutexes[step.object];
  Gate& gate = shared.gates[step.object];
  switch (step.what) {
    case Step::What::read:
      // What is done next depends on what was seen.
      if (variable.load() % 2 != 0) shared.variables[1 - step.object].store(7);
      return;
    case Step::What::write:
      variable.store(1);
      return;
    case Step::What::add:
      variable.fetch_add(1);
      return;
    case Step::What::swap: {
      std::uint32_t even = 0;
      static_cast<void>(variable.compare_exchange(even, 5));
      return;
    }
    case Step::What::lock: {
      const engine::MutexLock lock{mutex};
      variable.fetch_add(1);
      return;
    }
    case Step::What::try_lock:
      if (!mutex.try_lock()) return;
      variable.fetch_add(1);
      mutex.unlock();
      return;
    case Step::What::choose:
      variable.store(static_cast<Execution&>(engine::current_executor()).choose("value", 2));
      return;
    case Step::What::wait: {
      const engine::MutexLock lock{gate.mutex};
      gate.opened.wait(gate.mutex, [&] { return gate.open; });
      return;
    }
    case Step::What::notify: {
      {
        const engine::MutexLock lock{gate.mutex};
        gate.open = true;
      }
      gate.opened.notify_all();
      return;
    }
    case Step::What::retry:
      for (int looks = 0; looks < 2; ++looks) {
        if (variable.load() % 2 != 0) return;
        engine::yield_now();
      }
      shared.variables[1 - step.object].fetch_add(1);
      return;
  }
}

void run_script(const Script& script) {
  Shared shared;
  Threads threads;
  for (const std::vector<Step>& steps : script) {
    threads.start("fiber", [&] {
      for (const Step& step : steps)
        run_step(shared, step);
    });
  }
  threads.join();
}

// Against all schedules, if there are fewer than so many. How many there were, or 0.
std::uint64_t expect_each_class_once(const Script& script, std::uint64_t schedules_max) {
  std::set<std::string> all;
  unit::EverySchedule every;
  unit::Told told_every{every};
  Execution execution;
  std::uint64_t schedules = 0;
  do {
    execution.reset({.strategy = &told_every});
    EXPECT_FALSE(execution.run([&] { run_script(script); }).finding);
    all.insert(told_every.execution());
  } while (every.next() && ++schedules < schedules_max);
  if (schedules == schedules_max) return 0;
  std::multiset<std::string> explored;
  Dpor search{kRetries};
  unit::Told told{search};
  do {
    execution.reset({.strategy = &told});
    EXPECT_FALSE(execution.run([&] { run_script(script); }).finding);
    explored.insert(told.execution());
  } while (search.next() && explored.size() <= all.size());
  EXPECT_EQ(explored, (std::multiset<std::string>{all.begin(), all.end()}));
  EXPECT_NEAR(search.done(), 1, 1e-9);
  EXPECT_EQ(search.stored_events(), 0U);
  return schedules;
}

void expect_each_class_once(const Kinds& kinds, std::uint32_t steps_max, std::uint32_t rounds) {
  Rng rng{7 + kinds.size()};
  std::uint64_t schedules = 0;
  for (std::uint32_t round = 0; round < rounds; round += std::min(unit::sparse(), rounds / 10)) {
    const testing::ScopedTrace where{__FILE__, __LINE__, round};
    schedules += expect_each_class_once(random_script(rng, kinds, steps_max), 3'000);
  }
  EXPECT_GT(schedules, unit::sparse() == 1 ? 5'000U : 0U);
}

const Kinds kReadsAndWrites{Step::What::read, Step::What::write, Step::What::add, Step::What::swap};
const Kinds kLocks{Step::What::read, Step::What::write, Step::What::add,
                   Step::What::swap, Step::What::lock,  Step::What::try_lock};
const Kinds kChoicesAndWaiting{Step::What::read,   Step::What::write, Step::What::add,
                               Step::What::swap,   Step::What::lock,  Step::What::try_lock,
                               Step::What::choose, Step::What::wait};

TEST(Explore, ReadsAndWritesInEveryOrderThatMattersOnce) {
  expect_each_class_once(kReadsAndWrites, 3, 40);
}
TEST(Explore, LocksInEveryOrderThatMattersOnce) {
  expect_each_class_once(kLocks, 2, 40);
}
TEST(Explore, ChoicesAndWaitingInEveryOrderThatMattersOnce) {
  expect_each_class_once(kChoicesAndWaiting, 2, 40);
}
// Few programs: with every yield there are many more schedules.
TEST(Explore, WhoGivesUpInEveryOrderThatMattersOnce) {
  if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  using What = Step::What;
  const Step retry{What::retry, 0};
  const Step write{What::write, 0};
  const std::vector<Script> scripts{
      {{retry}, {write}},
      {{retry}, {{What::read, 1}}},
      {{retry}, {{What::add, 1}, write}},
      {{retry}, {{What::add, 0}, {What::add, 0}}},
      {{retry}, {{What::retry, 1}}},
      {{retry, {What::read, 1}}, {write}},
  };
  for (std::size_t i = 0; i < scripts.size(); ++i)
    EXPECT_NE(expect_each_class_once(scripts[i], 400'000), 0U) << i;
}

}   // namespace
}   // namespace sim
