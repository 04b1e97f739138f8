#include "engine/io/object_pool.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "engine/base/sanitizers.h"
#include "engine/fiber/spin_lock.h"
#include "tests/unit/io/tank.h"

namespace engine::io {
namespace {

struct Item {
  std::uint64_t value;
  std::array<std::byte, 48> rest;
};

TEST(ObjectPool, CountsWhatIsInUseExactly) {
  ObjectPool<Item> pool{"items"};
  std::vector<Item*> taken;
  for (int i = 0; i < 300; ++i)
    taken.push_back(&pool.take());
  EXPECT_EQ(pool.in_use(), 300U);
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(std::adjacent_find(taken.begin(), taken.end()), taken.end());
  for (Item* const item : taken)
    pool.give(*item);
  EXPECT_EQ(pool.in_use(), 0U);
}

#if !WAVETANK_ASAN
TEST(ObjectPool, RecyclesMemoryPoisonedAndNotCleared) {
  ObjectPool<Item> pool{"items"};
  Item& first = pool.take();
  first.rest.fill(std::byte{1});
  pool.give(first);
  Item& second = pool.take();
  EXPECT_EQ(&first, &second);
  EXPECT_TRUE(std::all_of(second.rest.begin(), second.rest.end(),
                          [](std::byte b) { return b == kPoisonByte; }));
  pool.give(second);
}
#endif

TEST(ObjectPool, KeepsNothingWhenOneThreadTakesAndAnotherGives) {
  ObjectPool<Item> pool{"items"};
  const std::uint32_t index = t_thread.thread_index;
  std::vector<Item*> seen;
  for (int round = 0; round < 1000; ++round) {
    t_thread.thread_index = 1;
    Item& item = pool.take();
    seen.push_back(&item);
    t_thread.thread_index = 2;
    pool.give(item);
  }
  t_thread.thread_index = index;
  std::sort(seen.begin(), seen.end());
  const auto distinct = std::unique(seen.begin(), seen.end()) - seen.begin();
  EXPECT_LE(distinct, 256);   // bounded, not one a round
}

TEST(BoundedPool, RefusesBeyondItsCapacityWhicheverThreadKeepsTheFreeOnes) {
  BoundedPool<Item> pool{"items", 5};
  std::vector<Item*> taken;
  while (Item* const item = pool.try_take())
    taken.push_back(item);
  EXPECT_EQ(taken.size(), 5U);
  const std::uint32_t index = t_thread.thread_index;
  t_thread.thread_index = 3;
  pool.give(*taken.back());
  taken.pop_back();
  t_thread.thread_index = 4;
  Item* const stolen = pool.try_take();
  ASSERT_NE(stolen, nullptr);
  taken.push_back(stolen);
  EXPECT_EQ(pool.try_take(), nullptr);
  t_thread.thread_index = index;
  for (Item* const item : taken)
    pool.give(*item);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(BoundedPool, HasNothingWhenItsCapacityIsZero) {
  BoundedPool<Item> pool{"items", 0};
  EXPECT_EQ(pool.try_take(), nullptr);
}

TEST(BoundedPool, WakesEveryoneWhoWaitsUnderAllSchedules) {
  unit::for_seeds(3000, [](sim::Execution& execution, std::uint64_t seed) {
    const std::size_t capacity = 1 + seed % 3;
    BoundedPool<Item> pool{"items", capacity};
    unit::Note<std::size_t> holders{0};
    unit::Together fibers{execution};
    for (int i = 0; i < 5; ++i) {
      fibers.run("taker", [&] {
        for (int round = 0; round < 4; ++round) {
          Item& item = pool.take();
          ++holders;
          EXPECT_LE(std::size_t{holders}, capacity);
          yield_now();
          --holders;
          pool.give(item);
        }
      });
    }
    fibers.run("trier", [&] {
      for (int round = 0; round < 6; ++round) {
        if (Item* const item = pool.try_take(); item != nullptr) {
          yield_now();
          pool.give(*item);
        }
      }
    });
    fibers.wait();
    EXPECT_EQ(pool.in_use(), 0U);
  });
}

TEST(BoundedPool, TakeStandsOnlyWhereBlockingIsAllowedEvenWhenItNeedNotWait) {
  const auto finding = unit::finding_of([](sim::Execution&) {
    BoundedPool<Item> pool{"items", 8};
    SpinLock lock{"lock"};
    const SpinGuard guard{lock};
    pool.give(pool.take());
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::atomic_context);
}

TEST(BoundedPool, ReportsALeakWhenItIsDestroyed) {
  const auto finding = unit::finding_of([](sim::Execution&) {
    BoundedPool<Item> pool{"items", 8};
    static_cast<void>(pool.try_take());
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::lifetime);
}

TEST(BoundedPool, StaysExactOnRealThreads) {
  constexpr std::size_t kCapacity = 37;
  BoundedPool<Item> pool{"items", kCapacity};
  std::atomic<std::size_t> holders{0};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      t_thread.thread_index = t;
      std::vector<Item*> mine;
      for (int round = 0; round < 20'000; ++round) {
        if (round % 3 != 2) {
          Item* const item = pool.try_take();
          if (item == nullptr) continue;
          EXPECT_LE(holders.fetch_add(1) + 1, kCapacity);
          item->value = t;
          mine.push_back(item);
        } else if (!mine.empty()) {
          EXPECT_EQ(mine.back()->value, t);
          holders.fetch_sub(1);
          pool.give(*mine.back());
          mine.pop_back();
        }
      }
      for (Item* const item : mine) {
        holders.fetch_sub(1);
        pool.give(*item);
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(pool.in_use(), 0U);
}

}   // namespace
}   // namespace engine::io
