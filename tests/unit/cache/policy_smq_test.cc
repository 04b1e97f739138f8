// Smq's rooms one by one, and that the whole of it is a good judge of what to cache.
#include <gtest/gtest.h>

#include "engine/cache/smq.h"
#include "engine/cache/smq_hash.h"
#include "engine/cache/smq_queue.h"
#include "tests/bench/policy_traffic.h"

namespace engine::cache::smq {

namespace {

class Granting final : public CellLocker {
 public:
  bool try_lock(OriginBlock /*victim*/) override { return true; }
};

class Refusing final : public CellLocker {
 public:
  bool try_lock(OriginBlock /*victim*/) override {
    ++asked;
    return false;
  }
  int asked = 0;
};

MapRequest fast_write(std::uint64_t block) {
  return {.block = OriginBlock{block},
          .direction = Direction::write,
          .wait = Wait::allowed,
          .migrate = Migrate::allowed,
          .promotion = Promotion::fast};
}

MapRequest read_of(std::uint64_t block) {
  return {.block = OriginBlock{block}, .wait = Wait::allowed, .migrate = Migrate::allowed};
}

// One block over and over, with a tick every 10 ms, so that its stretch gets to the top.
void ask_often(Smq& smq, std::uint64_t block, CellLocker& locker, Nanos from, Nanos to) {
  for (Nanos now = from; now < to; now += std::chrono::milliseconds{10}) {
    smq.tick(now);
    static_cast<void>(smq.map(read_of(block), locker));
  }
}

// All of the queue's entries are those of the space.
class LevelQueueTest : public ::testing::Test {
 protected:
  EntrySpace space_{256};
  LevelQueue queue_{space_};

  EntryIndex add(EntryIndex index, std::uint8_t level, bool sentinel = false) {
    space_[index].level = level;
    space_[index].sentinel = sentinel;
    queue_.push(index);
    return index;
  }
};

}   // namespace

TEST_F(LevelQueueTest, ClimbsInExchangeForTheOldestThere) {
  add(1, 0);
  add(2, 3);
  add(3, 3);
  queue_.requeue(1, 3);
  EXPECT_EQ(space_[1].level, 3);
  EXPECT_EQ(space_[2].level, 0);
  EXPECT_EQ(queue_.level(3).head(), 3U);
  EXPECT_EQ(queue_.level(3).tail(), 1U);
  EXPECT_EQ(queue_.count(), 3U);
}

TEST_F(LevelQueueTest, ClimbsNoHigherThanTheTop) {
  add(1, kLevels - 1);
  add(2, kLevels - 2);
  queue_.requeue(1, 5);
  queue_.requeue(2, 5);
  EXPECT_EQ(space_[2].level, kLevels - 1);
  EXPECT_EQ(space_[1].level, kLevels - 2);
}

TEST_F(LevelQueueTest, LooksBehindNoSentinelUnlessTold) {
  add(1, 0, true);
  add(2, 0);
  add(3, 2);
  EXPECT_EQ(queue_.oldest(kLevels, Sentinels::stop), 3U);
  EXPECT_EQ(queue_.oldest(2, Sentinels::stop), kNoEntry);
  EXPECT_EQ(queue_.oldest(kLevels, Sentinels::cross), 2U);
  EXPECT_EQ(queue_.count(), 2U);
}

TEST_F(LevelQueueTest, RedistributesEvenlyAndKeepsTheOrder) {
  for (EntryIndex i = 0; i < 130; ++i)
    add(i, 0);
  queue_.redistribute();
  EntryIndex expected = 0;
  for (std::uint32_t level = 0; level < kLevels; ++level) {
    EXPECT_EQ(queue_.level(level).count(), level < 2 ? 3U : 2U);
    for (EntryIndex i = queue_.level(level).head(); i != kNoEntry; i = space_[i].next) {
      EXPECT_EQ(i, expected++);
      EXPECT_EQ(space_[i].level, level);
    }
  }
  EXPECT_EQ(expected, 130U);
}

TEST_F(LevelQueueTest, RedistributesDownwardsToo) {
  for (EntryIndex i = 0; i < 64; ++i)
    add(i, kLevels - 1);
  queue_.redistribute();
  for (std::uint32_t level = 0; level < kLevels; ++level)
    EXPECT_EQ(queue_.level(level).count(), 1U);
}

TEST(LevelQueueTop, TakesItsShareAndNoMore) {
  EntrySpace space{100};
  LevelQueue queue{space, {.levels = 8, .entries = 16}};
  for (EntryIndex i = 0; i < 100; ++i)
    queue.push(i);
  queue.redistribute();
  for (std::uint32_t level = kLevels - 8; level < kLevels; ++level)
    EXPECT_EQ(queue.level(level).count(), 2U);
  EXPECT_EQ(queue.level(0).count(), 2U);
  EXPECT_EQ(queue.level(55).count(), 1U);
}

TEST(BlockTable, FindsWhatIsThereAndNothingElse) {
  EntrySpace space{500};
  BlockTable table{space, 500};
  for (EntryIndex i = 0; i < 500; ++i) {
    space[i].block = OriginBlock{std::uint64_t{i} * 4096};
    table.insert(i);
  }
  for (EntryIndex i = 0; i < 500; i += 2)
    table.remove(i);
  for (EntryIndex i = 0; i < 500; ++i) {
    EXPECT_EQ(table.find(OriginBlock{std::uint64_t{i} * 4096}), i % 2 == 0 ? kNoEntry : i);
    EXPECT_EQ(table.find(OriginBlock{std::uint64_t{i} * 4096 + 1}), kNoEntry);
  }
}

TEST(EntryPool, GivesEachOnce) {
  EntrySpace space{10};
  EntryPool pool{space, 4, 7};
  EXPECT_EQ(pool.take(1), 5U);
  EXPECT_EQ(pool.take(1), kNoEntry);
  EXPECT_EQ(pool.take(), 4U);
  EXPECT_EQ(pool.take(), 6U);
  EXPECT_EQ(pool.take(), kNoEntry);
  EXPECT_TRUE(pool.empty());
  pool.give(5);
  EXPECT_EQ(pool.allocated(), 2U);
  EXPECT_EQ(pool.take(), 5U);
}

TEST(Smq, PromotesFastWritesWhileThereIsRoom) {
  Smq smq{{.cache_blocks = 2, .origin_blocks = 64, .block_sectors = 64}};
  Granting locker;
  EXPECT_EQ(smq.map(fast_write(10), locker), Decision{New{CacheBlock{0}}});
  EXPECT_EQ(smq.map(fast_write(11), locker), Decision{New{CacheBlock{1}}});
  EXPECT_EQ(smq.map(fast_write(12), locker), Decision{Miss{}});
  EXPECT_EQ(smq.map(fast_write(10), locker), Decision{Hit{CacheBlock{0}}});
}

TEST(Smq, AsksAgainWhereMigrationsMayNotBegin) {
  Smq smq{{.cache_blocks = 2, .origin_blocks = 64, .block_sectors = 64}};
  NoVictims nobody;
  MapRequest request = fast_write(3);
  request.migrate = Migrate::never;
  EXPECT_EQ(smq.map(request, nobody), Decision{WouldBlock{}});
  EXPECT_EQ(smq.residency(), 0U);
}

// A stretch that is asked for again and again gets its blocks cached.
TEST(Smq, PromotesWhatIsHot) {
  Smq smq{{.cache_blocks = 4, .origin_blocks = 1 << 16, .block_sectors = 64}};
  Granting locker;
  Nanos now{0};
  bool promoted = false;
  for (int second = 0; second < 100 && !promoted; ++second) {
    for (std::uint64_t i = 0; i < 10; ++i) {
      promoted |= std::holds_alternative<New>(smq.map(read_of(5), locker));
      static_cast<void>(smq.map(read_of(1000 + 100 * (10 * second + i)), locker));
    }
    now += std::chrono::seconds{1};
    smq.tick(now);
  }
  EXPECT_TRUE(promoted);
  EXPECT_LE(smq.residency(), 2U);
}

TEST(Smq, ARefusedVictimStays) {
  Smq smq{{.cache_blocks = 1, .origin_blocks = 1 << 16, .block_sectors = 64}};
  ASSERT_TRUE(smq.load_mapping({OriginBlock{9}, CacheBlock{0}}, 0));
  Refusing refusing;
  ask_often(smq, 30000, refusing, Nanos{0}, std::chrono::seconds{1});
  EXPECT_GT(refusing.asked, 0);
  EXPECT_EQ(smq.mapping_of(CacheBlock{0}), OriginBlock{9});
  Granting granting;
  EXPECT_EQ(smq.map(read_of(30000), granting), (Decision{Replace{OriginBlock{9}, CacheBlock{0}}}));
}

TEST(Smq, HintsAreLevelsAndComeBack) {
  Smq smq{{.cache_blocks = 4, .origin_blocks = 64, .block_sectors = 64}};
  ASSERT_TRUE(smq.load_mapping({OriginBlock{1}, CacheBlock{0}}, 42));
  ASSERT_TRUE(smq.load_mapping({OriginBlock{2}, CacheBlock{1}}, 4711));
  ASSERT_TRUE(smq.load_mapping({OriginBlock{3}, CacheBlock{2}}, std::nullopt));
  EXPECT_EQ(smq.hint(CacheBlock{0}), 42U);
  EXPECT_EQ(smq.hint(CacheBlock{1}), 63U);
  EXPECT_EQ(smq.hint(CacheBlock{2}), 1U);
  EXPECT_EQ(smq.hint(CacheBlock{3}), 0U);
}

TEST(Smq, WritesBackTheLowestAndOldestFirst) {
  Smq smq{{.cache_blocks = 8, .origin_blocks = 64, .block_sectors = 64}};
  for (std::uint32_t i = 0; i < 4; ++i)
    ASSERT_TRUE(smq.load_mapping({OriginBlock{i}, CacheBlock{i}}, i == 1 ? 0 : 5));
  for (const std::uint64_t block : {3, 0, 1, 2})
    smq.set_dirty(OriginBlock{block}, true);
  EXPECT_EQ(smq.dirty(), 4U);
  for (const std::uint32_t block : {1, 3, 0, 2}) {
    EXPECT_EQ(smq.writeback_work(WritebackUrgency::idle),
              (Mapping{OriginBlock{block}, CacheBlock{block}}));
  }
  EXPECT_EQ(smq.writeback_work(WritebackUrgency::idle), std::nullopt);
}

// Busy: the lowest level only, as long as one block in twenty is clean.
TEST(Smq, WritesBackLittleWhileTheOriginIsBusy) {
  Smq smq{{.cache_blocks = 20, .origin_blocks = 64, .block_sectors = 64}};
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(smq.load_mapping({OriginBlock{i}, CacheBlock{i}}, i == 7 ? 0 : 9));
    if (i != 19) smq.set_dirty(OriginBlock{i}, true);
  }
  EXPECT_EQ(smq.writeback_work(WritebackUrgency::busy)->origin, OriginBlock{7});
  EXPECT_EQ(smq.writeback_work(WritebackUrgency::busy), std::nullopt);
  smq.set_dirty(OriginBlock{19}, true);
  smq.set_dirty(OriginBlock{7}, true);
  EXPECT_EQ(smq.writeback_work(WritebackUrgency::busy)->origin, OriginBlock{7});
  smq.set_dirty(OriginBlock{7}, true);
  smq.force_mapping(OriginBlock{7}, OriginBlock{60});
  EXPECT_EQ(smq.dirty(), 20U);
  EXPECT_NE(smq.writeback_work(WritebackUrgency::busy), std::nullopt);
}

// What was cleaned a moment ago is not thrown out at once.
TEST(Smq, LeavesAloneForAPeriodWhatWasWrittenBack) {
  Smq smq{{.cache_blocks = 1, .origin_blocks = 1 << 16, .block_sectors = 64}};
  ASSERT_TRUE(smq.load_mapping({OriginBlock{9}, CacheBlock{0}}, 0));
  smq.tick(Nanos{0});   // every period begins
  smq.set_dirty(OriginBlock{9}, true);
  ASSERT_TRUE(smq.writeback_work(WritebackUrgency::idle));
  Refusing locker;
  ask_often(smq, 30000, locker, std::chrono::milliseconds{1}, std::chrono::seconds{59});
  EXPECT_EQ(locker.asked, 0);
  ask_often(smq, 30000, locker, std::chrono::seconds{59}, std::chrono::seconds{125});
  EXPECT_GT(locker.asked, 0);
}

namespace {

struct Ratios {
  double smq = 0;
  double lru = 0;
  double promotions = 0;   // by smq, of all accesses
};

// Hit ratios over the second half.
Ratios race(bool scans) {
  constexpr std::uint64_t kBlocks = 1 << 14;
  constexpr std::uint32_t kPlaces = 1 << 10;
  constexpr int kAccesses = 600'000;
  constexpr int kAccessesPerSecond = 2000;
  bench::Traffic traffic{kBlocks, 0.9, scans};
  Smq smq{{.cache_blocks = kPlaces, .origin_blocks = 5 * kBlocks, .block_sectors = 64}};
  bench::Lru lru{kPlaces};
  Granting locker;
  Ratios ratios;
  for (int i = 0; i < kAccesses; ++i) {
    const std::uint64_t block = traffic.next();
    const bool counts = i >= kAccesses / 2;
    const Decision decision = smq.map(read_of(block), locker);
    const bool lru_hit = lru.access(block);
    if (counts && std::holds_alternative<Hit>(decision)) ++ratios.smq;
    if (counts && lru_hit) ++ratios.lru;
    if (counts &&
        (std::holds_alternative<New>(decision) || std::holds_alternative<Replace>(decision)))
      ++ratios.promotions;
    if (i % kAccessesPerSecond == 0) smq.tick(std::chrono::seconds{i / kAccessesPerSecond});
  }
  ratios.smq /= kAccesses / 2.0;
  ratios.lru /= kAccesses / 2.0;
  ratios.promotions /= kAccesses / 2.0;
  return ratios;
}

}   // namespace

TEST(SmqHitRatio, IsNotFarFromLruOnZipf) {
  const Ratios ratios = race(false);
  RecordProperty("smq", std::to_string(ratios.smq));
  EXPECT_GT(ratios.smq, 0.9 * ratios.lru) << ratios.lru << ", promotions " << ratios.promotions;
  EXPECT_LT(ratios.promotions, 0.1);
}

TEST(SmqHitRatio, IsBetterThanLruWhereScansInterfere) {
  const Ratios ratios = race(true);
  EXPECT_GT(ratios.smq, ratios.lru) << "smq " << ratios.smq << ", promotions " << ratios.promotions;
}

}   // namespace engine::cache::smq
