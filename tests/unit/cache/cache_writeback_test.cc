// The cache in writeback mode: hits, promotions, demotions, writebacks.
#include "tests/unit/cache/cache_tank.h"

namespace engine::cache {
namespace {

TEST(CacheWriteback, AReadBlockIsPromotedAndReadFromTheFastDevice) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make();
    EXPECT_EQ(tank.read(kBlock + 5), kOldData + kBlock + 5);
    const auto place = tank.place_of(1);
    ASSERT_TRUE(place);
    EXPECT_EQ(CacheTank::peek(tank.fast, place->value() * kBlock + 5), kOldData + kBlock + 5);
    EXPECT_EQ(tank.read(kBlock + 6), kOldData + kBlock + 6);
    EXPECT_EQ(tank.view().hits().read_hits, 2U);
    EXPECT_EQ(tank.view().promotions(), 1U);
    tank.expect_idle();
  });
}

TEST(CacheWriteback, AWriteGoesToTheFastDeviceAloneAndComesBackLater) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(3, 2, 41), Errc::ok);
    EXPECT_EQ(tank.read(3), 41U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 3), kOldData + 3);
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(tank.message("writeback 1"), Errc::ok);
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);   // something for the worker to do
    sleep_for(std::chrono::seconds{3});
    EXPECT_EQ(tank.view().dirty_count(), 0U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 3), 41U);
    EXPECT_EQ(tank.read(3), 41U);
    tank.expect_idle();
  });
}

TEST(CacheWriteback, AWriteOfAWholeBlockFillsItsPlaceWithoutACopy) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    const std::uint32_t before = tank.origin.submissions();
    EXPECT_EQ(tank.write(2 * kBlock, kBlock, 7), Errc::ok);
    EXPECT_EQ(tank.origin.submissions(), before);
    EXPECT_TRUE(tank.cached(2));
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(tank.read(2 * kBlock + 63), 7U);
    tank.expect_idle();
  });
}

TEST(CacheWriteback, ADirtyVictimIsCopiedBackFirst) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = 1}};
    tank.make("1 writeback", "eager 4 writeback 0 dirty_victims 1");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    EXPECT_EQ(tank.write(kBlock, kBlock, 42), Errc::ok);
    EXPECT_FALSE(tank.cached(0));
    EXPECT_TRUE(tank.cached(1));
    EXPECT_EQ(CacheTank::peek(tank.origin, 0), 41U);
    EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);
    EXPECT_EQ(CacheTank::peek(tank.origin, kBlock + 9), 42U);
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.read(1), kOldData + 1);
    EXPECT_EQ(tank.view().demotions(), 3U);
    EXPECT_EQ(tank.view().dirty_count(), 0U);
    tank.expect_idle();
  });
}

TEST(CacheWriteback, ManyFibersReadWhatWasWritten) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution,
                   {.cache_blocks = 1 + seed % 3,
                    .options = {.migrations_max = 2, .caller_cells_max = 1 + seed % 2}}};
    tank.make("1 writeback", seed % 4 < 2 ? "eager 2 dirty_victims 1" : "eager 0");
    Together all{execution};
    for (std::uint64_t i = 0; i < 4; ++i) {
      all.run("writer", [&tank, i] {
        const std::uint64_t at = i * 60;
        for (std::uint64_t round = 1; round < 4; ++round) {
          EXPECT_EQ(tank.write(at, round == 2 ? 60 : 3, 100 * round + i, round == 3), Errc::ok);
          EXPECT_EQ(tank.read(at + 2), 100 * round + i);
        }
      });
    }
    all.run("flusher", [&tank] {
      EXPECT_EQ(tank.flush(), Errc::ok);
      EXPECT_EQ(tank.discard(5 * kBlock, 2 * kBlock), Errc::ok);
      EXPECT_EQ(tank.write(6 * kBlock, kBlock, 9), Errc::ok);
      EXPECT_EQ(tank.read(6 * kBlock + 60), 9U);
    });
    all.wait();
    for (std::uint64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(tank.read(i * 60 + 2), 300 + i);
      EXPECT_EQ(tank.read(i * 60 + 59), 200 + i);
    }
    tank.expect_idle();
  });
}

TEST(CacheWriteback, TheEndOfTheOriginBehindItsLastWholeBlockIsNeverCached) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.tail_sectors = 10}};
    tank.make();
    EXPECT_EQ(tank.write(7 * kBlock + 60, 10, 5), Errc::ok);
    EXPECT_EQ(tank.read(8 * kBlock + 5), 5U);
    EXPECT_EQ(tank.read(7 * kBlock + 60), 5U);
    EXPECT_EQ(tank.read(8 * kBlock + 6), kOldData + 8 * kBlock + 6);
    EXPECT_EQ(CacheTank::peek(tank.origin, 8 * kBlock + 5), 5U);
    EXPECT_EQ(tank.view().mappings().size(), 1U);
    tank.expect_idle();
  });
}

TEST(CacheWriteback, WhatIsWrittenIsThereAfterACleanStopAndOnlyTheDirtyIsDirty) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t seed) {
    CacheImages images;
    const char* const features = seed % 2 == 0 ? "1 writeback" : "2 metadata2 writeback";
    {
      CacheTank tank{execution};
      tank.make(features, "eager 2 writeback 0");
      EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
      EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
      pdata::must(tank.system.remove_all());
      images = tank.images();
    }
    CacheTank tank{execution, {.images = images}};
    tank.make(features, "eager 2 writeback 0");
    EXPECT_TRUE(tank.cached(0));
    EXPECT_TRUE(tank.cached(1));
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(dynamic_cast<const EagerPolicy&>(tank.view().policy()).hints_seen, 2U);
    EXPECT_EQ(tank.view().hits().write_hits, 1U);
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.read(1), kOldData + 1);
  });
}

}   // namespace
}   // namespace engine::cache
