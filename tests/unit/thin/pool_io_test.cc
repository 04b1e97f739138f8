// Reads and writes of thins: provisioning, sharing, external origins.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

TEST(ThinIo, UnwrittenBlocksReadAsZeroes) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.used_data = true}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.read(0, 5), 0U);
    EXPECT_EQ(tank.free_data(), 16U);
  });
}

TEST(ThinIo, APartOfANewBlockIsWrittenAndTheRestIsZero) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.used_data = true}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, kBlock + 7, 3, 41), Errc::ok);
    EXPECT_EQ(tank.read(0, kBlock + 8), 41U);
    EXPECT_EQ(tank.read(0, kBlock + 6), 0U);
    EXPECT_EQ(tank.read(0, kBlock + 10), 0U);
    EXPECT_EQ(tank.read(0, 0), 0U);
    EXPECT_EQ(tank.free_data(), 15U);
    tank.expect_idle();
  });
}

TEST(ThinIo, SkippedZeroingLeavesWhatWasThere) {
  for_seeds(3, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.used_data = true}};
    tank.make_pool("1 skip_block_zeroing");
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 7, 3, 41), Errc::ok);
    EXPECT_EQ(tank.read(0, 8), 41U);
    EXPECT_NE(tank.read(0, 20), 0U);
  });
}

TEST(ThinIo, WritesAcrossBlocksAndByManyFibersAllArrive) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution,
                  {.used_data = true, .options = {.mappings_max = 2, .caller_cells_max = 1}}};
    tank.make_pool();
    tank.make_thin(0);
    Together writers{execution};
    for (std::uint64_t i = 0; i < 4; ++i) {
      writers.run("writer", [&tank, i] {
        EXPECT_EQ(tank.write(0, i * 60, 60, 100 + i, i % 2 == 0), Errc::ok);
      });
    }
    writers.run("reader", [&tank] {
      const std::uint64_t seen = tank.read(0, 61);
      EXPECT_TRUE(seen == 0 || seen == 101) << seen;
    });
    writers.wait();
    for (std::uint64_t i = 0; i < 4; ++i)
      EXPECT_EQ(tank.read(0, i * 60 + 59), 100 + i);
    EXPECT_EQ(tank.read(0, 255), 0U);
    tank.expect_idle();
  });
}

TEST(ThinIo, ASnapshotKeepsWhatItsOriginOverwrites) {
  for_seeds(40, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 2 * kBlock, 1), Errc::ok);
    tank.make_snap(1, 0);
    EXPECT_EQ(tank.free_data(), 14U);
    Together both{execution};
    both.run("origin", [&] { EXPECT_EQ(tank.write(0, 10, 10, 2), Errc::ok); });
    both.run("whole", [&] { EXPECT_EQ(tank.write(0, kBlock, kBlock, 3), Errc::ok); });
    both.run("snap", [&] { EXPECT_EQ(tank.write(1, 30, 10, 4), Errc::ok); });
    both.run("reader", [&] { EXPECT_EQ(tank.read(1, 10), 1U); });
    both.wait();
    EXPECT_EQ(tank.read(0, 10), 2U);
    EXPECT_EQ(tank.read(0, 30), 1U);
    EXPECT_EQ(tank.read(0, kBlock), 3U);
    EXPECT_EQ(tank.read(1, 10), 1U);
    EXPECT_EQ(tank.read(1, 30), 4U);
    EXPECT_EQ(tank.read(1, 2 * kBlock - 1), 1U);
    tank.expect_idle();
  });
}

TEST(ThinIo, SnapshotsOfSnapshotsEachKeepTheirTime) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    for (std::uint32_t depth = 0; depth < 5; ++depth) {
      EXPECT_EQ(tank.write(depth, 3, 1, 50 + depth), Errc::ok);
      tank.make_snap(depth + 1, depth);
    }
    for (std::uint32_t depth = 0; depth < 5; ++depth)
      EXPECT_EQ(tank.read(depth, 3), 50 + depth);
    EXPECT_EQ(tank.read(5, 3), 54U);
  });
}

// The snapshot is a point in time, whatever is in flight, and nobody has to suspend the origin.
TEST(ThinIo, ASnapshotUnderLoadNeverChanges) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    Together both{execution};
    both.run("writer", [&] {
      for (std::uint64_t value = 2; value < 6; ++value)
        EXPECT_EQ(tank.write(0, 0, 1, value), Errc::ok);
    });
    both.run("snapshotter", [&] {
      tank.make_snap(1, 0);
      const std::uint64_t first = tank.read(1, 0);
      EXPECT_EQ(tank.read(1, 0), first);
      EXPECT_EQ(tank.read(1, 0), first);
    });
    both.wait();
    EXPECT_EQ(tank.read(0, 0), 5U);
  });
}

TEST(ThinIo, AnExternalOriginShowsUntilWrittenAndZeroesBeyondItsEnd) {
  for (const char* features : {"", "1 skip_block_zeroing"}) {
    for_seeds(10, [&](sim::Execution& execution, std::uint64_t) {
      constexpr std::uint64_t kEnd = kBlock + 40;
      PoolTank tank{execution, {.origin_sectors = kEnd, .used_data = true}};
      tank.make_pool(features);
      tank.make_thin(0, 4, "origin");
      EXPECT_EQ(tank.read(0, 9), kOldData + 9);
      EXPECT_EQ(tank.read(0, kEnd), 0U);
      EXPECT_EQ(tank.read(0, 3 * kBlock), 0U);
      EXPECT_EQ(tank.write(0, 9, 1, 7), Errc::ok);
      EXPECT_EQ(tank.read(0, 9), 7U);
      EXPECT_EQ(tank.read(0, 8), kOldData + 8);
      EXPECT_EQ(tank.read(0, 10), kOldData + 10);
      // The block in which the origin ends.
      EXPECT_EQ(tank.write(0, kBlock + 10, 1, 8), Errc::ok);
      EXPECT_EQ(tank.read(0, kBlock + 9), kOldData + kBlock + 9);
      EXPECT_EQ(tank.read(0, kEnd - 1), kOldData + kEnd - 1);
      EXPECT_EQ(tank.read(0, kEnd), 0U);
      EXPECT_EQ(tank.read(0, 2 * kBlock - 1), 0U);
      tank.expect_idle();
    });
  }
}

TEST(ThinIo, AReadAcrossTheOriginsEndIsFilledUp) {
  for_seeds(3, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.origin_sectors = 40}};
    tank.make_pool();
    tank.make_thin(0, 4, "origin");
    AlignedBuffer buffer{8 * kSectorSize};
    std::memset(buffer.data(), 0xFF, buffer.size());
    Bio bio;
    bio.sector = Sector{36};
    bio.sectors = 8;
    bio.data = buffer.data();
    EXPECT_EQ(tank.io(0, bio), Errc::ok);
    std::uint64_t value = 0;
    std::memcpy(&value, buffer.data() + 3 * kSectorSize, sizeof value);
    EXPECT_EQ(value, kOldData + 39);
    for (std::size_t i = 4 * kSectorSize; i < 8 * kSectorSize; ++i)
      ASSERT_EQ(buffer.data()[i], std::byte{0}) << i;
  });
}

TEST(ThinIo, AFailedFillGivesTheBlockBack) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    tank.data.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
    EXPECT_NE(tank.write(0, 7, 3, 41), Errc::ok);
    tank.data.faults().rules.clear();
    EXPECT_EQ(tank.read(0, 8), 0U);
    EXPECT_EQ(tank.free_data(), 16U);
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(tank.write(0, 7, 3, 42), Errc::ok);
    EXPECT_EQ(tank.read(0, 8), 42U);
    tank.expect_idle();
  });
}

}   // namespace
}   // namespace engine::thin
