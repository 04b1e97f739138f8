// What guided search knows of executions, and that what it does follows from its seeds alone.
#include <deque>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fiber/atomic.h"
#include "sim/library/variable.h"
#include "sim/reads_from.h"
#include "sim/strategy_guided.h"
#include "sim/strategy_replay.h"
#include "tests/unit/sim/busy_program.h"

namespace sim {
namespace {

constexpr std::uint64_t kSeeds = 60;

using Program = std::function<void(Execution&)>;

std::vector<Outcome> outcomes(Strategy& strategy, const Program& program, std::uint64_t seeds,
                              std::uint64_t points_max = 100'000) {
  std::vector<Outcome> all;
  Execution execution;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    execution.reset({.seed = seed,
                     .strategy = &strategy,
                     .points_max = points_max,
                     .timers_race = seed % 2 == 1,
                     .digest_events = true});
    all.push_back(execution.run([&] { program(execution); }));
  }
  return all;
}

TEST(Guided, TheSameSeedsInTheSameOrderAreTheSameExecutions) {
  Guided first;
  Guided second;
  const auto once = outcomes(first, busy_program, kSeeds);
  const auto again = outcomes(second, busy_program, kSeeds);
  for (std::size_t i = 0; i < once.size(); ++i)
    EXPECT_EQ(once[i].digest, again[i].digest) << i;
  EXPECT_EQ(first.kept(), second.kept());
  EXPECT_EQ(first.reads_from().pairs_seen(), second.reads_from().pairs_seen());
  EXPECT_GT(first.kept(), 0U);
}

// Objects, lines and names, never addresses: see Strategy.DigestsAreTheSameInEveryBuild.
TEST(Guided, DigestsAreTheSameInEveryBuild) {
  Guided guided;
  std::uint64_t all = 0;
  for (const Outcome& outcome : outcomes(guided, busy_program, 6))
    all = all * 31 + outcome.digest;
  EXPECT_EQ(all, 16356806279472028582U);
}

// A seed that is begun and not run teaches nothing.
TEST(Guided, BeginningIsNotLearning) {
  Guided guided;
  Guided restless;
  Execution execution;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    execution.reset({.seed = seed, .strategy = &guided});
    const std::uint64_t digest = execution.run([&] { busy_program(execution); }).digest;
    execution.reset({.seed = seed + 7, .strategy = &restless});
    execution.reset({.seed = seed, .strategy = &restless});
    EXPECT_EQ(execution.run([&] { busy_program(execution); }).digest, digest) << seed;
  }
}

TEST(Guided, WhatItDecidedReplaysWithoutIt) {
  Guided guided;
  std::uint64_t seed = 0;
  for (const Outcome& original : outcomes(guided, busy_program, kSeeds)) {
    Replay replay{original.schedule};
    Execution execution{
        {.seed = seed, .strategy = &replay, .timers_race = seed % 2 == 1, .digest_events = true}};
    EXPECT_EQ(execution.run([&] { busy_program(execution); }).digest, original.digest) << seed;
    EXPECT_FALSE(replay.divergence());
    ++seed;
  }
}

// Somebody always looks again while the write that a wish waits for can never come, or comes only
// when the looking has seen something else.
TEST(Guided, WishesThatCannotComeTrueDoNotHang) {
  Guided guided;
  const Program waits = [](Execution& execution) {
    engine::Atomic<int> flag{"flag"};
    engine::Atomic<int> turn{"turn"};
    engine::Completion ended{"ended", 2};
    execution.spawn("waits", [&] {
      while (flag.load() == 0)
        engine::yield_now();
      if (turn.load() == 3) turn.store(4);
      ended.signal();
    });
    execution.spawn("sets", [&] {
      turn.store(1);
      flag.store(1);
      turn.store(2);
      ended.signal();
    });
    ended.wait();
  };
  for (const Outcome& outcome : outcomes(guided, waits, kSeeds, 20'000))
    EXPECT_FALSE(outcome.finding) << outcome.finding->message;
}

// --- ReadsFrom ---

// Hands the points of an execution on and decides nothing.
class PairWatch final : public Strategy {
 public:
  void begin(std::uint64_t /*seed*/) override {
    contention.begin();
    reads_from.begin();
  }
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override {
    if (choices.size() > 1) contention.fix_ordinals(engine::t_thread.next_object_id);
    if (choices.fallback < choices.fibers.size()) {
      SimFiber& fiber = *choices.fibers[choices.fallback];
      if (const engine::Point* const point = choices.about_to(fiber); point != nullptr)
        reads_from.happens(contention.happens(fiber, *point), *point);
    }
    return choices.fallback;
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t /*count*/,
                      std::uint32_t /*one_in*/) override {
    return 0;
  }
  void end(std::uint64_t /*points*/) override {
    contention.end();
    const ReadsFrom::Novelty& novelty = reads_from.end();
    pairs = novelty.pairs.size();
    combination = novelty.combination;
  }
  Contention contention;
  ReadsFrom reads_from{contention};
  std::size_t pairs = 0;
  bool combination = false;
};

TEST(ReadsFrom, CountsWhatWasNotSeenBefore) {
  PairWatch watch;
  Execution execution{{.strategy = &watch}};
  bool write_first = false;
  const auto program = [&] {
    Variable<int> x{"x"};
    const auto write = [&] { x.set(1); };
    if (write_first) write();
    static_cast<void>(x.get());
    if (!write_first) write();
  };
  execution.run(program);
  EXPECT_EQ(watch.pairs, 1U);   // the initial value
  EXPECT_TRUE(watch.combination);
  execution.run(program);
  EXPECT_EQ(watch.pairs, 0U);
  EXPECT_FALSE(watch.combination);
  write_first = true;
  execution.run(program);
  EXPECT_EQ(watch.pairs, 1U);
  EXPECT_TRUE(watch.combination);
  EXPECT_EQ(watch.reads_from.pairs_seen(), 2U);
}

TEST(ReadsFrom, TheHoldersOfALockAreInOrder) {
  PairWatch watch;
  Execution execution{{.strategy = &watch}};
  bool swap = false;
  const auto program = [&] {
    engine::Mutex mutex{"mutex"};
    const auto one = [&] { const engine::MutexLock lock{mutex}; };
    const auto two = [&] { const engine::MutexLock lock{mutex}; };
    if (swap) two();
    one();
    if (!swap) two();
  };
  execution.run(program);
  EXPECT_EQ(watch.pairs, 2U);
  swap = true;
  execution.run(program);
  EXPECT_EQ(watch.pairs, 2U);
  execution.run(program);
  EXPECT_EQ(watch.pairs, 0U);
}

// Objects of one name are told apart as long as their ordinals mean something.
TEST(ReadsFrom, TellsObjectsApartByOrdinalWhileItMeansSomething) {
  PairWatch watch;
  Execution execution{{.strategy = &watch}};
  bool late = false;
  const auto program = [&] {
    for (int i = 0; i < 3 && late; ++i)   // each takes an ordinal
      execution.spawn("other", [] {});
    std::deque<Variable<int>> all;
    for (int i = 0; i < 3; ++i) {
      all.emplace_back("one of them");
      static_cast<void>(all.back().get());
    }
  };
  execution.run(program);
  EXPECT_EQ(watch.pairs, 3U);
  late = true;
  execution.run(program);
  EXPECT_EQ(watch.pairs, 1U);
}

}   // namespace
}   // namespace sim
