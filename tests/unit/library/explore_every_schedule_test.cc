// Exhaustive exploration against brute force: of random programs each class of schedules comes
// once, and whatever schedule of a class is run, everybody sees the same in it and it ends the same
// way. So what does not count as an order is none.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/rw_lock.h"
#include "sim/rng.h"
#include "sim/strategy_dpor.h"
#include "sim/tsan.h"
#include "tests/unit/library/every_schedule.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::Atomic;
using engine::Mutex;

struct ScheduledStep {
  enum class What : std::uint8_t {
    read,
    write,
    add,
    swap,       // if the value is even
    lock,       // and add
    try_lock,   // and add, if it works
    choose,
    wait,           // for a gate to be opened
    notify,         // open it, and wake one or all, after the lock has been given back
    retry,          // look for an odd value, yield, look once more, and give up
    read_locked,    // look at what the lock guards, and do something else if that is odd
    read_both,      // the same, of one lock within the other
    read_twice,     // the same lock within itself: a writer in between is a deadlock
    try_read,       // look at it, if that works; else do something else
    write_locked,   // change it
    write_both,     // both, one lock within the other: the other way round is a deadlock
  } what;
  std::uint32_t object;
};
using ScheduledScript = std::vector<std::vector<ScheduledStep>>;
using Kinds = std::vector<ScheduledStep::What>;
using Where = unit::EverySchedule::Where;

// Whoever waits is waited for by somebody who does nothing but open both gates.
ScheduledScript random_script(Rng& rng, const Kinds& kinds, std::uint32_t steps_max) {
  ScheduledScript script(2 + rng.below(2));
  bool waits = false;
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(steps_max);
    for (std::uint32_t i = 0; i < count; ++i) {
      steps.push_back({kinds[rng.below(static_cast<std::uint32_t>(kinds.size()))], rng.below(2)});
      waits |= steps.back().what == ScheduledStep::What::wait;
    }
  }
  if (waits) script.push_back({{ScheduledStep::What::notify, 0}, {ScheduledStep::What::notify, 1}});
  return script;
}

// More than any of these programs has looks, so that whoever gives up may do so.
constexpr std::uint32_t kRetries = 8;

struct Gate {
  Mutex mutex{"gate"};
  engine::Condition opened{"opened"};
  bool open = false;
};

struct ScheduledState {
  std::array<Atomic<std::uint32_t>, 2> variables{Atomic<std::uint32_t>{"a"},
                                                 Atomic<std::uint32_t>{"b"}};
  std::array<Mutex, 2> mutexes{Mutex{"m"}, Mutex{"n"}};
  std::array<Gate, 2> gates{};
  std::array<engine::RwLock, 2> locks{engine::RwLock{"q"}, engine::RwLock{"r"}};
  std::array<std::uint32_t, 2> guarded{};
};

// The judge's notes, kept outside of the program.
void see(std::string& seen, std::uint32_t value) {
  const Hush hush;
  seen += std::to_string(value) + ' ';
}

// Looks at what a lock guards that is held.
void look_at_guarded(ScheduledState& shared, std::uint32_t object, std::string& seen) {
  see(seen, shared.guarded[object]);
  if (shared.guarded[object] % 2 != 0) shared.variables[object].store(3);
}

void run_step(ScheduledState& shared, const ScheduledStep& step, std::string& seen) {
  Atomic<std::uint32_t>& variable = shared.variables[step.object];
  Mutex& mutex = shared.mutexes[step.object];
  Gate& gate = shared.gates[step.object];
  engine::RwLock& lock = shared.locks[step.object];
  engine::RwLock& other = shared.locks[1 - step.object];
  switch (step.what) {
    case ScheduledStep::What::read: {   // What is done next depends on what was seen.
      const std::uint32_t value = variable.load();
      see(seen, value);
      if (value % 2 != 0) shared.variables[1 - step.object].store(7);
      return;
    }
    case ScheduledStep::What::write:
      variable.store(1);
      return;
    case ScheduledStep::What::add:
      see(seen, variable.fetch_add(1));
      return;
    case ScheduledStep::What::swap: {
      std::uint32_t even = 0;
      see(seen, variable.compare_exchange(even, 5) ? 1 : 0);
      return;
    }
    case ScheduledStep::What::lock: {
      const engine::MutexLock held{mutex};
      see(seen, variable.fetch_add(1));
      return;
    }
    case ScheduledStep::What::try_lock:
      if (!mutex.try_lock()) {
        see(seen, 99);
        return;
      }
      variable.fetch_add(1);
      mutex.unlock();
      return;
    case ScheduledStep::What::choose:
      variable.store(static_cast<Execution&>(engine::current_executor()).choose("value", 2));
      return;
    case ScheduledStep::What::wait: {
      const engine::MutexLock held{gate.mutex};
      gate.opened.wait(gate.mutex, [&] { return gate.open; });
      return;
    }
    case ScheduledStep::What::notify: {
      {
        const engine::MutexLock held{gate.mutex};
        gate.open = true;
      }
      gate.opened.notify_all();
      return;
    }
    case ScheduledStep::What::retry:
      for (int looks = 0; looks < 2; ++looks) {
        if (variable.load() % 2 != 0) return;
        engine::yield_now();
      }
      shared.variables[1 - step.object].fetch_add(1);
      return;
    case ScheduledStep::What::read_locked: {
      const engine::ReadLock held{lock};
      look_at_guarded(shared, step.object, seen);
      return;
    }
    case ScheduledStep::What::read_both:
    case ScheduledStep::What::read_twice: {
      const engine::ReadLock held{lock};
      look_at_guarded(shared, step.object, seen);
      const bool twice = step.what == ScheduledStep::What::read_twice;
      const engine::ReadLock also{twice ? lock : other};
      look_at_guarded(shared, twice ? step.object : 1 - step.object, seen);
      return;
    }
    case ScheduledStep::What::try_read:
      if (!lock.try_lock_shared()) {
        see(seen, 99);
        variable.store(8);
        return;
      }
      look_at_guarded(shared, step.object, seen);
      lock.unlock_shared();
      return;
    case ScheduledStep::What::write_locked: {
      const engine::WriteLock held{lock};
      see(seen, shared.guarded[step.object]++);
      return;
    }
    case ScheduledStep::What::write_both: {
      const engine::WriteLock held{lock};
      see(seen, shared.guarded[step.object]++);
      const engine::WriteLock also{other};
      see(seen, shared.guarded[1 - step.object]++);
      return;
    }
  }
}

// What every fiber has seen, and what is left.
void run_script(const ScheduledScript& script, std::string& all_seen) {
  ScheduledState shared;
  std::vector<std::string> seen(script.size());
  Threads threads;
  for (std::size_t i = 0; i < script.size(); ++i) {
    threads.start("fiber", [&, i] {
      for (const ScheduledStep& step : script[i])
        run_step(shared, step, seen[i]);
    });
  }
  threads.join();
  const Hush hush;
  for (const std::string& each : seen)
    all_seen += each + "; ";
  for (int i = 0; i < 2; ++i)
    all_seen += fmt::format("{} {} ", shared.variables[i].peek(), shared.guarded[i]);
}

// How it ended.
std::string run(Execution& execution, Strategy& strategy, const ScheduledScript& script) {
  std::string seen;
  execution.reset({.strategy = &strategy});
  const Outcome& outcome = execution.run([&] { run_script(script, seen); });
  return outcome.finding ? outcome.finding->signature() : seen;
}

// Against all schedules, if there are fewer than so many. How many there were, or 0.
std::uint64_t expect_each_class_once(const ScheduledScript& script, std::uint64_t schedules_max,
                                     Where where = Where::everywhere) {
  std::map<std::string, std::string> all;   // of each class: how it ended
  unit::EverySchedule every{unit::EverySchedule::kAnyNumber, where};
  unit::Told told_every{every};
  Execution execution;
  std::uint64_t schedules = 0;
  do {
    const std::string ended = run(execution, told_every, script);
    const auto [of_class, is_new] = all.emplace(told_every.execution(), ended);
    EXPECT_EQ(of_class->second, ended) << of_class->first;
  } while (every.next() && ++schedules < schedules_max);
  if (schedules == schedules_max) return 0;
  std::multiset<std::string> explored;
  std::multiset<std::string> classes;
  for (const auto& [of_class, ended] : all)
    classes.insert(of_class);
  Dpor search{kRetries};
  unit::Told told{search};
  do {
    const std::string ended = run(execution, told, script);
    explored.insert(told.execution());
    const auto of_class = all.find(told.execution());
    EXPECT_TRUE(of_class != all.end() && of_class->second == ended) << ended;
  } while (search.next() && explored.size() <= all.size());
  EXPECT_EQ(explored, classes);
  EXPECT_NEAR(search.done(), 1, 1e-9);
  EXPECT_EQ(search.stored_events(), 0U);
  return schedules;
}

void expect_each_class_once(const Kinds& kinds, std::uint32_t steps_max, std::uint32_t rounds,
                            Where where = Where::everywhere) {
  Rng rng{7 + kinds.size()};
  std::uint64_t schedules = 0;
  for (std::uint32_t round = 0; round < rounds; round += std::min(unit::sparse(), rounds / 10)) {
    const testing::ScopedTrace in_round{__FILE__, __LINE__, round};
    schedules += expect_each_class_once(random_script(rng, kinds, steps_max), 3'000, where);
  }
  EXPECT_GT(schedules, unit::sparse() == 1 ? 5'000U : 0U);
}

const Kinds kReadsAndWrites{ScheduledStep::What::read, ScheduledStep::What::write,
                            ScheduledStep::What::add, ScheduledStep::What::swap};
const Kinds kLocks{ScheduledStep::What::read, ScheduledStep::What::write,
                   ScheduledStep::What::add,  ScheduledStep::What::swap,
                   ScheduledStep::What::lock, ScheduledStep::What::try_lock};
const Kinds kChoicesAndWaiting{ScheduledStep::What::read,   ScheduledStep::What::write,
                               ScheduledStep::What::add,    ScheduledStep::What::swap,
                               ScheduledStep::What::lock,   ScheduledStep::What::try_lock,
                               ScheduledStep::What::choose, ScheduledStep::What::wait};
const Kinds kReadersAndWriters{ScheduledStep::What::read_locked, ScheduledStep::What::read_locked,
                               ScheduledStep::What::try_read,    ScheduledStep::What::write_locked,
                               ScheduledStep::What::read_both,   ScheduledStep::What::add};
const Kinds kDeadlocksOfReaders{ScheduledStep::What::read_twice, ScheduledStep::What::read_both,
                                ScheduledStep::What::write_both, ScheduledStep::What::write_locked,
                                ScheduledStep::What::try_read};

TEST(Explore, ReadsAndWritesInEveryOrderThatMattersOnce) {
  expect_each_class_once(kReadsAndWrites, 3, 40);
}
TEST(Explore, LocksInEveryOrderThatMattersOnce) {
  expect_each_class_once(kLocks, 2, 40);
}
TEST(Explore, ChoicesAndWaitingInEveryOrderThatMattersOnce) {
  expect_each_class_once(kChoicesAndWaiting, 2, 40);
}
TEST(Explore, ReadersAndWritersInEveryOrderThatMattersOnce) {
  expect_each_class_once(kReadersAndWriters, 2, 60, Where::noticed);
}
TEST(Explore, DeadlocksOfReadersAndWritersInEveryOrderThatMattersOnce) {
  expect_each_class_once(kDeadlocksOfReaders, 1, 60, Where::noticed);
}
// Few programs: with every yield there are many more schedules.
TEST(Explore, WhoGivesUpInEveryOrderThatMattersOnce) {
  if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  using What = ScheduledStep::What;
  const ScheduledStep retry{What::retry, 0};
  const ScheduledStep write{What::write, 0};
  const std::vector<ScheduledScript> scripts{
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
