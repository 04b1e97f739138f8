// A pool that is opened anew: what its disks still have in their volatile caches, and what a flush
// means before anything has changed.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

struct Images {
  sim::DiskImageRef metadata;
  sim::DiskImageRef data;
};

// A thin with two blocks, shut down in order.
Images used_pool(sim::Execution& execution) {
  PoolTank tank{execution};
  tank.make_pool();
  tank.make_thin(0);
  EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
  EXPECT_EQ(tank.write(0, kBlock, 1, 2), Errc::ok);
  EXPECT_TRUE(tank.system.remove_all());
  return {tank.metadata.snapshot(), tank.data.snapshot()};
}

Images cut(PoolTank& tank) {
  CutAt{tank, 0, 0}.now();
  EXPECT_TRUE(tank.system.remove_all());
  return {tank.metadata.crash_image(), tank.data.crash_image()};
}

// Writes in place change no metadata, so there is nothing to commit.
TEST(ThinRestart, AFlushReachesTheDataThoughNoMetadataHasChanged) {
  for_seeds(40, [](sim::Execution& execution, std::uint64_t seed) {
    Images images = used_pool(execution);
    {
      PoolTank tank{execution, {.metadata = images.metadata, .data = images.data}};
      tank.make_pool();
      pdata::must(tank.activate(0));
      EXPECT_EQ(tank.write(0, 3, 1, 41), Errc::ok);
      EXPECT_EQ(tank.write(0, kBlock + 3, 1, 42, seed % 2 == 0), Errc::ok);
      EXPECT_EQ(tank.flush(0), Errc::ok);
      images = cut(tank);
    }
    PoolTank tank{execution, {.metadata = images.metadata, .data = images.data}};
    tank.make_pool();
    pdata::must(tank.activate(0));
    EXPECT_EQ(tank.read(0, 3), 41U);
    EXPECT_EQ(tank.read(0, kBlock + 3), 42U);
  });
}

// A commit reaches the disk's cache and fails, and so does the note that it did. Whoever opens the
// pool next builds on what it reads.
TEST(ThinRestart, WhatIsReadIsMadeDurableBeforeAnythingRestsOnIt) {
  int built_upon = 0;
  for_seeds(80, [&](sim::Execution& execution, std::uint64_t) {
    Images images = used_pool(execution);
    {
      PoolTank tank{execution, {.metadata = images.metadata, .data = images.data}};
      tank.make_pool();
      pdata::must(tank.activate(0));
      EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::ok);
      for (int i = 0; i < 2; ++i)
        tank.metadata.faults().rules.push_back(
            {.ops = sim::kWrites, .sectors = kMetaBlockSectors, .nth = 1});
      EXPECT_NE(tank.flush(0), Errc::ok);
      EXPECT_TRUE(tank.system.remove_all());
      tank.metadata.faults().rules.clear();
      tank.make_pool();
      if (tank.status_has("needs_check")) return;   // the note is there all the same
      pdata::must(tank.activate(0));
      built_upon += tank.read(0, 2 * kBlock) == 3 ? 1 : 0;
      EXPECT_EQ(tank.write(0, 2 * kBlock + 1, 1, 4), Errc::ok);
      EXPECT_EQ(tank.flush(0), Errc::ok);
      images = cut(tank);
    }
    PoolTank tank{execution, {.metadata = images.metadata, .data = images.data}};
    tank.make_pool();
    pdata::must(tank.activate(0));
    EXPECT_EQ(tank.read(0, 2 * kBlock + 1), 4U);
  });
  EXPECT_GT(built_upon, 0);
}

}   // namespace
}   // namespace engine::thin
