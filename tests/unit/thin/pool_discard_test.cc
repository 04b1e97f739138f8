// Discards: what they unmap, what the data device is told, and when.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

class SeenDiscards final : public sim::DeviceObserver {
 public:
  void submitted(const sim::SimDevice& device, const sim::IoRecord& io) override {
    static_cast<void>(device);
    if (io.op == BioOp::discard) sectors += io.sectors;
  }
  std::uint64_t sectors = 0;
};

TEST(ThinDiscard, UnmapsWholeBlocksOnly) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 4 * kBlock, 9), Errc::ok);
    EXPECT_EQ(tank.discard(0, 10, 2 * kBlock), Errc::ok);   // covers block 1 alone
    EXPECT_EQ(tank.read(0, 10), 9U);
    EXPECT_EQ(tank.read(0, kBlock), 0U);
    EXPECT_EQ(tank.read(0, 2 * kBlock), 9U);
    EXPECT_EQ(tank.discard(0, 3 * kBlock + 1, 5), Errc::ok);
    EXPECT_EQ(tank.read(0, 3 * kBlock + 1), 9U);
    EXPECT_EQ(tank.free_data(), 13U);
    tank.expect_idle();
  });
}

TEST(ThinDiscard, LongDiscardsGoPieceByPieceWithLittleMemory) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution,
                  {.options = {.passdowns_max = 1, .discards_max = 1, .cell_blocks_max = 2}}};
    tank.make_pool();
    tank.make_thin(0, 16);
    for (std::uint64_t block = 1; block < 16; block += 2)
      EXPECT_EQ(tank.write(0, block * kBlock, 1, block), Errc::ok);
    Together both{execution};
    both.run("all", [&] { EXPECT_EQ(tank.discard(0, 0, 16 * kBlock), Errc::ok); });
    both.run("half", [&] { EXPECT_EQ(tank.discard(0, 8 * kBlock, 8 * kBlock), Errc::ok); });
    both.wait();
    EXPECT_EQ(tank.read(0, 3 * kBlock), 0U);
    EXPECT_EQ(tank.free_data(), 16U);
    tank.expect_idle();
  });
}

// The block goes from one to the other while the data device still works on the discard.
TEST(ThinDiscard, ABlockIsNotReusedUnderItsDiscard) {
  for_seeds(400, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 1}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    Together both{execution};
    both.run("discarder", [&] { EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok); });
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, kBlock, kBlock, 2), Errc::ok); });
    both.wait();
    EXPECT_EQ(tank.read(0, kBlock), 2U);
    EXPECT_EQ(tank.read(0, 2 * kBlock - 1), 2U);
    tank.expect_idle();
  });
}

TEST(ThinDiscard, WhatASnapshotSharesIsNeverPassedDown) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    SeenDiscards seen;   // the pool still discards as it goes
    PoolTank tank{execution};
    tank.data.add_observer(seen);
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 2 * kBlock, 5), Errc::ok);
    tank.make_snap(1, 0);
    EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);
    EXPECT_EQ(seen.sectors, 0U);
    EXPECT_EQ(tank.read(1, 0), 5U);
    EXPECT_EQ(tank.read(0, 0), 0U);
    // Once the snapshot's is gone too, nobody shares it any more.
    EXPECT_EQ(tank.discard(1, 0, kBlock), Errc::ok);
    EXPECT_EQ(seen.sectors, kBlock);
    EXPECT_EQ(tank.read(0, kBlock), 5U);
    EXPECT_EQ(tank.free_data(), 15U);
    tank.expect_idle();
  });
}

TEST(ThinDiscard, PassdownFollowsThePoolsPolicyAndTheDevice) {
  for_seeds(3, [](sim::Execution& execution, std::uint64_t) {
    for (const char* features : {"1 no_discard_passdown", "1 ignore_discard", ""}) {
      SeenDiscards seen;
      PoolTank tank{execution};
      tank.data.add_observer(seen);
      tank.make_pool(features);
      tank.make_thin(0);
      EXPECT_EQ(tank.write(0, 0, kBlock, 5), Errc::ok);
      const bool ignored = std::string_view{features}.find("ignore") != std::string_view::npos;
      EXPECT_EQ(tank.discard(0, 0, kBlock), ignored ? Errc::not_supported : Errc::ok);
      EXPECT_EQ(tank.read(0, 0), ignored ? 5U : 0U);
      EXPECT_EQ(seen.sectors, *features == '\0' ? kBlock : 0U);
    }
    PoolTank tank{execution, {.discard_sectors_max = 0}};
    tank.make_pool();
    EXPECT_TRUE(tank.status_has("no_discard_passdown"));
    EXPECT_NE(pdata::must(tank.system.table("pool")).find(" 128 2 0 "), std::string::npos);
  });
}

// The other holder's last mapping of the block goes by an uncommitted break of sharing: a crash
// brings that mapping back, and its data must still be there.
TEST(ThinDiscard, APassdownWaitsForTheCommitThatMakesItsBlockFree) {
  for_seeds(150, [](sim::Execution& execution, std::uint64_t) {
    sim::DiskImageRef metadata;
    sim::DiskImageRef data;
    {
      PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
      tank.make_pool();
      tank.make_thin(0);
      EXPECT_EQ(tank.write(0, 0, kBlock, 5), Errc::ok);
      tank.make_snap(1, 0);
      EXPECT_EQ(tank.flush(0), Errc::ok);
      EXPECT_EQ(tank.write(0, 3, 1, 6), Errc::ok);   // not flushed
      CutAt cut{tank, sim::kDiscards, 1};
      static_cast<void>(tank.discard(1, 0, kBlock));
      cut.now();
      metadata = tank.metadata.crash_image();
      data = tank.data.crash_image();
    }
    PoolTank tank{execution, {.metadata = metadata, .data = data}};
    tank.make_pool();
    pdata::must(tank.activate(0));
    EXPECT_EQ(tank.read(0, 100), 5U);
  });
}

}   // namespace
}   // namespace engine::thin
