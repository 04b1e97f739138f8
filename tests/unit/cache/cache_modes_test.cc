// Writethrough, passthrough, discards, messages and status.
#include "tests/unit/cache/cache_tank.h"

namespace engine::cache {
namespace {

TEST(CacheWritethrough, BothDevicesHoldEveryWrite) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.options = {.caller_cells_max = 2}}};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    Together all{execution};
    all.run("a", [&] { EXPECT_EQ(tank.write(3, 4, 41), Errc::ok); });
    all.run("b", [&] { EXPECT_EQ(tank.write(10, 4, 42, true), Errc::ok); });
    all.run("c", [&] {
      const std::uint64_t seen = tank.read(12);
      EXPECT_TRUE(seen == kOldData + 12 || seen == 42) << seen;
    });
    all.wait();
    const auto place = tank.place_of(0);
    ASSERT_TRUE(place);
    EXPECT_EQ(CacheTank::peek(tank.fast, place->value() * kBlock + 4), 41U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 4), 41U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 13), 42U);
    EXPECT_EQ(tank.view().dirty_count(), 0U);
    tank.expect_idle();
  });
}

// A read that holds the cell does not take a write along to the fast device alone.
TEST(CacheWritethrough, NothingIsEverDirtyWhoeverComesFirst) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = 1}};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    Together all{execution};
    all.run("reader", [&] { EXPECT_NE(tank.read(0), ~std::uint64_t{0}); });
    all.run("writer", [&] {
      EXPECT_EQ(tank.write(1, 1, 41), Errc::ok);
      EXPECT_EQ(CacheTank::peek(tank.origin, 1), 41U);
      EXPECT_EQ(tank.view().dirty_count(), 0U);
    });
    all.run("evicter", [&] { EXPECT_EQ(tank.read(kBlock), kOldData + kBlock); });
    all.wait();
    EXPECT_EQ(tank.read(1), 41U);
    tank.expect_idle();
  });
}

TEST(CacheWritethrough, WritesToTheSameSectorsEndUpTheSameOnBothDevices) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    Together all{execution};
    for (std::uint64_t i = 0; i < 3; ++i)
      all.run("writer", [&, i] { EXPECT_EQ(tank.write(4 * i, 9, 50 + i), Errc::ok); });
    all.wait();
    tank.expect_idle();
  });
}

// A failed leg leaves the two different: the block must be gone when the write ends.
TEST(CacheWritethrough, AFailedWriteLeavesOneAnswer) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution};
    tank.make("1 writethrough", "eager 0");
    EXPECT_EQ(tank.read(0), kOldData);
    EXPECT_EQ(tank.message("promote 0"), Errc::ok);
    sim::SimDevice& sick = seed % 2 == 0 ? tank.fast : tank.origin;
    sick.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    Together all{execution};
    all.run("fails", [&] { EXPECT_EQ(tank.write(3, 4, 41), Errc::io_error); });
    all.run("reads", [&] { EXPECT_NE(tank.read(9), ~std::uint64_t{0}); });
    all.wait();
    sick.faults().rules.clear();
    EXPECT_FALSE(tank.cached(0));
    EXPECT_EQ(tank.read(4), CacheTank::peek(tank.origin, 4));
    tank.expect_idle();
  });
}

TEST(CacheWritethrough, BlocksThatAreDirtyFromBeforeAreWrittenBack) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    EXPECT_TRUE(tank.reload("1 writethrough", "eager 2 writeback 0"));
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(tank.write(1, 1, 42), Errc::ok);
    EXPECT_EQ(CacheTank::peek(tank.origin, 1), kOldData + 1);
    EXPECT_TRUE(tank.reload("1 writethrough", "cleaner 0"));
    sleep_for(std::chrono::seconds{5});
    EXPECT_EQ(tank.view().dirty_count(), 0U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 0), 41U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 1), 42U);
    EXPECT_EQ(tank.write(1, 1, 43), Errc::ok);
    EXPECT_EQ(CacheTank::peek(tank.origin, 1), 43U);
    tank.expect_idle();
  });
}

TEST(CachePassthrough, ReadsComeFromTheOriginAndAWriteDropsTheBlock) {
  for_seeds(50, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    EXPECT_TRUE(tank.reload("1 passthrough"));
    EXPECT_TRUE(tank.cached(0));
    const std::uint32_t before = tank.fast.submissions();
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    EXPECT_EQ(tank.fast.submissions(), before);
    Together all{execution};
    all.run("a", [&] { EXPECT_EQ(tank.write(3, 1, 41), Errc::ok); });
    all.run("b", [&] { EXPECT_EQ(tank.write(4, 1, 42), Errc::ok); });
    all.run("c", [&] { EXPECT_NE(tank.read(5), ~std::uint64_t{0}); });
    all.wait();
    EXPECT_FALSE(tank.cached(0));
    EXPECT_TRUE(tank.cached(1));
    EXPECT_EQ(CacheTank::peek(tank.origin, 3), 41U);
    EXPECT_EQ(tank.read(4), 42U);
    tank.expect_idle();
  });
}

TEST(CachePassthrough, IsRefusedWhileABlockIsDirty) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    const auto refused = tank.reload("1 passthrough");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::busy);
    // The device stays suspended, and the old mode can be had again.
    EXPECT_TRUE(tank.reload("1 writeback", "eager 2 writeback 0"));
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.view().dirty_count(), 1U);
  });
}

TEST(CachePassthrough, InvalidatesRangesOfPlaces) {
  for_seeds(50, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = 4}};
    tank.make("1 writethrough");
    for (std::uint64_t block = 0; block < 4; ++block)
      EXPECT_EQ(tank.read(block * kBlock), kOldData + block * kBlock);
    EXPECT_EQ(tank.message("invalidate_cblocks 0"), Errc::not_permitted);
    EXPECT_TRUE(tank.reload("1 passthrough"));
    EXPECT_EQ(tank.message("invalidate_cblocks 3-5"), Errc::invalid);
    EXPECT_EQ(tank.message("invalidate_cblocks 2-2"), Errc::invalid);
    EXPECT_EQ(tank.message("invalidate_cblocks x"), Errc::invalid);
    EXPECT_EQ(tank.message("no_such_key 5"), Errc::invalid);
    EXPECT_EQ(tank.view().mappings().size(), 4U);
    Together all{execution};
    all.run("message", [&] { EXPECT_EQ(tank.message("invalidate_cblocks 0 2-4"), Errc::ok); });
    all.run("writer", [&] { EXPECT_EQ(tank.write(0, 1, 41), Errc::ok); });
    all.run("reader", [&] { EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock); });
    all.wait();
    ASSERT_EQ(tank.view().mappings().size(), 1U);
    EXPECT_EQ(tank.view().mappings()[0].at, CacheBlock{1});
    EXPECT_EQ(tank.read(0), 41U);
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    EXPECT_EQ(tank.message("invalidate_cblocks 1"), Errc::busy);
    pdata::must(tank.system.resume("c"));
    tank.expect_idle();
  });
}

TEST(CachePassthrough, SuspendingWaitsForAMessageUnderWay) {
  for_seeds(50, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = 4}};
    tank.make("1 writethrough");
    for (std::uint64_t block = 0; block < 4; ++block)
      EXPECT_EQ(tank.read(block * kBlock), kOldData + block * kBlock);
    EXPECT_TRUE(tank.reload("1 passthrough"));
    Together all{execution};
    all.run("message", [&] { static_cast<void>(tank.message("invalidate_cblocks 0-4")); });
    all.run("suspend", [&] {
      pdata::must(tank.system.suspend("c", io::SuspendKind::noflush));
      EXPECT_TRUE(tank.view().leaks().empty());
      EXPECT_TRUE(tank.view().miscounts().empty());
      pdata::must(tank.system.resume("c"));
    });
    all.wait();
    tank.expect_idle();
  });
}

TEST(CacheDiscard, MarksWholeBlocksAndAWriteTakesTheMarkAway) {
  for_seeds(50, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);
    EXPECT_EQ(tank.discard(kBlock + 1, 3 * kBlock), Errc::ok);
    EXPECT_FALSE(tank.view().discarded(OriginBlock{1}));
    EXPECT_TRUE(tank.view().discarded(OriginBlock{2}));
    EXPECT_TRUE(tank.view().discarded(OriginBlock{3}));
    EXPECT_FALSE(tank.view().discarded(OriginBlock{4}));
    EXPECT_EQ(tank.discard(5, 10), Errc::ok);   // no whole block
    EXPECT_TRUE(tank.cached(2));
    // A write to a discarded block needs no copy, and leaves it dirty.
    const std::uint32_t before = tank.origin.submissions();
    EXPECT_EQ(tank.write(3 * kBlock + 9, 1, 41), Errc::ok);
    EXPECT_EQ(tank.origin.submissions(), before);
    EXPECT_FALSE(tank.view().discarded(OriginBlock{3}));
    EXPECT_EQ(tank.read(3 * kBlock + 9), 41U);
    EXPECT_EQ(tank.write(2 * kBlock, 1, 42), Errc::ok);
    EXPECT_FALSE(tank.view().discarded(OriginBlock{2}));
    tank.expect_idle();
  });
}

// Blocks 1 to 5: 2 is cached and clean, 4 cached and dirty.
void discard_five(CacheTank& tank) {
  EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);
  EXPECT_EQ(tank.write(4 * kBlock, 1, 44), Errc::ok);
  ASSERT_TRUE(tank.cached(2) && tank.cached(4));
  EXPECT_EQ(tank.discard(kBlock, 5 * kBlock), Errc::ok);
}

TEST(CacheDiscard, ReachesTheOriginButForWhatIsCachedAndClean) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.discard_leaves = sim::DiscardLeaves::zeroes}};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_FALSE(tank.status_has("no_discard_passdown"));
    discard_five(tank);
    for (const std::uint64_t gone : {1U, 3U, 4U, 5U})
      EXPECT_EQ(CacheTank::peek(tank.origin, gone * kBlock), 0U) << gone;
    for (const std::uint64_t kept : {0U, 2U, 6U})
      EXPECT_EQ(CacheTank::peek(tank.origin, kept * kBlock), kOldData + kept * kBlock) << kept;
    EXPECT_EQ(tank.read(4 * kBlock), 44U);
    tank.expect_idle();
  });
}

TEST(CacheDiscard, StaysAboveWhereTheTableOrTheOriginSaysSo) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.discard_leaves = sim::DiscardLeaves::zeroes}};
    tank.make("2 writeback no_discard_passdown", "eager 2 writeback 0");
    EXPECT_TRUE(tank.status_has("2 writeback no_discard_passdown"));
    discard_five(tank);
    for (std::uint64_t kept = 0; kept < 8; ++kept)
      EXPECT_EQ(CacheTank::peek(tank.origin, kept * kBlock), kOldData + kept * kBlock) << kept;
    EXPECT_TRUE(tank.view().discarded(OriginBlock{3}));
  });
}

// The cell of a discard covers many blocks; those who waited in it go to their own.
TEST(CacheDiscard, WhoeverWaitsForADiscardFindsItsOwnBlock) {
  for_seeds(300, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution, {.cache_blocks = 4, .options = {.discards_max = 1}}};
    tank.make(seed % 2 == 0 ? "1 writeback" : "1 writethrough");
    for (std::uint64_t block = 3; block < 6; ++block)
      EXPECT_EQ(tank.write(block * kBlock, 1, 10 + block), Errc::ok);
    Together all{execution};
    all.run("discard", [&] { EXPECT_EQ(tank.discard(3 * kBlock, 3 * kBlock), Errc::ok); });
    all.run("again", [&] { EXPECT_EQ(tank.discard(4 * kBlock, 2 * kBlock), Errc::ok); });
    all.run("write 3", [&] { EXPECT_EQ(tank.write(3 * kBlock + 7, 1, 33), Errc::ok); });
    all.run("write 5", [&] { EXPECT_EQ(tank.write(5 * kBlock + 7, 1, 55), Errc::ok); });
    all.wait();
    EXPECT_NE(tank.read(4 * kBlock + 7), 33U);
    EXPECT_NE(tank.read(4 * kBlock + 7), 55U);
    tank.expect_idle();
  });
}

TEST(CacheDiscard, MarksSurviveACleanStop) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    CacheImages images;
    {
      CacheTank tank{execution};
      tank.make();
      EXPECT_EQ(tank.discard(2 * kBlock, kBlock), Errc::ok);
      pdata::must(tank.system.remove_all());
      images = tank.images();
    }
    CacheTank tank{execution, {.images = images}};
    tank.make();
    EXPECT_TRUE(tank.view().discarded(OriginBlock{2}));
    EXPECT_FALSE(tank.view().discarded(OriginBlock{3}));
  });
}

TEST(CacheControl, StatusAndTableSpeakAsLinuxDoes) {
  for_seeds(3, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("2 metadata2 writeback", "smq 2 migration_threshold 4096");
    const std::string status = tank.status();
    EXPECT_TRUE(status.starts_with("0 512 cache 8 ")) << status;
    EXPECT_NE(status.find("/64 64 0/2 0 0 0 0 0 0 0 2 metadata2 writeback 2 migration_threshold "
                          "4096 smq 0 rw - \n"),
              std::string::npos)
        << status;
    EXPECT_EQ(pdata::must(tank.system.table("c")),
              "0 512 cache metadata fast origin 64 2 metadata2 writeback smq 2 "
              "migration_threshold 4096\n");
    EXPECT_EQ(tank.message("migration_threshold 100"), Errc::ok);
    EXPECT_TRUE(tank.status_has("migration_threshold 100"));
    EXPECT_EQ(tank.message("migration_threshold many"), Errc::invalid);
    EXPECT_EQ(tank.message("random_threshold 4"), Errc::invalid);
    EXPECT_EQ(tank.message("word"), Errc::invalid);
  });
}

TEST(CacheControl, AThresholdOfNothingStopsAllButOverwrites) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 migration_threshold 0");
    EXPECT_EQ(tank.read(0), kOldData);
    EXPECT_EQ(tank.write(0, 1, 1), Errc::ok);
    EXPECT_FALSE(tank.cached(0));
    EXPECT_EQ(tank.write(0, kBlock, 2), Errc::ok);
    EXPECT_TRUE(tank.cached(0));
    sleep_for(std::chrono::seconds{3});
    EXPECT_EQ(tank.view().dirty_count(), 1U);
  });
}

TEST(CacheControl, BadTablesAreRefusedInWords) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    const auto refusal = [&](std::string_view words, std::uint64_t sectors = 512) -> std::string {
      const auto made =
          tank.system.create_with_table("x", fmt::format("0 {} cache {}", sectors, words));
      if (!made) return made.error().what;
      pdata::must(tank.system.remove("x"));
      return "";
    };
    EXPECT_EQ(refusal("metadata fast"), "Insufficient args");
    EXPECT_EQ(refusal("metadata fast origin"), "Insufficient args");
    EXPECT_EQ(refusal("metadata fast origin 64 0"), "Insufficient args");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq"), "Insufficient args");
    EXPECT_EQ(refusal("nowhere fast origin 64 0 smq 0"), "Error opening metadata device");
    EXPECT_EQ(refusal("metadata nowhere origin 64 0 smq 0"), "Error opening cache device");
    EXPECT_EQ(refusal("metadata fast nowhere 64 0 smq 0"), "Error opening origin device");
    EXPECT_EQ(refusal("metadata fast fast 64 0 smq 0"),
              "the three devices of a cache must be different ones");
    for (const char* const size : {"0", "32", "65", "x", "4194304"})
      EXPECT_EQ(refusal(fmt::format("metadata fast origin {} 0 smq 0", size)),
                "Invalid data block size");
    EXPECT_EQ(refusal("metadata fast origin 256 0 smq 0"),
              "Data block size is larger than the cache device");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq 0", 513),
              "Device size larger than cached device");
    EXPECT_EQ(refusal("metadata fast origin 64 4 a b c d smq 0"),
              "Invalid number of cache feature arguments");
    EXPECT_EQ(refusal("metadata fast origin 64 1 odd smq 0"),
              "Unrecognised cache feature requested");
    EXPECT_EQ(refusal("metadata fast origin 64 2 writeback writethrough smq 0"),
              "Duplicate cache io_mode features requested");
    EXPECT_EQ(refusal("metadata fast origin 64 0 nothing 0"), "Error creating cache's policy");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq 1 a"),
              "Odd number of policy arguments given but they should be <key> <value> pairs.");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq 2 a"), "Invalid number of policy arguments");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq 2 a b"),
              "Error setting cache policy's config values");
    EXPECT_EQ(refusal("metadata fast origin 64 0 smq 2 a 1"),
              "Error setting cache policy's config values");
    EXPECT_EQ(refusal("metadata fast origin 64 1 WRITETHROUGH default 0"), "");
  });
}

}   // namespace
}   // namespace engine::cache
