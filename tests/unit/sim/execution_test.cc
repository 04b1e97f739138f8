// The scheduler: one seed means one execution; findings end it and are told.
#include "sim/execution.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/bytes.h"
#include "engine/base/sanitizers.h"
#include "engine/fiber/atomic.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/spin_lock.h"
#include "sim/tsan.h"

namespace sim {
namespace {

using engine::Mutex;
using engine::MutexLock;

// Two fibers that each lock, increment, unlock.
void count_under_lock(Execution& execution, int& count) {
  struct State {
    Mutex mutex{"count"};
    engine::Completion ended{"ended", 2};
  } state;
  for (int i = 0; i < 2; ++i) {
    execution.spawn("counter", [&] {
      {
        const MutexLock lock{state.mutex};
        ++count;
      }
      state.ended.signal();
    });
  }
  state.ended.wait();
}

TEST(Execution, RunsEveryFiberToItsEnd) {
  Execution execution;
  int count = 0;
  const Outcome& outcome = execution.run([&] { count_under_lock(execution, count); });
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(count, 2);
  EXPECT_GT(outcome.points, 4U);
}

TEST(Execution, SameSeedSameDigestOtherSeedsOther) {
  std::set<std::uint64_t> digests;
  Execution execution;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    int count = 0;
    execution.reset({.seed = seed});
    const std::uint64_t first = execution.run([&] { count_under_lock(execution, count); }).digest;
    Execution other{{.seed = seed}};
    const std::uint64_t second = other.run([&] { count_under_lock(other, count); }).digest;
    EXPECT_EQ(first, second) << seed;
    digests.insert(first);
  }
  EXPECT_GT(digests.size(), 10U);
}

TEST(Execution, ReportsAFailedCheckWithItsPlaceAndFiber) {
  Execution execution;
  const Outcome& outcome = execution.run(
      [&] { execution.spawn("breaker", [] { ENGINE_CHECK(1 + 1 == 3, "sum is {}", 2); }); });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->kind, FindingKind::assertion);
  EXPECT_EQ(outcome.finding->message, "sum is 2");
  EXPECT_NE(outcome.finding->place.find("execution_test.cc:"), std::string::npos);
  EXPECT_EQ(outcome.finding->fiber, "breaker#2");
}

// Asked before a deadlock is told, and only then.
class LastResort final : public EnvStep {
 public:
  using Before = Execution::Before;
  LastResort(Execution& execution, engine::Completion& awaited, int times,
             Before before = Before::deadlock)
      : EnvStep{ChoiceKind::step, execution.next_step_id(), "last resort", Duty::must_happen},
        execution_{execution},
        awaited_{awaited},
        times_{times} {
    execution_.offer_at_standstill(*this, before);
  }
  ~LastResort() { execution_.withdraw(*this); }
  SimFiber* happen() override {
    return execution_.start_for_step(id, name, [this] {
      engine::sleep_for(std::chrono::seconds{1});   // it may suspend
      if (happened++ == times_) return;
      execution_.offer_at_standstill(*this, Before::deadlock);
      awaited_.signal();
    });
  }
  int happened = 0;

 private:
  Execution& execution_;
  engine::Completion& awaited_;
  int times_;
};

TEST(Execution, AStandstillIsADeadlockOnlyWhereNobodyEndsIt) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (const int times : {0, 1, 2, 3}) {
      Execution execution{{.seed = seed}};
      int happened = 0;
      const Outcome& outcome = execution.run([&] {
        engine::Completion awaited{"awaited", 2};
        LastResort last{execution, awaited, times};
        engine::sleep_for(std::chrono::hours{1});   // time goes on: no standstill
        EXPECT_EQ(last.happened, 0);
        awaited.wait();
        happened = last.happened;
      });
      EXPECT_EQ(outcome.finding.has_value(), times < 2);
      if (times < 2) {
        EXPECT_EQ(outcome.finding->kind, FindingKind::deadlock);
        EXPECT_EQ(outcome.finding->place, "awaited");
      } else {
        EXPECT_EQ(happened, 2);
      }
    }
  }
}

TEST(Execution, AStandstillMayBeEndedBeforeTimeMoves) {
  Execution execution;
  const Outcome& outcome = execution.run([&] {
    engine::Completion awaited{"awaited", 1};
    engine::Completion never{"never", 1};
    LastResort last{execution, awaited, 1, LastResort::Before::time};
    execution.spawn("sleeper", [&] {
      engine::sleep_for(std::chrono::hours{1});
      never.signal();
    });
    awaited.wait();
    EXPECT_LT(execution.now(), std::chrono::hours{1});
    never.wait();
    EXPECT_EQ(last.happened, 1) << "from then on before a deadlock only";
  });
  EXPECT_FALSE(outcome.finding);
}

TEST(Execution, RunsAgainAfterAFinding) {
  Execution execution;
  for (int i = 0; i < 20; ++i) {
    execution.reset({.seed = static_cast<std::uint64_t>(i)});
    EXPECT_TRUE(execution.run([&] { ENGINE_CHECK(false); }).finding);
    int count = 0;
    execution.reset({.seed = static_cast<std::uint64_t>(i)});
    EXPECT_FALSE(execution.run([&] { count_under_lock(execution, count); }).finding);
    EXPECT_EQ(count, 2);
  }
}

TEST(Execution, NamesWhoWaitsForWhatInADeadlock) {
  Execution execution;
  std::optional<Finding> found;
  for (std::uint64_t seed = 0; seed < 200 && !found; ++seed) {
    execution.reset({.seed = seed, .trace = true});
    found = execution
                .run([&] {
                  struct State {
                    Mutex a{"a"};
                    Mutex b{"b"};
                    engine::Completion ended{"ended", 2};
                  } state;
                  execution.spawn("ab", [&] {
                    {
                      const MutexLock first{state.a};
                      const MutexLock second{state.b};
                    }
                    state.ended.signal();
                  });
                  execution.spawn("ba", [&] {
                    {
                      const MutexLock first{state.b};
                      const MutexLock second{state.a};
                    }
                    state.ended.signal();
                  });
                  state.ended.wait();
                })
                .finding;
  }
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, FindingKind::deadlock);
  EXPECT_EQ(found->place, "a, b");   // who waits for the two is no part of it
  EXPECT_EQ(found->message, "ab waits for b, which ba holds; ba waits for a, which ab holds");
  ASSERT_EQ(found->circle.size(), 4U);
  EXPECT_TRUE(found->circle[0].from.starts_with("ab#2"));
  EXPECT_EQ(found->circle[3].to, found->circle[0].from);
  EXPECT_NE(found->detail.find("ab#2 waits to lock mutex b"), std::string::npos) << found->detail;
  EXPECT_NE(found->detail.find("held by ba#3"), std::string::npos) << found->detail;
  EXPECT_NE(found->detail.find("ba#3 waits to lock mutex a"), std::string::npos) << found->detail;
  // And from where.
#if !WAVETANK_TSAN && !defined(__clang__)   // with these a lambda's name is another
  EXPECT_NE(found->detail.find("NamesWhoWaitsForWhatInADeadlock"), std::string::npos)
      << found->detail;
#endif
  EXPECT_NE(found->detail.find("execution_test.cc:"), std::string::npos) << found->detail;
}

// Fibers that wait for ever, for two things at most; and, where `mutex` is named, with it held:
// then all but one of them wait for that.
Finding stuck_for(const std::vector<const char*>& names, const char* mutex = nullptr,
                  std::string_view lab = "lab.") {
  Execution execution{{.lab = lab}};
  return *execution
              .run([&] {
                // Nobody destroys what abandoned fibers wait for.
                struct State {
                  std::array<std::optional<engine::Completion>, 2> never;
                  std::optional<Mutex> mutex;
                } state;
                if (mutex != nullptr) state.mutex.emplace(mutex);
                for (std::size_t i = 0; i < names.size(); ++i) {
                  engine::Completion& never = state.never.at(i).emplace(names[i], 1);
                  execution.spawn("waiter", [&] {
                    if (!state.mutex) return never.wait();
                    const MutexLock lock{*state.mutex};
                    never.wait();
                  });
                }
                state.never.front()->wait();
              })
              .finding;
}

// Whether somebody waits for the lab, too, makes no other deadlock of it.
TEST(Execution, TellsDeadlocksFromOneAnotherWithoutTheLab) {
  EXPECT_EQ(stuck_for({"bio"}).place, "bio");
  const Finding with_lab = stuck_for({"bio", "lab.meeting"});
  EXPECT_EQ(with_lab.place, "bio");
  EXPECT_NE(with_lab.message.find("lab.meeting"), std::string::npos) << with_lab.message;
  EXPECT_EQ(stuck_for({"bio", "bio"}, "lab.pool").place, "bio");
  EXPECT_EQ(stuck_for({"bio", "cell"}).place, "bio, cell");
  EXPECT_EQ(stuck_for({"lab.meeting", "lab.pool"}).place, "lab.meeting, lab.pool");
  EXPECT_EQ(stuck_for({"laboratory", "cell"}).place, "cell, laboratory");
}

TEST(Execution, TellsDeadlocksByAnyNameWhereThereIsNoLab) {
  EXPECT_EQ(stuck_for({"bio", "lab.meeting"}, nullptr, {}).place, "bio, lab.meeting");
  EXPECT_EQ(stuck_for({"bio", "bio"}, "lab.pool", {}).place, "bio, lab.pool");
}

TEST(Execution, ReportsAnOperationOnWhatHasGoneBackToItsPool) {
  for (const std::byte with : {engine::kPoisonByte, std::byte{0}, std::byte{0xff}}) {
    alignas(Mutex) std::array<std::byte, sizeof(Mutex)> memory;
    Execution execution{{.trace = true}};
    const Outcome& outcome = execution.run([&] {
      auto* const mutex = new (memory.data()) Mutex{"gone"};
      mutex->lock();
      mutex->unlock();
      std::destroy_at(mutex);
      memory.fill(with);
      mutex->lock();
    });
    ASSERT_TRUE(outcome.finding);
    EXPECT_EQ(outcome.finding->kind, FindingKind::lifetime);
    EXPECT_EQ(outcome.finding->message, "main uses a destroyed mutex");
    EXPECT_EQ(outcome.finding->detail.find("it was"), std::string::npos) << outcome.finding->detail;
  }
}

TEST(Execution, SaysWhatAnObjectWasThatIsDestroyedAndWhoUsedItLast) {
  alignas(Mutex) std::array<std::byte, sizeof(Mutex)> memory;
  Execution execution{{.trace = true}};
  const Outcome& outcome = execution.run([&] {
    auto* const mutex = new (memory.data()) Mutex{"gone"};
    mutex->lock();
    mutex->unlock();
    std::destroy_at(mutex);
    mutex->lock();
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_NE(outcome.finding->detail.find("it was gone, which main used last, at step 2, at "
                                         "tests/unit/sim/execution_test.cc:"),
            std::string::npos)
      << outcome.finding->detail;
}

// Its bytes are as they were, and it is told all the same.
TEST(Execution, TellsWhoIsAboutToUseAnObjectThatIsDestroyedMeanwhile) {
  using Count = engine::Atomic<int>;
  std::uint32_t told = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    alignas(Count) std::array<std::byte, sizeof(Count)> memory;
    auto* const count = new (memory.data()) Count{"count"};
    std::atomic<bool> is_destroyed{false};   // no order and no scheduling point of theirs
    bool used_too_late = false;
    Execution execution{{.seed = seed}};
    const Outcome& outcome = execution.run([&] {
      engine::current_executor().spawn("user", [&] {
        count->fetch_add(1);
        used_too_late = is_destroyed.load(std::memory_order_relaxed);
      });
      engine::yield_now();
      std::destroy_at(count);
      is_destroyed.store(true, std::memory_order_relaxed);
    });
    EXPECT_FALSE(used_too_late) << seed;
    told += outcome.finding ? 1 : 0;
  }
  EXPECT_GT(told, 0U);
}

// Another object's bytes are not that object.
TEST(Execution, TellsAnObjectFromACopyOfItsBytes) {
  alignas(Mutex) std::array<std::byte, sizeof(Mutex)> memory;
  Execution execution;
  const Outcome& outcome = execution.run([&] {
    Mutex mutex{"here"};
    std::memcpy(memory.data(), static_cast<const void*>(&mutex), sizeof mutex);
    reinterpret_cast<Mutex*>(memory.data())->lock();
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->message, "main uses a destroyed mutex");
}

// Pages on which `count` fibers at the same time each keep a variable.
std::set<std::uintptr_t> pages_of_fibers(std::uint32_t count) {
  std::vector<std::uintptr_t> pages(count);
  Execution execution{{.seed = 1}};
  const Outcome outcome = execution.run([&] {
    engine::Completion ended{"ended", count};
    for (std::uintptr_t& page : pages) {
      execution.spawn("fiber", [&] {
        const std::byte here{};
        page = reinterpret_cast<std::uintptr_t>(&here) / 4096;
        engine::yield_now();
        ended.signal();
      });
    }
    ended.wait();
  });
  EXPECT_FALSE(outcome.finding);
  return {pages.begin(), pages.end()};
}

TEST(Execution, TakesTheStacksThatTheLastOneOfTheThreadLeft) {
  const std::set<std::uintptr_t> before = pages_of_fibers(8);
  EXPECT_EQ(pages_of_fibers(8), before);
  std::set<std::uintptr_t> elsewhere;
  std::thread{[&] { elsewhere = pages_of_fibers(8); }}.join();
  for (const std::uintptr_t page : elsewhere)
    EXPECT_FALSE(before.contains(page));
}

TEST(Execution, TimeJumpsToTheNextTimer) {
  Execution execution;
  const Outcome& outcome = execution.run([&] { engine::sleep_for(std::chrono::hours{24}); });
  EXPECT_FALSE(outcome.finding);
  EXPECT_EQ(engine::Nanos{outcome.time_ns}, std::chrono::hours{24});
}

TEST(Execution, EndsAnEndlessLoop) {
  Execution execution{{.points_max = 1000}};
  const Outcome& outcome = execution.run([&] {
    for (;;)
      engine::yield_now();
  });
  ASSERT_TRUE(outcome.finding);
  EXPECT_EQ(outcome.finding->kind, FindingKind::endless);
}

}   // namespace
}   // namespace sim
