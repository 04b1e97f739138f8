// Tables that follow each other, resumes that fail, devices below and above.
#include "tests/unit/cache/cache_tank.h"

namespace engine::cache {
namespace {

TEST(CacheReload, WhatWasPromotedSinceTheLoadIsThere) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.read(0), kOldData);
    pdata::must(tank.system.load("c", tank.table("1 writeback", "eager 2 writeback 0")));
    EXPECT_EQ(tank.targets.metadata().open_metadata(), 1U);
    EXPECT_EQ(tank.write(kBlock, kBlock, 42), Errc::ok);
    EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    pdata::must(tank.system.resume("c"));
    EXPECT_EQ(tank.read(kBlock), 42U);
    EXPECT_EQ(tank.read(0), kOldData);
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    tank.expect_idle();
  });
}

TEST(CacheReload, UnderLoad) {
  for_seeds(150, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 dirty_victims 1");
    Together all{execution};
    for (std::uint64_t i = 0; i < 3; ++i) {
      all.run("io", [&, i] {
        for (std::uint64_t value = 1; value < 5; ++value) {
          EXPECT_EQ(tank.write(i * kBlock + 60, 8, 10 * i + value), Errc::ok);
          EXPECT_EQ(tank.read(i * kBlock + 66), 10 * i + value);
        }
      });
    }
    all.run("control", [&] {
      EXPECT_TRUE(tank.reload(seed % 2 == 0 ? "1 writethrough" : "2 metadata2 writeback",
                              seed % 3 == 0 ? "smq 0" : "eager 0"));
      EXPECT_FALSE(tank.system.load("c", tank.table("1 nonsense")));
      EXPECT_TRUE(tank.system.load("c", tank.table()));
      EXPECT_TRUE(tank.system.clear("c"));
      EXPECT_TRUE(tank.system.load("c", tank.table("1 writeback", "eager 0")));
      EXPECT_TRUE(tank.system.resume("c", io::SuspendKind::noflush));
    });
    all.run("observer", [&] { EXPECT_TRUE(tank.status_has("cache 8 ")); });
    all.wait();
    for (std::uint64_t i = 0; i < 3; ++i)
      EXPECT_EQ(tank.read(i * kBlock + 66), 10 * i + 4);
    tank.expect_idle();
  });
}

TEST(CacheReload, AFailedResumeLeavesTheDeviceSuspendedAndTheNextTableServes) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    Together all{execution};
    pdata::must(tank.system.load("c", tank.table("1 passthrough")));
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    all.run("waits", [&] { EXPECT_EQ(tank.read(0), 41U); });
    EXPECT_FALSE(tank.system.resume("c"));
    EXPECT_FALSE(tank.system.resume("c"));   // it tries again, and may
    pdata::must(tank.system.load("c", tank.table("1 writeback", "eager 2 writeback 0")));
    pdata::must(tank.system.resume("c"));
    all.wait();
    tank.expect_idle();
  });
}

TEST(CacheReload, ReadErrorsDuringAResumeAreNotTheEnd) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution, {.options = {.metadata_memory_blocks = 1}}};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    pdata::must(tank.system.load("c", tank.table("1 writeback", "eager 2 writeback 0")));
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    tank.metadata.faults().rules.push_back({.ops = sim::kReads, .nth = 1 + seed % 6});
    if (!tank.system.resume("c")) {
      tank.metadata.faults().rules.clear();
      EXPECT_TRUE(tank.system.resume("c"));
    }
    EXPECT_EQ(tank.read(0), 41U);
  });
}

TEST(CacheReload, OneDeviceAtATimeUsesTheMetadata) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make();
    EXPECT_EQ(tank.read(0), kOldData);
    pdata::must(tank.system.create("other"));
    pdata::must(tank.system.load("other", tank.table()));
    const auto refused = tank.system.resume("other");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::busy);
    // Neither while the first is suspended.
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    EXPECT_FALSE(tank.system.resume("other"));
    pdata::must(tank.system.resume("c"));
    pdata::must(tank.system.remove("c"));
    EXPECT_TRUE(tank.system.resume("other"));
    EXPECT_EQ(tank.read(0, "other"), kOldData);
  });
}

// A second cache, of other disks but for one.
TEST(CacheReload, NoDiskIsTwoCachesOrTwoThingsToThem) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    std::vector<std::unique_ptr<sim::SimDevice>> others;
    for (const char* name : {"metadata2", "fast2", "origin2"}) {
      others.push_back(std::make_unique<sim::SimDevice>(
          execution, name, sim::SimDeviceOptions{.sectors = 8 * kBlock}));
      tank.more.emplace(name, others.back().get());
    }
    tank.make();
    const auto refusal = [&](std::string_view disks) -> std::string {
      const auto made = tank.system.create_with_table(
          "other", fmt::format("0 {} cache {} {} 1 writeback eager 0", 8 * kBlock, disks, kBlock));
      if (made) {
        pdata::must(tank.system.remove("other"));
        return "";
      }
      EXPECT_EQ(made.error().code, Errc::busy) << disks;
      return made.error().what;
    };
    const std::string of_fast = "device already in use as the cache device of another cache";
    const std::string of_origin = "device already in use as the origin of another cache";
    const std::string of_metadata = "device already in use as the metadata device of a cache";
    EXPECT_EQ(refusal("metadata2 fast origin2"), of_fast);
    EXPECT_EQ(refusal("metadata2 fast2 origin"), of_origin);
    EXPECT_EQ(refusal("metadata2 origin fast2"), of_origin);
    EXPECT_EQ(refusal("metadata2 fast2 metadata"), of_metadata);
    EXPECT_EQ(refusal("fast fast2 origin2"), of_fast);
    EXPECT_EQ(CacheTank::peek(tank.fast, 0), kOldFast);   // nobody has made it metadata
    EXPECT_EQ(refusal("metadata2 fast2 origin2"), "");
    // A table that is only loaded has its claims, too, until it is cleared.
    pdata::must(tank.system.load("c", tank.table()));
    pdata::must(tank.system.clear("c"));
    pdata::must(tank.system.remove("c"));
    EXPECT_EQ(refusal("metadata2 fast origin"), "");
  });
}

TEST(CacheReload, AnOriginThatHasShrunkSinceTheLoadIsRefused) {
  for_seeds(2, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make();
    pdata::must(tank.system.load("c", tank.table()));
    tank.origin.resize(tank.origin_sectors() - 1);
    const auto resumed = tank.system.resume("c");
    ASSERT_FALSE(resumed);
    EXPECT_STREQ(resumed.error().what, "Device size larger than cached device");
    tank.origin.resize(tank.origin_sectors());
    pdata::must(tank.system.resume("c"));
    EXPECT_EQ(tank.read(0), kOldData);
  });
}

TEST(CacheReload, GrowsAndShrinksWithItsFastDevice) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.cache_blocks = 4}};
    tank.make("1 writeback", "eager 2 writeback 0");
    for (std::uint64_t block = 0; block < 4; ++block)
      EXPECT_EQ(tank.read(block * kBlock), kOldData + block * kBlock);
    EXPECT_EQ(tank.write(3 * kBlock, 1, 41), Errc::ok);
    const auto dirty_place = tank.place_of(3);
    ASSERT_EQ(dirty_place, CacheBlock{3});
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    tank.fast.resize(2 * kBlock);
    EXPECT_FALSE(tank.system.resume("c"));   // the table was made for another size
    pdata::must(tank.system.load("c", tank.table("1 writeback", "eager 2 writeback 0")));
    EXPECT_FALSE(tank.system.resume("c"));   // a dirty block would go
    tank.fast.resize(4 * kBlock);
    EXPECT_TRUE(tank.reload("1 writeback", "cleaner 0"));
    EXPECT_TRUE(tank.status_has(" rw - "));
    while (tank.view().dirty_count() != 0)
      sleep_for(std::chrono::seconds{1});
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    tank.fast.resize(2 * kBlock);
    EXPECT_TRUE(tank.reload("1 writeback", "eager 2 writeback 0"));
    EXPECT_EQ(tank.view().mappings().size(), 2U);
    EXPECT_EQ(tank.read(3 * kBlock), 41U);
    tank.expect_idle();
    tank.fast.resize(6 * kBlock);
    EXPECT_TRUE(tank.reload("1 writeback", "eager 2 writeback 0"));
    EXPECT_EQ(tank.view().cache_blocks(), 6U);
    tank.expect_idle();
  });
}

// --- Stacks.

TEST(CacheStack, OverLinearDevicesAndUnderAnother) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    pdata::must(tank.system.create_with_table("lo", "0 512 linear origin 0"));
    pdata::must(tank.system.create_with_table("lf", "0 128 linear fast 0"));
    pdata::must(tank.system.create_with_table("c", "0 512 cache metadata lf lo 64 0 eager 0"));
    pdata::must(tank.system.create_with_table("top", "0 256 linear c 64"));
    EXPECT_EQ(tank.write(0, 3, 41, true, "top"), Errc::ok);
    EXPECT_EQ(tank.read(64), 41U);
    EXPECT_EQ(tank.read(2, "top"), 41U);
    EXPECT_FALSE(tank.system.remove("lo"));
    // Devices below are suspended and replaced under load.
    Together all{execution};
    all.run("io", [&] {
      for (std::uint64_t value = 1; value < 6; ++value)
        EXPECT_EQ(tank.write(value * 40, 40, value, false, "top"), Errc::ok);
    });
    all.run("below", [&] {
      pdata::must(tank.system.load("lf", "0 128 linear fast 0"));
      pdata::must(tank.system.suspend("lf", io::SuspendKind::flush));
      pdata::must(tank.system.resume("lf"));
    });
    all.wait();
    for (std::uint64_t value = 1; value < 6; ++value)
      EXPECT_EQ(tank.read(value * 40 + 39, "top"), value);
    tank.expect_idle();
  });
}

// A thin volume whose pool has its data on a cache.
TEST(CacheStack, AThinPoolOnACache) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution, {.origin_blocks = 16}};
    sim::SimDevice pool_metadata{
        execution, "pool_metadata", {.sectors = 1024, .logical_block_sectors = 8}};
    tank.more["pool_metadata"] = &pool_metadata;
    tank.make();
    pdata::must(tank.system.create_with_table("pool", "0 1024 thin-pool pool_metadata c 128 0"));
    pdata::must(tank.system.message("pool", Sector{0}, "create_thin 0"));
    pdata::must(tank.system.create_with_table("t", "0 1024 thin pool 0"));
    Together all{execution};
    all.run("a", [&] { EXPECT_EQ(tank.write(5, 200, 41, false, "t"), Errc::ok); });
    all.run("b", [&] { EXPECT_EQ(tank.write(300, 10, 42, true, "t"), Errc::ok); });
    all.run("control", [&] { EXPECT_TRUE(tank.reload("1 writethrough")); });
    all.wait();
    EXPECT_EQ(tank.read(204, "t"), 41U);
    EXPECT_EQ(tank.read(305, "t"), 42U);
    EXPECT_EQ(tank.read(310, "t"), 0U);
    pdata::must(tank.system.remove("t"));
    pdata::must(tank.system.remove("pool"));
    tank.expect_idle();
    pdata::must(tank.system.remove_all());
  });
}

// A cache whose origin is a thin volume.
TEST(CacheStack, ACacheOnAThinVolume) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    sim::SimDevice pool_metadata{
        execution, "pool_metadata", {.sectors = 1024, .logical_block_sectors = 8}};
    tank.more["pool_metadata"] = &pool_metadata;
    pdata::must(
        tank.system.create_with_table("pool", "0 512 thin-pool pool_metadata origin 128 0"));
    pdata::must(tank.system.message("pool", Sector{0}, "create_thin 0"));
    pdata::must(tank.system.create_with_table("t", "0 2048 thin pool 0"));
    pdata::must(tank.system.create_with_table(
        "c", "0 2048 cache metadata fast t 64 1 writeback eager 2 dirty_victims 1"));
    Together all{execution};
    all.run("a", [&] {
      for (std::uint64_t value = 1; value < 6; ++value)
        EXPECT_EQ(tank.write(value * 50, 50, value), Errc::ok);
    });
    all.run("snap",
            [&] { pdata::must(tank.system.message("pool", Sector{0}, "create_snap 1 0")); });
    all.wait();
    for (std::uint64_t value = 1; value < 6; ++value)
      EXPECT_EQ(tank.read(value * 50 + 49), value);
    EXPECT_EQ(tank.read(1900), 0U);
    pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
    for (const std::string& miscount : tank.view().miscounts())
      ADD_FAILURE() << miscount;
    for (const std::string& leak : tank.view().leaks())
      ADD_FAILURE() << leak;
    pdata::must(tank.system.remove_all());
  });
}

}   // namespace
}   // namespace engine::cache
