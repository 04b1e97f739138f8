// Running out of data space, and getting it back.
#include "tests/unit/thin/pool_tank.h"

namespace engine::thin {
namespace {

void fill(PoolTank& tank, std::uint64_t blocks) {
  for (std::uint64_t block = 0; block < blocks; ++block)
    ASSERT_EQ(tank.write(0, block * kBlock, 1, 1 + block), Errc::ok);
}

TEST(ThinSpace, WritesWaitUntilTheTimeoutAndThenFail) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 2}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 2);
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::no_data_space);
    EXPECT_GE(execution.now(), std::chrono::seconds{60});
    EXPECT_LT(execution.now(), std::chrono::seconds{62});
    EXPECT_TRUE(tank.status_has(" out_of_data_space discard_passdown error_if_no_space - "));
    // What is mapped works as ever, and what is not reads as zeroes.
    EXPECT_EQ(tank.write(0, 0, 1, 8), Errc::ok);
    EXPECT_EQ(tank.read(0, 0), 8U);
    EXPECT_EQ(tank.read(0, 5 * kBlock), 0U);
    EXPECT_EQ(tank.flush(0), Errc::ok);
    // A discard makes room, and the table's choice is back.
    EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);
    EXPECT_TRUE(tank.status_has(" rw discard_passdown queue_if_no_space - "));
    EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::ok);
    EXPECT_EQ(tank.read(0, 2 * kBlock), 3U);
    tank.expect_idle();
  });
}

TEST(ThinSpace, ErrorIfNoSpaceFailsAtOnce) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 1}};
    tank.make_pool("1 error_if_no_space");
    tank.make_thin(0);
    fill(tank, 1);
    EXPECT_EQ(tank.write(0, kBlock, 1, 3), Errc::no_data_space);
    EXPECT_LT(execution.now(), std::chrono::seconds{2});
    EXPECT_EQ(tank.read(0, 0), 1U);
  });
}

TEST(ThinSpace, AGrownPoolServesWhatWaits) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 4, .options = {.no_space_timeout = Nanos{0}}}};
    tank.make_pool("", 2);
    tank.make_thin(0);
    fill(tank, 2);
    Together both{execution};
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::ok); });
    both.run("grower", [&] {
      sleep_for(std::chrono::seconds{100});
      EXPECT_TRUE(tank.status_has(" out_of_data_space "));
      EXPECT_TRUE(tank.reload_pool(4));
    });
    both.wait();
    EXPECT_EQ(tank.read(0, 2 * kBlock), 3U);
    EXPECT_TRUE(tank.status_has(" rw "));
    EXPECT_TRUE(tank.status_has(" 3/4 "));
    tank.expect_idle();
  });
}

// The pool suspends its thins to grow, one of which a user is suspending. Neither waits for the
// other until the timeout; nor does a snapshot of that thin.
TEST(ThinSpace, ASuspendThatWaitsMakesWayForThePool) {
  for_seeds(200, [](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution, {.data_blocks = 4}};
    tank.make_pool("", 2);
    tank.make_thin(0);
    fill(tank, 2);
    const bool grows = seed % 3 != 0;
    Together all{execution};
    all.run("writer", [&] { EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::ok); });
    all.run("suspender", [&] {
      sleep_for(std::chrono::seconds{1});
      EXPECT_TRUE(tank.system.suspend("t0", io::SuspendKind::flush));
      EXPECT_LT(execution.now(), std::chrono::seconds{30});
      if (!grows) {
        EXPECT_TRUE(tank.reload_pool(4));
      }
      EXPECT_TRUE(tank.system.resume("t0"));
    });
    all.run("operator", [&] {
      sleep_for(std::chrono::seconds{seed % 2 == 0 ? 1 : 10});   // in its midst; while it waits
      if (grows) {
        EXPECT_TRUE(tank.reload_pool(4));
      } else {
        EXPECT_EQ(tank.message("create_snap 1 0"), Errc::ok);
      }
      EXPECT_LT(execution.now(), std::chrono::seconds{30});
    });
    all.wait();
    EXPECT_LT(execution.now(), std::chrono::seconds{30});
    EXPECT_EQ(tank.read(0, 0), 1U);
    EXPECT_EQ(tank.read(0, 2 * kBlock), 3U);
    tank.expect_idle();
  });
}

TEST(ThinSpace, AViewTellsWhoOnlyWaitsForSpace) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t seed) {
    const bool for_ever = seed % 3 != 0;
    const bool discards = seed % 2 == 0;
    PoolTank tank{
        execution,
        {.data_blocks = 2,
         .options = {.commit_interval = Nanos{0},
                     .no_space_timeout = for_ever ? Nanos{0} : std::chrono::seconds{60}}}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 2);
    EXPECT_FALSE(tank.view().waits_only_for_space()) << "nobody waits";
    Together both{execution};
    both.run("writer", [&] {
      EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), discards ? Errc::ok : Errc::no_data_space);
    });
    sleep_for(std::chrono::seconds{1});
    EXPECT_EQ(tank.view().waits_only_for_space(), for_ever);
    EXPECT_EQ(tank.view().waits_only_for_space(), for_ever) << "it changes nothing";
    if (discards) {
      EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);
    } else {
      EXPECT_TRUE(tank.system.release_waiting());
    }
    both.wait();
    EXPECT_FALSE(tank.view().waits_only_for_space());
  });
}

TEST(ThinSpace, StoppingToQueueEndsWhatWaits) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution, {.data_blocks = 2}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 2);
    Together both{execution};
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::no_data_space); });
    if (seed % 2 == 0) sleep_for(std::chrono::seconds{1});
    EXPECT_TRUE(tank.system.release_waiting());
    both.wait();
    EXPECT_LT(execution.now(), std::chrono::seconds{3});
    EXPECT_TRUE(tank.reload_pool(2));   // whose table queues
    EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::no_data_space);
    EXPECT_LT(execution.now(), std::chrono::seconds{5});
    EXPECT_EQ(tank.read(0, 0), 1U);
  });
}

// No tick: nothing but the discard itself can lead to the commit that the writer needs.
TEST(ThinSpace, ADiscardServesWhatWaitsAlsoWithoutATick) {
  for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{
        execution,
        {.data_blocks = 2, .options = {.commit_interval = Nanos{0}, .no_space_timeout = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 2);
    Together both{execution};
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, 2 * kBlock, 1, 3), Errc::ok); });
    both.run("discarder", [&] { EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok); });
    both.wait();
    EXPECT_EQ(tank.read(0, 2 * kBlock), 3U);
    EXPECT_EQ(tank.read(0, kBlock), 2U);
    tank.expect_idle();
  });
}

TEST(ThinSpace, DeletingAThinServesWhatWaits) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 2}};
    tank.make_pool();
    tank.make_thin(0);
    tank.make_thin(1);
    EXPECT_EQ(tank.write(1, 0, 1, 7), Errc::ok);
    fill(tank, 1);
    pdata::must(tank.system.remove("t1"));
    Together both{execution};
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, kBlock, 1, 3), Errc::ok); });
    both.run("deleter", [&] {
      sleep_for(std::chrono::seconds{3});
      EXPECT_EQ(tank.message("delete 1"), Errc::ok);
    });
    both.wait();
    EXPECT_LT(execution.now(), std::chrono::seconds{10});
  });
}

// Nothing was aborted: what was acknowledged before is there, also after a commit.
TEST(ThinSpace, ExhaustionLosesNothing) {
  for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 4, .options = {.commit_interval = Nanos{0}}}};
    tank.make_pool("1 error_if_no_space");
    tank.make_thin(0);
    for (std::uint64_t block = 0; block < 8; ++block)
      EXPECT_EQ(tank.write(0, block * kBlock, 1, 1 + block),
                block < 4 ? Errc::ok : Errc::no_data_space);
    EXPECT_EQ(tank.flush(0), Errc::ok);
    for (std::uint64_t block = 0; block < 8; ++block)
      EXPECT_EQ(tank.read(0, block * kBlock), block < 4 ? 1 + block : 0);
    EXPECT_TRUE(tank.status_has(" out_of_data_space discard_passdown error_if_no_space - "));
  });
}

TEST(ThinSpace, ANoFlushSuspendHandsBackWhatWaits) {
  for_seeds(60, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 1, .options = {.no_space_timeout = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 1);
    Together both{execution};
    both.run("writer", [&] { EXPECT_EQ(tank.write(0, kBlock, 1, 3), Errc::ok); });
    both.run("operator", [&] {
      EXPECT_TRUE(tank.system.suspend("t0", io::SuspendKind::noflush));
      EXPECT_EQ(tank.view().counts().queued_bios, 0U);
      EXPECT_TRUE(tank.system.resume("t0"));
      EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);
    });
    both.wait();
    EXPECT_EQ(tank.read(0, kBlock), 3U);
  });
}

// With no timeout to end the wait a flushing suspend ends it itself.
TEST(ThinSpace, AFlushingSuspendDoesNotHang) {
  for_seeds(40, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 1, .options = {.no_space_timeout = Nanos{0}}}};
    tank.make_pool();
    tank.make_thin(0);
    fill(tank, 1);
    Together both{execution};
    both.run("writer", [&] { static_cast<void>(tank.write(0, kBlock, 1, 3)); });
    both.run("operator", [&] {
      EXPECT_TRUE(tank.system.suspend("t0", io::SuspendKind::flush));
      EXPECT_TRUE(tank.system.resume("t0"));
      EXPECT_EQ(tank.discard(0, 0, kBlock), Errc::ok);
    });
    both.wait();
  });
}

TEST(ThinSpace, LowWaterIsSignalledOnceAtTheNextAllocation) {
  for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution, {.data_blocks = 8}};   // the mark is 2
    tank.make_pool();
    tank.make_thin(0);
    const auto events = [&] { return pdata::must(tank.system.info("pool")).events; };
    fill(tank, 6);
    EXPECT_EQ(events(), 0U);
    EXPECT_EQ(tank.write(0, 6 * kBlock, 1, 1), Errc::ok);
    EXPECT_EQ(events(), 1U);
    EXPECT_EQ(tank.write(0, 7 * kBlock, 1, 1), Errc::ok);
    EXPECT_EQ(events(), 1U);
  });
}

// Metadata that is nearly full: acknowledged writes stay, whatever the pool turns into.
TEST(ThinSpace, FullMetadataTakesBackNothingThatWasAcknowledged) {
  for_seeds(10, [](sim::Execution& execution, std::uint64_t) {
    PoolTank tank{execution,
                  {.metadata_blocks = 24,
                   .data_blocks = 64,
                   .options = {.commit_interval = Nanos{0}, .metadata_fan_out = 6}}};
    tank.make_pool();
    tank.make_thin(0, 64);
    std::vector<bool> written(64);
    for (std::uint64_t i = 0; i < 64; ++i) {
      const std::uint64_t block = i * 29 % 64;
      written[block] = tank.write(0, block * kBlock, 1, 1 + block) == Errc::ok;
    }
    EXPECT_FALSE(tank.status_has(" rw "));
    for (std::uint64_t block = 0; block < 64; ++block)
      EXPECT_EQ(tank.read(0, block * kBlock), written[block] ? 1 + block : 0);
  });
}

// Whatever the size, and whoever else is under way when it happens: a pool that writes have driven
// out of metadata, or that was cut off, has no block that nothing maps.
TEST(ThinSpace, WritesThatFindNoMetadataLeakNothing) {
  constexpr std::uint64_t kBlocks = 96;
  std::uint64_t refused = 0;
  std::uint64_t full = 0;
  for_seeds(160, [&](sim::Execution& execution, std::uint64_t seed) {
    const bool large_nodes = seed % 3 == 0;
    PoolTank tank{
        execution,
        {.metadata_blocks = kMetadataBlocksMin + (large_nodes ? seed % 20 : seed * 7 % 150),
         .data_blocks = 800,
         .options = {.commit_interval = std::chrono::milliseconds{seed % 5},
                     .metadata_fan_out = large_nodes ? 0U : 6U}}};
    CutAt cut{tank, sim::kAllOps, seed % 4 == 3 ? 100 + seed * 37 % 1000 : 0};
    tank.make_pool("1 error_if_no_space");
    tank.make_thin(0, kBlocks);
    Together all{execution};
    for (std::uint64_t actor = 0; actor < 1 + seed / 2 % 4; ++actor) {
      all.run("writer", [&, actor] {
        for (std::uint32_t i = 0; i < 150; ++i) {
          const std::uint64_t block = (seed + 29 * i + 17 * actor) % kBlocks;
          const bool whole = (i + seed) % 4 == 0;
          static_cast<void>(tank.write(0, block * kBlock, whole ? kBlock : 1, 1 + i));
          if (actor == 0 && i % 12 == 11)
            static_cast<void>(tank.message(fmt::format("create_snap {} 0", i)));
        }
      });
    }
    all.wait();
    if (tank.metadata.powered()) {
      const bool failed = pdata::must(tank.view().needs_check());
      refused += failed ? 1 : 0;
      full += !failed && tank.status_has(" ro ") ? 1 : 0;
    }
    tank.expect_idle();
    if (seed % 4 == 0) {
      EXPECT_TRUE(tank.system.remove_all());
      EXPECT_EQ(faults_of(*tank.metadata.snapshot()), "");
    } else {
      cut.now();
      EXPECT_EQ(faults_of(*tank.metadata.crash_image()), "");
    }
  });
  EXPECT_GT(refused * unit::kSeedsPart, 40U);
  EXPECT_TRUE(full > 5 || unit::kSeedsPart != 1) << full;
}

struct Made {
  Errc code = Errc::ok;
  std::uint32_t id = 0;   // of the first that was refused, or `end`
  std::string text{};     // the message that was
};

// Makes thins and snapshots of thin 0, in turn, with the ids [begin, end), until one is refused.
Made make_many(PoolTank& tank, std::uint32_t begin, std::uint32_t end) {
  Made made{.id = begin};
  for (; made.id < end; ++made.id) {
    made.text = made.id % 2 == 0 ? fmt::format("create_snap {} 0", made.id)
                                 : fmt::format("create_thin {}", made.id);
    made.code = tank.message(made.text);
    if (made.code != Errc::ok) break;
  }
  return made;
}

// A message is nobody's write: when there is no room for it, it alone is taken back.
TEST(ThinSpace, AMessageWithoutMetadataSpaceLeavesThePoolAsItWas) {
  constexpr std::uint32_t kMany = 400;
  std::uint64_t refused = 0;
  for_seeds(240, [&](sim::Execution& execution, std::uint64_t seed) {
    const PoolTankSpec spec{
        .metadata_blocks = 18 + seed % 40,
        .options = {.commit_interval = Nanos{0}, .metadata_fan_out = seed % 3 == 0 ? 0U : 6U}};
    const auto begin = [](PoolTank& tank) {
      tank.make_pool("1 no_discard_passdown");
      tank.make_thin(0);
      EXPECT_EQ(tank.write(0, 0, 1, 1), Errc::ok);
      EXPECT_EQ(tank.write(0, kBlock, 1, 2), Errc::ok);
    };
    std::uint32_t room = 0;
    {
      PoolTank tank{execution, spec};
      begin(tank);
      room = make_many(tank, 1, kMany).id;
    }
    PoolTank tank{execution, spec};
    begin(tank);
    // A discard without passdown is not committed by itself: it is open when the next message
    // comes.
    const auto late = std::max<std::uint32_t>(1, room - std::min<std::uint32_t>(room, seed % 4));
    EXPECT_EQ(make_many(tank, 1, late).code, Errc::ok);
    EXPECT_EQ(tank.discard(0, kBlock, kBlock), Errc::ok);
    const Made last = make_many(tank, late, kMany);
    if (last.code == Errc::not_supported) return;   // the one before took what there was
    ASSERT_EQ(last.code, Errc::no_metadata_space);
    ++refused;
    EXPECT_TRUE(tank.status_has(" rw no_discard_passdown queue_if_no_space - "));
    EXPECT_FALSE(pdata::must(tank.view().needs_check()));
    EXPECT_EQ(tank.message(last.text), Errc::no_metadata_space);
    EXPECT_TRUE(tank.status_has(" rw no_discard_passdown queue_if_no_space - "));
    EXPECT_EQ(code_of(tank.activate(last.id)), Errc::not_found);
    // What was open is there, and the thin that was to be the origin promises what it did.
    EXPECT_EQ(tank.read(0, 0), 1U);
    EXPECT_EQ(tank.read(0, kBlock), 0U);
    EXPECT_EQ(tank.flush(0), Errc::ok);
    for (std::uint32_t id = 1; id < last.id; ++id) {
      EXPECT_TRUE(tank.activate(id)) << id;
      EXPECT_TRUE(tank.system.remove(fmt::format("t{}", id)));
    }
    tank.expect_idle();
    EXPECT_TRUE(tank.system.remove_all());
    EXPECT_EQ(faults_of(*tank.metadata.snapshot()), "");
  });
  EXPECT_GT(refused * unit::kSeedsPart, 20U);
}

// Thins 0 to 3, with trees of their own and most of their blocks in common: to delete one of them
// is to change the count of each. False: that was too much for the metadata.
bool make_relatives(PoolTank& tank, std::uint64_t blocks) {
  tank.make_pool("1 no_discard_passdown");
  tank.make_thin(0, blocks);
  for (std::uint64_t block = 0; block < blocks; ++block)
    if (tank.write(0, block * kBlock, 1, 1 + block) != Errc::ok) return false;
  for (const std::uint32_t id : {1U, 2U, 3U}) {
    if (tank.message(fmt::format("create_snap {} 0", id)) != Errc::ok) return false;
    if (!tank.activate(id, blocks)) return false;
    for (std::uint64_t block = 0; block < blocks; block += 3)
      if (tank.write(id, block * kBlock, 1, 100 * id + block) != Errc::ok) return false;
    if (id == 3 && !tank.system.remove("t3")) return false;
  }
  return tank.flush(0) == Errc::ok && tank.flush(1) == Errc::ok && tank.flush(2) == Errc::ok;
}

// However much it takes, and whatever was open when it came.
TEST(ThinSpace, AMessageThatTakesMoreThanThereIsTakesNoWriteAlong) {
  constexpr std::uint64_t kBlocks = 240;
  std::uint64_t refused = 0;
  for_seeds(5, [&](sim::Execution& execution, std::uint64_t seed) {
    PoolTank tank{execution,
                  {.metadata_blocks = 330 + 2 * seed,
                   .data_blocks = 600,
                   .options = {.commit_interval = Nanos{0}, .metadata_fan_out = 6}}};
    if (!make_relatives(tank, kBlocks)) return;
    // So much is free that the write is not committed by itself.
    const std::uint64_t last = (kBlocks - 2) * kBlock;
    ASSERT_EQ(tank.write(1, last, 1, 77), Errc::ok);
    const Errc code = tank.message("delete 3");
    if (code == Errc::ok || code == Errc::not_supported) return;
    ASSERT_EQ(code, Errc::no_metadata_space);
    ++refused;
    EXPECT_TRUE(tank.status_has(" rw no_discard_passdown queue_if_no_space - "));
    EXPECT_EQ(tank.read(1, last), 77U);
    EXPECT_EQ(tank.flush(1), Errc::ok);
    EXPECT_TRUE(tank.activate(3, kBlocks));
    EXPECT_EQ(tank.read(3, 0), 300U);
    EXPECT_EQ(tank.read(3, kBlock), 2U);
    tank.expect_idle();
    EXPECT_TRUE(tank.system.remove_all());
    EXPECT_EQ(faults_of(*tank.metadata.snapshot()), "");
  });
  EXPECT_GT(refused * unit::kSeedsPart, 3U);
}

}   // namespace
}   // namespace engine::thin
