// Tables, messages, status lines, suspending, removing.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

struct BadTable {
  const char* table;
  const char* text;
  Errc code;
};

TEST(ThinTables, PoolTablesAreRefusedInTheKernelsWords) {
  const std::vector<BadTable> tables{
      {"0 2048 thin-pool metadata data 128", "Invalid argument count", Errc::invalid},
      {"0 2048 thin-pool data data 128 0", "Error setting metadata or data device", Errc::invalid},
      {"0 2048 thin-pool metadata data 128 0 9 a", "Invalid number of pool feature arguments",
       Errc::invalid},
      {"0 2048 thin-pool metadata data 128 0 1 fast", "Unrecognised pool feature requested",
       Errc::invalid},
      {"0 2048 thin-pool nowhere data 128 0", "Error opening metadata block device",
       Errc::not_found},
      {"0 2048 thin-pool metadata nowhere 128 0", "Error getting data device", Errc::not_found},
      {"0 2048 thin-pool metadata data 64 0", "Invalid block size", Errc::invalid},
      {"0 2048 thin-pool metadata data 200 0", "Invalid block size", Errc::invalid},
      {"0 2048 thin-pool metadata data 128 much", "Invalid low water mark", Errc::invalid},
      {"0 2048 thin-pool metadata data 128 0 1 read_only", "the metadata device is blank",
       Errc::not_permitted},
      {"0 2049 thin-pool metadata data 128 0", "data device too small for target", Errc::invalid},
  };
  for_seeds(1, [&](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    for (const BadTable& bad : tables) {
      const auto made = tank.system.create_with_table("pool", bad.table);
      ASSERT_FALSE(made) << bad.table;
      EXPECT_STREQ(made.error().what, bad.text) << bad.table;
      EXPECT_EQ(made.error().code, bad.code) << bad.table;
      EXPECT_EQ(tank.targets.pools().open_pools(), 0U);
    }
    tank.make_pool();
    const auto again = tank.system.create_with_table("other", tank.pool_table(16, ""));
    ASSERT_FALSE(again);
    EXPECT_STREQ(again.error().what, "metadata device already in use by a pool");
    EXPECT_EQ(again.error().code, Errc::busy);
    const auto size = tank.system.load("pool", "0 2048 thin-pool metadata data 256 0");
    ASSERT_FALSE(size);
    EXPECT_STREQ(size.error().what, "Error creating metadata object");
    const auto other = tank.system.load("pool", "0 2048 thin-pool origin data 128 0");
    ASSERT_FALSE(other);
    EXPECT_STREQ(other.error().what, "different pool cannot replace a pool");
    const auto swapped = tank.system.load("pool", "0 2048 thin-pool metadata origin 128 0");
    ASSERT_FALSE(swapped);
    EXPECT_STREQ(swapped.error().what, "data device already in use by a pool");
    const auto ignoring = tank.system.load("pool", tank.pool_table(16, "1 ignore_discard"));
    ASSERT_FALSE(ignoring);
    EXPECT_STREQ(ignoring.error().what, "Discard support cannot be disabled once enabled");
    EXPECT_FALSE(tank.reload_pool(8));   // smaller than recorded
    EXPECT_TRUE(tank.reload_pool(16));
  });
}

TEST(ThinTables, ThinTablesAreRefusedInTheKernelsWords) {
  const std::vector<BadTable> tables{
      {"0 1024 thin pool", "Invalid argument count", Errc::invalid},
      {"0 1024 thin pool 0 pool", "Error setting origin device", Errc::invalid},
      {"0 1024 thin pool 0 nowhere", "Error opening origin device", Errc::not_found},
      {"0 1024 thin nowhere 0", "Error opening pool device", Errc::not_found},
      {"0 1024 thin pool 16777216", "Invalid device id", Errc::invalid},
      {"0 1024 thin pool x", "Invalid device id", Errc::invalid},
      {"0 1024 thin origin 0", "Couldn't get pool mapped device", Errc::invalid},
      {"0 1024 thin zeroes 0", "Couldn't find pool object", Errc::invalid},
      {"0 1024 thin pool 1", "Couldn't open thin internal device", Errc::not_found},
  };
  for_seeds(1, [&](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    EXPECT_EQ(tank.message("create_thin 0"), Errc::ok);
    pdata::must(tank.system.create_with_table("zeroes", "0 8 zero"));
    for (const BadTable& bad : tables) {
      const auto made = tank.system.create_with_table("t", bad.table);
      ASSERT_FALSE(made) << bad.table;
      EXPECT_STREQ(made.error().what, bad.text) << bad.table;
      EXPECT_EQ(made.error().code, bad.code) << bad.table;
    }
    EXPECT_EQ(tank.message("delete 0"), Errc::ok);   // nobody holds it open
  });
}

TEST(ThinTables, AThinIsNotActivatedWhileThePoolIsSuspended) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    EXPECT_EQ(tank.message("create_thin 0"), Errc::ok);
    EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::flush));
    const auto made = tank.activate(0);
    ASSERT_FALSE(made);
    EXPECT_STREQ(made.error().what, "Unable to activate thin device while pool is suspended");
    EXPECT_TRUE(tank.system.resume("pool"));
    EXPECT_TRUE(tank.activate(0));
  });
}

TEST(ThinMessages, DoAndRefuseWhatTheyShould) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    EXPECT_EQ(tank.message("create_thin 0"), Errc::ok);
    EXPECT_EQ(tank.message("Create_Thin 1"), Errc::ok);
    EXPECT_EQ(tank.message("create_thin 0"), Errc::exists);
    EXPECT_EQ(tank.message("create_thin"), Errc::invalid);
    EXPECT_EQ(tank.message("create_thin 16777216"), Errc::invalid);
    EXPECT_EQ(tank.message("create_thin -1"), Errc::invalid);
    EXPECT_EQ(tank.message("create_snap 2 9"), Errc::not_found);
    EXPECT_EQ(tank.message("create_snap 1 0"), Errc::exists);
    EXPECT_EQ(tank.message("create_snap 2"), Errc::invalid);
    EXPECT_EQ(tank.message("create_snap 2 0"), Errc::ok);
    EXPECT_EQ(tank.message("delete 9"), Errc::not_found);
    EXPECT_EQ(tank.message("delete 2"), Errc::ok);
    pdata::must(tank.activate(0));
    EXPECT_EQ(tank.message("delete 0"), Errc::busy);
    EXPECT_EQ(tank.message("set_transaction_id 1 2"), Errc::invalid);
    EXPECT_EQ(tank.message("set_transaction_id 0 x"), Errc::invalid);
    EXPECT_EQ(tank.message("set_transaction_id 0 7"), Errc::ok);
    EXPECT_EQ(tank.message("release_metadata_snap"), Errc::invalid);
    EXPECT_EQ(tank.message("reserve_metadata_snap"), Errc::ok);
    EXPECT_EQ(tank.message("reserve_metadata_snap"), Errc::busy);
    EXPECT_FALSE(tank.status_has(" - rw "));
    EXPECT_EQ(tank.message("release_metadata_snap"), Errc::ok);
    EXPECT_TRUE(tank.status_has(" - rw "));
    EXPECT_EQ(tank.message("explode"), Errc::invalid);
    EXPECT_EQ(tank.status().substr(0, 19), "0 2048 thin-pool 7 ");
  });
}

TEST(ThinStatus, LinesAreTheKernels) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.metadata_blocks = 4096}};
    tank.make_pool("2 skip_block_zeroing no_discard_passdown");
    tank.make_thin(3, 4);
    EXPECT_EQ(pdata::must(tank.system.table("pool")),
              "0 2048 thin-pool metadata data 128 2 2 skip_block_zeroing no_discard_passdown \n");
    EXPECT_EQ(pdata::must(tank.system.table("t3")), "0 512 thin pool 3\n");
    EXPECT_EQ(pdata::must(tank.system.status("t3")), "0 512 thin 0 -\n");
    EXPECT_EQ(tank.write(3, 2 * kBlock, 1, 1), Errc::ok);
    EXPECT_EQ(tank.write(3, 0, 1, 1), Errc::ok);
    EXPECT_EQ(pdata::must(tank.system.status("t3")), "0 512 thin 256 383\n");
    const std::string line = tank.status();
    EXPECT_EQ(line.substr(0, 19), "0 2048 thin-pool 0 ");
    EXPECT_NE(line.find("/4096 2/16 - rw no_discard_passdown queue_if_no_space - 1024 "),
              std::string::npos)
        << line;
    EXPECT_TRUE(line.ends_with(" \n"));
  });
}

TEST(ThinStatus, TheTableLineSaysAllThatWasAskedFor) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool("2 no_discard_passdown ignore_discard");
    EXPECT_NE(pdata::must(tank.system.table("pool")).find(" 2 ignore_discard no_discard_passdown "),
              std::string::npos);
    EXPECT_TRUE(tank.status_has(" ignore_discard "));
  });
}

TEST(ThinStatus, AReadOnlyPoolServesAndAllocatesNothing) {
  for_seeds(2, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    EXPECT_TRUE(tank.reload_pool(16, "1 read_only"));
    EXPECT_TRUE(tank.status_has(" ro "));
    EXPECT_EQ(tank.read(0, 0), 1U);
    EXPECT_EQ(tank.write(0, 0, 1, 2), Errc::ok);
    EXPECT_EQ(tank.write(0, kBlock, 1, 2), Errc::io_error);
    EXPECT_EQ(tank.message("create_thin 1"), Errc::not_supported);
    EXPECT_TRUE(tank.reload_pool(16));
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(tank.write(0, kBlock, 1, 2), Errc::ok);
  });
}

TEST(ThinStatus, DevicesGrowOnReload) {
  for_seeds(2, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool("", 4);
    EXPECT_TRUE(tank.status_has("/128 0/4 "));
    EXPECT_TRUE(tank.reload_pool(9));
    EXPECT_TRUE(tank.status_has("/128 0/9 "));
    tank.metadata.resize(256 * kMetaBlockSectors);
    EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::flush));
    EXPECT_TRUE(tank.system.resume("pool"));
    EXPECT_TRUE(tank.status_has("/256 0/9 "));
  });
}

// Blocks that are not there would be recorded, and no table that fits be taken any more.
TEST(ThinTables, APoolLongerThanItsDataDeviceChangesNothing) {
  for_seeds(2, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    EXPECT_FALSE(tank.system.create_with_table("pool", tank.pool_table(17, "")));
    std::array<std::byte, 512> superblock{std::byte{1}};
    tank.metadata.peek(Sector{0}, superblock);
    EXPECT_EQ(superblock, (std::array<std::byte, 512>{}));   // blank as before
    tank.make_pool("", 4);
    tank.make_thin(0, 32);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    EXPECT_FALSE(tank.reload_pool(17));
    EXPECT_TRUE(tank.status_has("/128 1/4 "));
    EXPECT_TRUE(tank.reload_pool(16));
    for (std::uint64_t block = 1; block < 16; ++block)
      EXPECT_EQ(tank.write(0, block * kBlock, 1, 1), Errc::ok);
    EXPECT_TRUE(tank.status_has("/128 16/16 "));
  });
}

// The table fits when it is loaded, and the data device is given a shorter one before the resume.
TEST(ThinTables, APoolWhoseDataDeviceHasShrunkStaysSuspended) {
  for_seeds(2, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    const auto below = [&](std::uint64_t blocks) {
      pdata::must(tank.system.load("below", fmt::format("0 {} linear data 0", blocks * kBlock)));
      pdata::must(tank.system.resume("below"));
    };
    const auto table = [](std::uint64_t blocks) {
      return fmt::format("0 {} thin-pool metadata below {} 0", blocks * kBlock, kBlock);
    };
    pdata::must(tank.system.create("below"));
    below(16);
    pdata::must(tank.system.create_with_table("pool", table(4)));
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    pdata::must(tank.system.load("pool", table(16)));
    below(15);
    const auto resumed = tank.system.resume("pool");
    ASSERT_FALSE(resumed);
    EXPECT_STREQ(resumed.error().what, "data device too small for target");
    EXPECT_EQ(resumed.error().where, 15 * kBlock);
    EXPECT_TRUE(tank.status_has("/128 1/4 "));   // nothing is recorded
    pdata::must(tank.system.load("pool", table(15)));
    pdata::must(tank.system.resume("pool"));
    EXPECT_TRUE(tank.status_has("/128 1/15 "));
    EXPECT_EQ(tank.read(0, 0), 1U);
  });
}

// Thins come and go while others work and the pool is suspended and resumed.
TEST(ThinLife, RemovingUnderLoadLosesNobodysBios) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.options = {.mappings_max = 1, .caller_cells_max = 1}}};
    tank.make_pool();
    for (std::uint32_t id = 0; id < 4; ++id)
      tank.make_thin(id, 4);
    Together all{execution};
    for (std::uint32_t id = 0; id < 4; ++id) {
      all.run("worker", [&tank, id] {
        EXPECT_EQ(tank.write(id, 0, 1, 10 + id), Errc::ok);
        EXPECT_EQ(tank.flush(id), Errc::ok);
        EXPECT_EQ(tank.read(id, 0), 10U + id);
        if (id == 3) return;
        EXPECT_TRUE(tank.system.remove(fmt::format("t{}", id)));
      });
    }
    all.run("bouncer", [&] {
      EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::flush));
      EXPECT_TRUE(tank.system.resume("pool"));
      EXPECT_TRUE(tank.system.suspend("t3", io::SuspendKind::noflush));
      EXPECT_TRUE(tank.system.resume("t3"));
    });
    all.wait();
    EXPECT_EQ(tank.read(3, 0), 13U);
    tank.expect_idle();
  });
}

// Each makes thins quiet: the pool's suspend all of them, a snapshot that of its origin.
void bounce_and_snap(PoolTank& tank) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::flush));
    EXPECT_TRUE(tank.system.resume("pool"));
    EXPECT_EQ(tank.message(fmt::format("create_snap {} 0", 10 + i)), Errc::ok);
  }
}

// Thins may stand on each other, as external origins, with other devices between, and be published
// in any order. What the pool makes quiet never waits for what is quiet already.
TEST(ThinLife, APoolSuspendsThinsThatStandOnItsThins) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution, {.data_blocks = 32}};
    tank.make_pool();
    tank.make_thin(0, 4);
    tank.make_thin(1, 4, "t0");
    pdata::must(
        tank.system.create_with_table("between", fmt::format("0 {} linear t1 0", 4 * kBlock)));
    tank.make_thin(2, 4, "between");
    if (seed % 2 == 0) {   // the lowest is published last
      EXPECT_TRUE(tank.system.load("t0", fmt::format("0 {} thin pool 0", 4 * kBlock)));
      EXPECT_TRUE(tank.system.resume("t0"));
    }
    for (std::uint64_t block = 0; block < 4; ++block)
      EXPECT_EQ(tank.write(0, block * kBlock, 1, block + 1), Errc::ok);
    Together all{execution};
    for (const std::uint32_t id : {1U, 2U}) {
      all.run("reader", [&tank, id] {
        for (std::uint64_t block = 0; block < 4; ++block)
          EXPECT_EQ(tank.read(id, block * kBlock), block + 1);
      });
      all.run("writer", [&tank, id] {
        for (std::uint64_t block = 0; block < 4; ++block)
          EXPECT_EQ(tank.write(id, block * kBlock + 1, 1, 7), Errc::ok);
      });
    }
    all.run("operator", [&] { bounce_and_snap(tank); });
    all.wait();
    EXPECT_EQ(tank.read(2, 3 * kBlock), 4U);
    tank.expect_idle();
  });
}

// The device of a thin that stands in an inactive table is as high as its active table has it.
TEST(ThinLife, APoolSuspendsADeviceOnItsThinThatIsToBecomeAThin) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 32}};
    tank.make_pool();
    tank.make_thin(0, 4);
    ASSERT_EQ(tank.message("create_thin 1"), Errc::ok);
    constexpr std::uint32_t kAbove = 9;
    pdata::must(tank.system.create_with_table("t9", fmt::format("0 {} linear t0 0", 4 * kBlock)));
    ASSERT_TRUE(tank.system.load("t9", fmt::format("0 {} thin pool 1", 4 * kBlock)));
    Together all{execution};
    for (std::uint64_t block = 0; block < 4; ++block) {
      all.run("writer", [&, block] {
        for (std::uint64_t i = 0; i < 4; ++i)
          EXPECT_EQ(tank.write(kAbove, block * kBlock + i, 1, i + 1), Errc::ok);
      });
    }
    all.run("operator", [&] { bounce_and_snap(tank); });
    all.wait();
    EXPECT_EQ(tank.read(0, 3 * kBlock + 3), 4U);
    EXPECT_TRUE(tank.system.resume("t9"));
    EXPECT_EQ(tank.read(kAbove, 3 * kBlock + 3), 0U);
    tank.expect_idle();
  });
}

TEST(ThinLife, AThinMayGoWhileItsPoolIsSuspended) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    tank.make_thin(1);
    EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::flush));
    EXPECT_TRUE(tank.system.remove("t0"));
    // A device that stands on the pool no longer wakes up all the same.
    pdata::must(tank.system.load("t1", "0 8 zero"));
    EXPECT_TRUE(tank.system.suspend("t1", io::SuspendKind::flush));
    EXPECT_TRUE(tank.system.resume("t1"));
    EXPECT_TRUE(tank.system.resume("pool"));
    EXPECT_EQ(tank.read(1, 0), 0U);
  });
}

TEST(ThinLife, AnIdlePoolDoesNotWakeUp) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    sleep_for(std::chrono::seconds{2});
    const std::uint32_t before = tank.metadata.submissions();
    sleep_for(std::chrono::seconds{100});
    EXPECT_EQ(tank.metadata.submissions(), before);
    // What was written has been committed by the tick.
    EXPECT_FALSE(tank.status_has("x"));
    EXPECT_EQ(tank.metadata.submissions(), before);
  });
}

}   // namespace
}   // namespace engine::thin
