// Failing devices: modes, needs_check, and what still works.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

TEST(ThinFailure, AFailedCommitMakesThePoolReadOnlyAndAsksForACheck) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    sim::DiskImageRef metadata;
    {
      PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
      tank.make_pool();
      tank.make_thin(0);
      EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
      EXPECT_EQ(tank.flush(0), Errc::ok);
      EXPECT_EQ(tank.write(0, kBlock, 1, 2), Errc::ok);
      tank.metadata.faults().rules.push_back({.ops = sim::kWrites, .nth = 1});
      EXPECT_EQ(tank.flush(0), Errc::io_error);
      tank.metadata.faults().rules.clear();
      EXPECT_TRUE(tank.status_has(" ro discard_passdown queue_if_no_space needs_check "));
      // Back to the last commit.
      EXPECT_EQ(tank.read(0, 0), 1U);
      EXPECT_EQ(tank.read(0, kBlock), 0U);
      EXPECT_EQ(tank.write(0, 0, 1, 5), Errc::ok);
      EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 5), Errc::io_error);
      EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);   // and does nothing
      EXPECT_EQ(tank.read(0, 0), 5U);
      // It lost changes: it can promise nothing any more.
      EXPECT_EQ(tank.flush(0), Errc::io_error);
      EXPECT_EQ(tank.message("create_thin 5"), Errc::not_supported);
      tank.expect_idle();
      // No table brings it back.
      EXPECT_TRUE(tank.reload_pool(16));
      EXPECT_TRUE(tank.status_has(" ro discard_passdown queue_if_no_space needs_check "));
      EXPECT_TRUE(tank.system.remove_all());
      metadata = tank.metadata.snapshot();
    }
    PoolTank tank{execution, {.metadata = metadata}};
    tank.make_pool();
    EXPECT_TRUE(tank.status_has(" ro discard_passdown queue_if_no_space needs_check "));
  });
}

TEST(ThinFailure, AFailingAbortIsTheEnd) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    tank.metadata.faults().rules.push_back(
        {.ops = sim::kReads | sim::kWrites, .one_in = 1, .count_max = 1000});
    EXPECT_NE(tank.flush(0), Errc::ok);
    EXPECT_EQ(tank.status(), "0 2048 thin-pool Fail\n");
    EXPECT_EQ(pdata::must(tank.system.status("t0")), "0 1024 thin Fail\n");
    EXPECT_EQ(tank.read(0, 0), ~std::uint64_t{0});
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::io_error);
    EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::io_error);
    EXPECT_EQ(tank.flush(0), Errc::io_error);
    const auto refused = tank.activate(9);
    ASSERT_FALSE(refused);
    EXPECT_STREQ(refused.error().what, "Couldn't open thin device, Pool is in fail mode");
    // It can be suspended and resumed, and nothing hangs.
    EXPECT_TRUE(tank.system.suspend("pool", io::SuspendKind::noflush));
    EXPECT_TRUE(tank.system.resume("pool"));
    EXPECT_EQ(tank.read(0, 0), ~std::uint64_t{0});
  });
}

// A failed transfer anywhere ends every bio, leaves no claim behind, and the image sound.
TEST(ThinFailure, EveryBioEndsWhateverFails) {
  for_seeds(300, [](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution, {.data_blocks = 6}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 2 * kBlock, 1), Errc::ok);
    tank.make_snap(1, 0);
    sim::SimDevice& sick = seed % 2 == 0 ? tank.metadata : tank.data;
    sick.faults().rules.push_back({.one_in = 4, .count_max = 2});
    Together all{execution};
    all.run("a", [&] { static_cast<void>(tank.write(0, 10, 10, 2)); });
    all.run("b", [&] { static_cast<void>(tank.write(0, 12, kBlock, 3, true)); });
    all.run("c", [&] { static_cast<void>(tank.discard(1, 0, 2 * kBlock)); });
    all.run("d", [&] { static_cast<void>(tank.write(1, 3 * kBlock, kBlock, 4)); });
    all.run("e", [&] { static_cast<void>(tank.flush(1)); });
    all.wait();
    sick.faults().rules.clear();
    static_cast<void>(tank.read(0, 10));
    tank.expect_idle();
  });
}

TEST(ThinFailure, ADataDeviceThatDoesNotFlushCostsNoMode) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    tank.data.faults().rules.push_back({.ops = sim::kFlushes, .nth = 1});
    EXPECT_EQ(tank.flush(0), Errc::io_error);
    tank.data.faults().rules.clear();
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(tank.read(0, 0), 1U);
    EXPECT_EQ(tank.flush(0), Errc::ok);
  });
}

// Of a message the answer is the truth: it is done when the data device flushes again, not before.
TEST(ThinFailure, AMessageWhoseCommitIsNotFlushedIsNotDone) {
  constexpr std::array kMessages{
      "create_thin 5",          "create_snap 6 0",       "delete 1",
      "set_transaction_id 0 4", "reserve_metadata_snap", "release_metadata_snap"};
  for_seeds(20, [&](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
    ASSERT_EQ(tank.message("create_thin 1"), Errc::ok);
    for (const char* const message : kMessages) {
      // Of a write that is open too, or of the message alone, and of either commit of one that has
      // two.
      if (seed % 2 == 0) {
        EXPECT_EQ(tank.write(0, kBlock, 1, seed), Errc::ok);
      }
      std::uint32_t nth = 1;
      for (;; ++nth) {
        const std::string before = tank.status();
        tank.data.faults().rules.push_back({.ops = sim::kFlushes, .nth = nth});
        const Errc told = tank.message(message);
        tank.data.faults().rules.clear();
        EXPECT_EQ(tank.read(0, 0), 1U);   // the disk forgets the rule
        EXPECT_TRUE(tank.status_has(" rw ")) << message;
        if (told == Errc::ok) break;
        EXPECT_EQ(told, Errc::io_error) << message;
        EXPECT_EQ(tank.status(), before) << message;
      }
      EXPECT_GT(nth, 1U) << message;
    }
    EXPECT_TRUE(tank.status_has(" 4 "));
    EXPECT_EQ(tank.read(0, 0), 1U);
    tank.expect_idle();
  });
}

// Flushed and FUA writes survive; what was not is old or new; the metadata is sound: without
// discards nothing leaks.
TEST(ThinFailure, WhatWasMadeDurableSurvivesAPowerCut) {
  for_seeds(300, [](sim::Execution& execution, std::uint64_t seed) {
    sim::DiskImageRef metadata;
    sim::DiskImageRef data;
    std::uint64_t flushed = 0;
    std::uint64_t fua = 0;
    std::uint64_t whole = 0;
    {
      PoolTank tank{execution, {.options = {.commit_interval = Nanos{0}}}};
      tank.make_pool();
      tank.make_thin(0);
      CutAt cut{tank, sim::kAllOps, 1 + seed % 97};
      Together both{execution};
      both.run("flusher", [&] {
        for (std::uint64_t value = 1; value < 4; ++value) {
          if (tank.write(0, value * 10, 4, value) != Errc::ok || tank.flush(0) != Errc::ok) return;
          flushed = value;
        }
      });
      both.run("fua", [&] {
        if (tank.write(0, 2 * kBlock + 5, 3, 7, true) == Errc::ok) fua = 7;
        if (tank.write(0, 3 * kBlock, kBlock, 9, true) == Errc::ok) whole = 9;
      });
      both.run("snapshotter", [&] {
        if (tank.message("create_snap 1 0") == Errc::ok)
          static_cast<void>(tank.message("delete 1"));
      });
      both.wait();
      cut.now();
      metadata = tank.metadata.crash_image();
      data = tank.data.crash_image();
    }
    EXPECT_EQ(faults_of(*metadata), "");
    PoolTank tank{execution, {.metadata = metadata, .data = data}};
    tank.make_pool();
    pdata::must(tank.activate(0));
    for (std::uint64_t value = 1; value <= flushed; ++value)
      EXPECT_EQ(tank.read(0, value * 10 + 3), value);
    if (fua != 0) {
      EXPECT_EQ(tank.read(0, 2 * kBlock + 7), fua);
      EXPECT_EQ(tank.read(0, 2 * kBlock + 8), 0U);
    }
    if (whole != 0) {
      EXPECT_EQ(tank.read(0, 4 * kBlock - 1), whole);
    }
  });
}

}   // namespace
}   // namespace engine::thin
