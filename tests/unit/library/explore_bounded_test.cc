// Exploration within bounds and with the environment free: exact numbers where they are known,
// otherwise against every single schedule, one after the other.
#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/timer.h"
#include "sim/rng.h"
#include "sim/sim_device.h"
#include "sim/strategy_bounded.h"
#include "sim/tsan.h"
#include "tests/unit/library/every_schedule.h"
#include "tests/unit/library/programs.h"
#include "tests/unit/sparse.h"

namespace sim {
namespace {

using engine::Atomic;
using engine::Mutex;

// Each of these is tens of thousands of executions, and what ThreadSanitizer has to do for every
// fiber makes minutes of that; what it could see of them, Explore shows it.
class ExploreBounded : public testing::Test {
 protected:
  void SetUp() override {
    if (unit::sparse() > 1) GTEST_SKIP() << "every execution or none";
  }
};

// Bounds that bind nothing, so that it is the bounded search that explores.
constexpr std::uint32_t kMany = 1000;

std::uint64_t executions_within(std::uint32_t preemptions, const Program& program) {
  const Exploration result = explore(program, {.preemptions = preemptions});
  EXPECT_TRUE(result.complete);
  EXPECT_FALSE(result.found) << result.found->finding.message;
  EXPECT_TRUE(result.limits.empty()) << result.limits;
  return result.executions;
}

TEST_F(ExploreBounded, CountsTheSameAsTheUnboundedOneWhereNothingBinds) {
  EXPECT_EQ(executions_within(kMany, [] { programs::ainc(5); }), 120U);
  EXPECT_EQ(executions_within(kMany, [] { programs::lockinc(5); }), 120U);
  EXPECT_EQ(executions_within(kMany, [] { programs::readers(6); }), 64U);
}

// Of the executions in which both come in at their first look, those with so many preemptions.
TEST_F(ExploreBounded, Peterson) {
  const auto both_came_in = [](std::uint32_t preemptions) {
    std::uint64_t both = 0;
    Bounded search{{.preemptions = preemptions}};
    Execution execution;
    do {
      bool came_in = false;
      execution.reset({.strategy = &search});
      EXPECT_FALSE(execution.run([&] { came_in = programs::peterson(); }).finding);
      if (search.was_new() && came_in) ++both;
    } while (search.next());
    return both;
  };
  EXPECT_EQ(both_came_in(0), 2U);
  EXPECT_EQ(both_came_in(1), 2U);
  EXPECT_EQ(both_came_in(2), 4U);
  EXPECT_EQ(both_came_in(kMany), 4U);
}

TEST_F(ExploreBounded, FindsABugAtItsNumberOfPreemptions) {
  // Setter a, checker, setter b: the setter is interrupted once.
  EXPECT_TRUE(explore([] { programs::reorder(3); }, {.preemptions = 0}).complete);
  const Exploration result = explore([] { programs::reorder(3); }, {.preemptions = 1});
  ASSERT_TRUE(result.found);
  EXPECT_EQ(result.found->preemptions, 1U);
}

TEST_F(ExploreBounded, SaysHowFarItGotAndHowManyThereWouldBe) {
  const Program program = [] { programs::lockinc(5); };
  const Exploration all = explore(program, {.preemptions = kMany});
  ASSERT_TRUE(all.complete);
  double before = 0;
  for (const std::uint64_t tenths : {1, 5, 9}) {
    const Exploration some =
        explore(program, {.begun_max = (all.executions + all.cut_short) * tenths / 10,
                          .probes = 50,
                          .preemptions = kMany});
    EXPECT_FALSE(some.complete);
    EXPECT_GT(some.done, before);
    EXPECT_LT(some.done, 1);
    EXPECT_EQ(some.interleavings.number, 120.0);   // whoever has the lock goes on to its end
    before = some.done;
  }
}

TEST_F(ExploreBounded, GoesOnForSoManyThatAreRunToTheirEnd) {
  const Program program = [] { programs::lockinc(5); };
  const Exploration some = explore(program, {.executions_max = 50, .preemptions = kMany});
  EXPECT_FALSE(some.complete);
  EXPECT_EQ(some.executions, 50U);
  EXPECT_GT(some.cut_short, 50U);
  const Exploration begun = explore(program, {.begun_max = 50, .preemptions = kMany});
  EXPECT_LT(begun.executions, 50U);
  EXPECT_EQ(begun.executions + begun.cut_short, 50U);
}

// --- against every schedule ---

// What every execution told, by each of the two ways.
std::set<std::string> told_by_all(const std::function<std::string()>& program,
                                  std::uint32_t preemptions, std::uint64_t* runs) {
  std::set<std::string> told;
  unit::EverySchedule strategy{preemptions};
  Execution execution;
  do {
    execution.reset({.strategy = &strategy, .timers_race = true});
    const Outcome& outcome = execution.run([&] {
      const std::string all = program();
      const Hush hush;
      told.insert(all);
    });
    EXPECT_FALSE(outcome.finding);
    ++*runs;
  } while (strategy.next());
  return told;
}

struct Explored {
  std::multiset<std::string> told;
  std::uint64_t cut_short = 0;
  StatesSeen::Forgotten forgotten;
};
Explored told_by_search(const std::function<std::string()>& program, std::uint32_t preemptions,
                        std::uint64_t memory_max = StatesSeen::kBytesMax) {
  Explored explored;
  Bounded search{{.preemptions = preemptions, .memory_max = memory_max}};
  Execution execution;
  do {
    std::string all;
    execution.reset({.strategy = &search, .timers_race = true});
    EXPECT_FALSE(execution
                     .run([&] {
                       const std::string told = program();
                       const Hush hush;
                       all = told;
                     })
                     .finding);
    if (search.was_new()) {
      explored.told.insert(all);
    } else {
      ++explored.cut_short;
    }
  } while (search.next());
  explored.forgotten = search.forgotten();
  EXPECT_EQ(search.classes(), explored.told.size());
  return explored;
}

struct Step {
  enum class What : std::uint8_t { read, write, add, lock, sleep } what;
  std::uint32_t object;
};
using Script = std::vector<std::vector<Step>>;

Script random_script(Rng& rng, std::uint32_t steps_max) {
  Script script(2 + rng.below(2));
  constexpr auto kKinds = static_cast<std::uint32_t>(Step::What::sleep);
  for (auto& steps : script) {
    const std::uint32_t count = 1 + rng.below(steps_max);
    for (std::uint32_t i = 0; i < count; ++i)
      steps.push_back({static_cast<Step::What>(rng.below(kKinds)), rng.below(2)});
  }
  return script;
}

// Tells what every fiber saw and in what order objects were changed. The notes are the judge's,
// kept outside of the program that runs: hence hushed.
std::string run_script(const Script& script) {
  std::deque<Atomic<std::uint32_t>> variables;
  std::deque<Mutex> mutexes;
  std::vector<std::string> changes(4);
  for (int i = 0; i < 2; ++i) {
    variables.emplace_back("variable");
    mutexes.emplace_back("mutex");
  }
  std::vector<std::string> seen(script.size());
  const auto note = [](const auto& write) {
    const Hush hush;
    write();
  };
  Threads threads;
  for (std::size_t t = 0; t < script.size(); ++t) {
    threads.start("fiber", [&, t] {
      for (const Step& step : script[t]) {
        Atomic<std::uint32_t>& variable = variables[step.object];
        std::string& order = changes[step.object];
        switch (step.what) {
          case Step::What::read:
            static_cast<void>(variable.load());
            note([&] { seen[t] += std::to_string(order.size()); });
            break;
          case Step::What::write:
            variable.store(1);
            note([&] { order += std::to_string(t); });
            break;
          case Step::What::add:
            variable.fetch_add(1);
            note([&] { order += std::to_string(t); });
            break;
          case Step::What::lock: {
            const engine::MutexLock lock{mutexes[step.object]};
            note([&] { changes[2 + step.object] += std::to_string(t); });
            variable.fetch_add(1);
            note([&] { order += std::to_string(t); });
            break;
          }
          case Step::What::sleep:
            engine::sleep_for(engine::Nanos{1000 * (step.object + 1)});
            break;
        }
      }
    });
  }
  threads.join();
  std::string all;
  for (const std::string& each : changes)
    all += each + '/';
  for (const std::string& each : seen)
    all += each + ';';
  return all;
}

TEST_F(ExploreBounded, SeesWhatAllSchedulesWithinTheBoundSeeAndNothingTwice) {
  Rng rng{11};
  std::uint64_t runs = 0;
  for (std::uint32_t round = 0; round < 25; ++round) {
    const Script script = random_script(rng, 3);
    for (const std::uint32_t preemptions : {0U, 1U, 2U}) {
      const auto program = [&] { return run_script(script); };
      const std::set<std::string> all = told_by_all(program, preemptions, &runs);
      const Explored explored = told_by_search(program, preemptions);
      EXPECT_EQ(explored.told, (std::multiset<std::string>{all.begin(), all.end()}))
          << round << " with " << preemptions;
    }
  }
  EXPECT_GT(runs, 10'000U);
}

// Some more than once then, and no others; without bounds, too, where actors sleep.
TEST_F(ExploreBounded, SeesTheSameWithHardlyAnyMemory) {
  Rng rng{12};
  std::uint64_t forgotten = 0;
  std::uint64_t again = 0;
  for (std::uint32_t round = 0; round < 15; ++round) {
    const Script script = random_script(rng, 3);
    for (const std::uint32_t preemptions : {0U, 1U, Bounds::kNone}) {
      const auto program = [&] { return run_script(script); };
      const Explored all = told_by_search(program, preemptions);
      EXPECT_EQ(all.forgotten.states + all.forgotten.classes, 0U);
      const Explored forgetful = told_by_search(program, preemptions, 0);
      const std::set<std::string> told{forgetful.told.begin(), forgetful.told.end()};
      EXPECT_EQ((std::multiset<std::string>{told.begin(), told.end()}), all.told)
          << round << " with " << preemptions;
      if (forgetful.forgotten.classes == 0) {
        EXPECT_EQ(forgetful.told, all.told);
      }
      forgotten += forgetful.forgotten.states;
      again += forgetful.told.size() - all.told.size();
    }
  }
  EXPECT_GT(forgotten, 1000U);
  EXPECT_GT(again, 100U);
}

TEST_F(ExploreBounded, FindsAndEndsWithHardlyAnyMemory) {
  EXPECT_TRUE(explore([] { programs::reorder(3); }, {.preemptions = 0, .memory_max = 0}).complete);
  const Exploration found =
      explore([] { programs::reorder(3); }, {.preemptions = 1, .memory_max = 0});
  ASSERT_TRUE(found.found);
  EXPECT_EQ(found.found->preemptions, 1U);
  const Program program = [] { programs::lockinc(4); };
  const Exploration all = explore(program, {.preemptions = 2});
  const Exploration forgetful = explore(program, {.preemptions = 2, .memory_max = 0});
  EXPECT_TRUE(all.complete && forgetful.complete);
  EXPECT_EQ(all.forgotten, 0U);
  EXPECT_GT(forgetful.forgotten, 0U);
  EXPECT_GE(forgetful.executions, all.executions);
}

// In three quarters of the places that there is memory for, whoever came first.
TEST(StatesSeen, RemembersAsManyAsItMay) {
  constexpr std::uint64_t kPlaces = 3500;   // not what doubling comes to
  constexpr std::uint64_t kAll = 10'000;
  constexpr std::uint64_t kRemembered = kPlaces * 3 / 4;
  StatesSeen seen{StatesSeen::Of::this_process, kPlaces * 40};
  const auto hash = [](std::uint64_t i) { return (i + 1) * 0x9E3779B97F4A7C15U; };
  for (const bool again : {false, true}) {
    std::uint64_t known = 0;
    for (std::uint64_t i = 0; i < kAll; ++i) {
      known += seen.enter(hash(i), 1, 5) == 0;
      EXPECT_EQ(seen.add_class(hash(i)), !again || i >= kRemembered) << i;
    }
    EXPECT_EQ(known, again ? kRemembered : 0);
  }
  EXPECT_EQ(seen.states(), kRemembered);
  EXPECT_EQ(seen.forgotten().states, 2 * (kAll - kRemembered));
  EXPECT_EQ(seen.classes(), kRemembered + seen.forgotten().classes);
  seen.forget_states();
  EXPECT_EQ(seen.states() + seen.forgotten().states, 0U);
  EXPECT_EQ(seen.enter(hash(kAll - 1), 1, 0), ~std::uint64_t{0});
  EXPECT_EQ(seen.enter(hash(kAll - 1), 1, 0), 0U);
}

TEST_F(ExploreBounded, SeesWhatTimersAtAnyTimeBringAbout) {
  Rng rng{5};
  std::uint64_t runs = 0;
  for (std::uint32_t round = 0; round < 3; ++round) {
    const auto any = [&] { return Step{static_cast<Step::What>(rng.below(3)), rng.below(2)}; };
    const Script script{{any(), any()}, {{Step::What::sleep, 0}, any()}};
    const auto program = [&] { return run_script(script); };
    const std::set<std::string> all = told_by_all(program, kMany, &runs);
    const Explored explored = told_by_search(program, Bounds::kNone);
    EXPECT_EQ((std::set<std::string>{explored.told.begin(), explored.told.end()}), all) << round;
  }
  EXPECT_GT(runs, 500U);
}

// A timer's store comes before, between or after somebody's three loads.
std::string timer_and_loads() {
  Atomic<int> value{"value"};
  struct Firing {
    Atomic<int>& value;
    engine::Completion fired{"fired"};
  } firing{value};
  const auto fire = [](void* to) {
    static_cast<Firing*>(to)->value.store(1);
    static_cast<Firing*>(to)->fired.signal();
  };
  engine::Timer timer{"timer", fire, &firing};
  timer.arm_after(engine::current_executor(), engine::Nanos{10});
  std::string seen;
  for (int i = 0; i < 3; ++i)
    seen += std::to_string(value.load());
  firing.fired.wait();
  timer.cancel_and_wait();
  return seen;
}

TEST_F(ExploreBounded, ATimerFiresBetweenAnyTwoOperations) {
  std::uint64_t runs = 0;
  EXPECT_EQ(told_by_all(timer_and_loads, kMany, &runs),
            (std::set<std::string>{"000", "001", "011", "111"}));
  const Exploration result = explore([] { static_cast<void>(timer_and_loads()); });
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.executions, 4U);
  EXPECT_GT(runs, 4U);
  // Firing early is a preemption, and going on afterwards is not.
  EXPECT_EQ(explore([] { static_cast<void>(timer_and_loads()); }, {.preemptions = 0}).executions,
            1U);
  EXPECT_EQ(explore([] { static_cast<void>(timer_and_loads()); }, {.preemptions = 1}).executions,
            4U);
}

// A timer that arms itself again, until it has done so often; how often it had when that was looked
// at.
int look_at_ticks(int ticks_most) {
  struct Clockwork {
    int ticks_most;
    Atomic<int> ticks{"ticks"};
    Atomic<bool> stopped{"stopped"};
    engine::Timer timer{"tick", &tick, this};
    static void tick(void* of) {
      auto& self = *static_cast<Clockwork*>(of);
      if (self.ticks.fetch_add(1) + 1 < self.ticks_most && !self.stopped.load())
        self.timer.arm_after(engine::current_executor(), engine::Nanos{10});
    }
  } clockwork{.ticks_most = ticks_most};
  clockwork.timer.arm_after(engine::current_executor(), engine::Nanos{10});
  const int ticks = clockwork.ticks.load();
  clockwork.stopped.store(true);
  clockwork.timer.cancel_and_wait();
  clockwork.timer.cancel_and_wait();   // one that was about to arm itself has done so
  return ticks;
}

// Of a run of ticks before anything else the first 64 are explored.
TEST_F(ExploreBounded, SaysThatATimerWasKeptWaiting) {
  constexpr int kAhead = 64;
  for (const int most : {5, kAhead, kAhead + 1}) {
    std::set<int> seen;
    const Exploration explored =
        explore([&] { seen.insert(look_at_ticks(most)); }, {.preemptions = 200});
    EXPECT_TRUE(explored.complete);
    EXPECT_FALSE(explored.found) << explored.found->finding.message;
    EXPECT_EQ(*seen.begin(), 0);
    EXPECT_EQ(*seen.rbegin(), std::min(most, kAhead));
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(std::min(most, kAhead)) + 1);
    EXPECT_EQ(explored.limits.empty(), most <= kAhead) << explored.limits;
  }
}

// --- I/O ---

// Two writers and a reader of one disk: what is read, and what is there at the end.
std::string run_transfers(bool same_place) {
  auto& execution = static_cast<Execution&>(engine::current_executor());
  SimDevice disk{execution, "disk", {.sectors = 16}};
  std::array<std::array<std::byte, engine::kSectorSize>, 3> buffers{};
  buffers[0].fill(std::byte{'a'});
  buffers[1].fill(std::byte{'b'});
  Threads threads;
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    threads.start("user", [&, i] {
      engine::Bio bio;
      bio.op = i == 2 ? engine::BioOp::read : engine::BioOp::write;
      bio.sector = engine::Sector{same_place ? 0 : i % 2 * 8};
      bio.sectors = 1;
      bio.data = buffers[i].data();
      EXPECT_TRUE(engine::submit_and_wait(disk, bio));
    });
  }
  threads.join();
  std::array<std::byte, engine::kSectorSize> left{};
  disk.peek(engine::Sector{0}, left);
  return {static_cast<char>(left[0]), '/', static_cast<char>(buffers[2][0] | std::byte{1})};
}

TEST_F(ExploreBounded, TransfersTakeEffectInAnyOrder) {
  for (const bool same_place : {true, false}) {
    const auto program = [&] { return run_transfers(same_place); };
    const Explored explored = told_by_search(program, Bounds::kNone);
    const std::set<std::string> told{explored.told.begin(), explored.told.end()};
    // Last a or b, and read before, between or after them; or one writer and the reader.
    EXPECT_EQ(told.size(), same_place ? 6U : 2U);
  }
}

}   // namespace
}   // namespace sim
