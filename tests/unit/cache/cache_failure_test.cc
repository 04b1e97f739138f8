// Failing devices, power cuts, and what is left of a cache then.
#include "tests/unit/cache/cache_tank.h"

namespace engine::cache {
namespace {

constexpr std::array<const char*, 2> kModes{"1 writeback", "1 writethrough"};

TEST(CacheFailure, AFailedCommitEndsAllMovingAndIoGoesOn) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheImages images;
    {
      CacheTank tank{execution};
      tank.make("1 writeback", "eager 2 writeback 0");
      EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
      tank.metadata.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
      EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
      tank.metadata.faults().rules.clear();
      EXPECT_TRUE(tank.status_has(" ro needs_check "));
      EXPECT_FALSE(tank.cached(1));
      EXPECT_EQ(tank.read(0), 41U);
      EXPECT_EQ(tank.write(1, 1, 42), Errc::ok);
      EXPECT_EQ(tank.write(kBlock, 1, 43), Errc::ok);
      EXPECT_EQ(CacheTank::peek(tank.origin, kBlock), 43U);
      EXPECT_EQ(tank.flush(), Errc::ok);
      EXPECT_EQ(tank.message("promote 1"), Errc::not_supported);
      tank.expect_idle();
      // No table gets it back to work.
      const auto refused = tank.system.load("c", tank.table());
      ASSERT_FALSE(refused);
      EXPECT_STREQ(refused.error().what,
                   "Unable to get write access to metadata, please check/repair metadata.");
      pdata::must(tank.system.remove_all());
      images = tank.images();
    }
    CacheTank tank{execution, {.images = images}};
    EXPECT_FALSE(tank.system.create_with_table("c", tank.table()));
  });
}

TEST(CacheFailure, AFailingAbortIsTheEndOfTheMetadataAlone) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    tank.metadata.faults().rules.push_back(
        {.ops = sim::kReads | sim::kWrites, .one_in = 1, .count_max = 1000});
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    EXPECT_EQ(tank.status(), "0 512 cache Fail\n");
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.write(0, 2, 42), Errc::ok);
    EXPECT_EQ(tank.read(1), 42U);
    EXPECT_EQ(tank.flush(), Errc::ok);
    tank.expect_idle();
  });
}

// The block cannot leave the cache any more, so both copies of it are kept alike.
TEST(CacheFailure, PassthroughWritesGoOnWhenNothingCanBeInvalidated) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    EXPECT_TRUE(tank.reload("1 passthrough"));
    tank.metadata.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    tank.metadata.faults().rules.clear();
    EXPECT_TRUE(tank.status_has(" ro needs_check "));
    EXPECT_TRUE(tank.cached(0));
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.write(1, 1, 42), Errc::ok);
    tank.expect_idle();
  });
}

// A block that cannot leave after a failed write is what the fast device holds.
TEST(CacheFailure, AFailedWriteThroughAReadOnlyCacheLeavesOneAnswer) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution};
    tank.make("1 writethrough");
    EXPECT_EQ(tank.read(0), kOldData);
    sim::SimDevice& sick = seed % 2 == 0 ? tank.fast : tank.origin;
    const bool before = seed % 4 < 2;
    tank.metadata.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    if (before) {
      EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    }
    sick.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    EXPECT_EQ(tank.write(3, 4, 41), Errc::io_error);
    tank.metadata.faults().rules.clear();
    sick.faults().rules.clear();
    EXPECT_TRUE(tank.status_has(" ro needs_check "));
    EXPECT_TRUE(tank.cached(0));
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(tank.read(4), CacheTank::peek(tank.fast, tank.place_of(0)->value() * kBlock + 4));
    tank.expect_idle();
  });
}

TEST(CacheFailure, AFailedWritebackLeavesTheBlockDirtyForTheCoreAndThePolicy) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 0");
    tank.origin.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    EXPECT_EQ(tank.write(0, kBlock, 41), Errc::ok);
    EXPECT_EQ(tank.message("writeback 1"), Errc::ok);
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    while (tank.origin.faults().rules.size() == 1 && tank.view().counts().migrations != 0)
      yield_now();
    // The next try succeeds.
    sleep_for(std::chrono::seconds{3});
    EXPECT_EQ(tank.view().dirty_count(), 0U);
    EXPECT_EQ(CacheTank::peek(tank.origin, 5), 41U);
    tank.expect_idle();
  });
}

TEST(CacheFailure, ADemotionThatFailsBringsTheVictimBack) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution, {.cache_blocks = 1}};
    tank.make("1 writeback", "eager 4 writeback 0 dirty_victims 1");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    sim::SimDevice& sick = seed % 3 == 0 ? tank.fast : seed % 3 == 1 ? tank.origin : tank.metadata;
    const std::uint32_t ops = seed % 3 == 0 ? sim::kReads : sim::kWrites;
    sick.faults().rules.push_back({.ops = ops, .nth = 1});
    Together all{execution};
    all.run("evicter", [&] { EXPECT_EQ(tank.read(kBlock), kOldData + kBlock); });
    all.run("writer", [&] {
      const Errc written = tank.write(1, 1, 42);
      if (seed % 3 == 2) {
        EXPECT_EQ(written, Errc::ok);
      }
    });
    all.wait();
    sick.faults().rules.clear();
    EXPECT_EQ(tank.read(0), 41U);
    if (seed % 3 == 2) {
      EXPECT_EQ(tank.read(1), 42U);
    }
    tank.expect_idle();
  });
}

TEST(CacheFailure, AFlushThatFailsUndoesTheMove) {
  for_seeds(30, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution, {.cache_blocks = 1}};
    tank.make("1 writeback", "eager 4 writeback 0 dirty_victims 1");
    EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
    sim::SimDevice& sick = seed % 2 == 0 ? tank.fast : tank.origin;
    sick.faults().rules.push_back({.ops = sim::kFlushes, .nth = 1});
    EXPECT_EQ(tank.read(kBlock), kOldData + kBlock);
    EXPECT_TRUE(tank.status_has(" rw - "));
    EXPECT_FALSE(tank.cached(1));
    EXPECT_EQ(tank.cached(0), seed % 2 == 1);
    EXPECT_EQ(tank.read(0), 41U);
    // The metadata too is as before: the next move finds what it needs.
    EXPECT_EQ(tank.read(2 * kBlock), kOldData + 2 * kBlock);
    EXPECT_TRUE(tank.cached(2));
    EXPECT_TRUE(tank.status_has(" rw - "));
    tank.expect_idle();
  });
}

// A failed transfer anywhere ends every bio, leaves no cell behind and no place dirty that is free.
TEST(CacheFailure, EveryBioEndsWhateverFails) {
  for_seeds(600, [](sim::Execution& execution, std::uint64_t seed) {
    CacheTank tank{execution, {.cache_blocks = 1 + seed % 2}};
    tank.make(kModes[seed % 2], "eager 2 dirty_victims 1");
    EXPECT_EQ(tank.write(0, 1, 1), Errc::ok);
    sim::SimDevice* const devices[] = {&tank.metadata, &tank.fast, &tank.origin};
    sim::SimDevice& sick = *devices[seed % 3];
    sick.faults().rules.push_back({.one_in = 4, .count_max = 2});
    Together all{execution};
    all.run("a", [&] { static_cast<void>(tank.write(10, 10, 2)); });
    all.run("b", [&] { static_cast<void>(tank.write(12, kBlock, 3, true)); });
    all.run("c", [&] { static_cast<void>(tank.discard(0, 2 * kBlock)); });
    all.run("d", [&] { static_cast<void>(tank.write(3 * kBlock, kBlock, 4)); });
    all.run("e", [&] { static_cast<void>(tank.read(2 * kBlock)); });
    all.run("f", [&] { static_cast<void>(tank.flush()); });
    all.wait();
    sick.faults().rules.clear();
    static_cast<void>(tank.read(10));
    tank.expect_idle();
  });
}

// --- Power cuts.

TEST(CacheCrash, AWriteAfterAResumeIsNotTakenForClean) {
  for_seeds(40, [](sim::Execution& execution, std::uint64_t seed) {
    CacheImages images;
    {
      CacheTank tank{execution};
      tank.make("1 writeback", "eager 2 writeback 0");
      EXPECT_EQ(tank.read(0), kOldData);
      pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
      if (seed % 2 == 0) pdata::must(tank.system.load("c", tank.table()));
      pdata::must(tank.system.resume("c"));
      EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
      EXPECT_EQ(tank.flush(), Errc::ok);
      tank.cut_power();
      images = tank.crash_images();
    }
    CacheTank tank{execution, {.images = images}};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.view().dirty_count(), 1U);
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_TRUE(tank.reload("1 writeback", "cleaner 0"));
    sleep_for(std::chrono::seconds{3});
    EXPECT_EQ(CacheTank::peek(tank.origin, 0), 41U);
  });
}

TEST(CacheCrash, ATableThatIsNeverResumedLeavesACleanImageClean) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    CacheTank tank{execution};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.read(0), kOldData);
    pdata::must(tank.system.remove("c"));
    pdata::must(tank.system.create("c"));
    pdata::must(tank.system.load("c", tank.table()));
    pdata::must(tank.system.remove("c"));
    tank.make();
    EXPECT_EQ(tank.view().dirty_count(), 0U);
  });
}

// What was flushed survives, in whatever place it was; the rest is old or new. Then everything goes
// back to the origin, and reads the same there.
TEST(CacheCrash, WhatWasMadeDurableSurvivesAPowerCut) {
  for_seeds(1000, [](sim::Execution& execution, std::uint64_t seed) {
    const char* const features = kModes[seed % 2];
    const char* const policy = seed % 3 == 0 ? "eager 2 writeback 0" : "eager 2 dirty_victims 1";
    CacheImages images;
    std::array<std::uint64_t, 4> durable{};
    std::array<std::uint64_t, 4> sent{};
    {
      CacheTank tank{execution, {.cache_blocks = 1 + seed % 2}};
      tank.make(features, policy);
      CutAt::arm(tank, 1 + seed % 151);
      Together all{execution};
      for (std::uint64_t i = 0; i < 3; ++i) {
        all.run("writer", [&, i] {
          for (std::uint64_t value = 1; value < 6; ++value) {
            sent[i] = value;
            const bool fua = i == 2;
            const std::uint64_t sectors = value == 3 ? kBlock : 4;
            if (tank.write(i * kBlock, sectors, value, fua) != Errc::ok) return;
            if (!fua && tank.flush() != Errc::ok) return;
            durable[i] = value;
          }
        });
      }
      all.run("control", [&] {
        pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
        if (tank.system.resume("c")) return;
        pdata::must(tank.system.load("c", "0 512 error"));
        pdata::must(tank.system.resume("c"));
      });
      all.wait();
      tank.cut_power();
      images = tank.crash_images();
    }
    CacheTank tank{execution, {.images = images}};
    tank.make(features, policy);
    std::array<std::uint64_t, 4> seen{};
    for (std::uint64_t i = 0; i < 3; ++i) {
      seen[i] = tank.read(i * kBlock + 3);
      if (seen[i] == kOldData + i * kBlock + 3) seen[i] = 0;
      EXPECT_GE(seen[i], durable[i]) << i;
      EXPECT_LE(seen[i], sent[i]) << i;
    }
    EXPECT_EQ(tank.read(5 * kBlock), kOldData + 5 * kBlock);
    EXPECT_TRUE(tank.reload("1 writeback", "cleaner 0"));
    while (tank.view().dirty_count() != 0)
      sleep_for(std::chrono::seconds{1});
    for (std::uint64_t i = 0; i < 3; ++i) {
      const std::uint64_t on_origin = CacheTank::peek(tank.origin, i * kBlock + 3);
      EXPECT_EQ(on_origin, seen[i] == 0 ? kOldData + i * kBlock + 3 : seen[i]);
    }
    tank.expect_idle();
  });
}

// A clean stop after a cut leaves what is clean equal on both devices, also after another cut.
TEST(CacheCrash, ACleanImageIsTrueEvenIfThePowerGoesAtOnce) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    CacheImages images;
    {
      CacheTank tank{execution};
      tank.make("1 writeback", "eager 0");
      EXPECT_EQ(tank.write(0, 1, 41), Errc::ok);
      EXPECT_EQ(tank.write(kBlock, kBlock, 42), Errc::ok);
      pdata::must(tank.system.suspend("c", io::SuspendKind::flush));
      tank.cut_power();
      images = tank.crash_images();
    }
    CacheTank tank{execution, {.images = images}};
    tank.make("1 writeback", "eager 2 writeback 0");
    EXPECT_EQ(tank.read(0), 41U);
    EXPECT_EQ(tank.read(kBlock + 9), 42U);
    tank.expect_clean_is_equal();
  });
}

}   // namespace
}   // namespace engine::cache
