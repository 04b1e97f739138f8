// Suspending, resuming and swapping tables, under load.
#include "tests/unit/dm/suspend_rig.h"

namespace engine::dm {
namespace {

using unit::Request;

TEST(Suspend, IsSilentAndLosesNothingUnderLoad) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution};
    Silence silence;
    rig.a.add_observer(silence);
    const auto device = rig.make("d", "0 100 linear a 0");
    unit::Note<int> done{0};
    unit::Together fibers{execution};
    for (std::uint64_t i = 0; i < 3; ++i)
      fibers.run("writer", [&, i] { write_and_check(device.device(), i * 4, 4, &done); });
    for (std::uint64_t round = 0; round < 4; ++round) {
      const auto kind = (seed + round) % 2 == 0 ? io::SuspendKind::flush : io::SuspendKind::noflush;
      ASSERT_TRUE(rig.system.suspend("d", kind));
      silence.quiet = true;
      EXPECT_TRUE(rig.system.info("d")->suspended);
      for (int i = 0; i < 5; ++i)
        yield_now();
      silence.quiet = false;
      ASSERT_TRUE(rig.system.resume("d"));
    }
    fibers.wait();
    EXPECT_EQ(done + 0, 12);
  });
}

TEST(Suspend, SwapsTablesUnderLoadWithoutLosingAcknowledgedWrites) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution};
    const auto low = rig.make("low", "0 200 linear a 0");
    const auto device = rig.make("d", "0 100 linear a 0");
    unit::Note<int> done{0};
    unit::Together fibers{execution};
    for (std::uint64_t i = 0; i < 3; ++i)
      fibers.run("writer", [&, i] { write_and_check(device.device(), i * 4, 4, &done); });
    // The same sectors, mapped in other ways.
    const std::array<std::string_view, 3> tables{
        "0 5 linear a 0\n5 95 linear a 5", "0 100 linear low 0",
        "0 3 linear a 0\n3 4 linear low 3\n7 93 linear a 7"};
    for (std::uint64_t round = 0; round < 4; ++round) {
      ASSERT_TRUE(rig.system.load("d", tables[(seed + round) % tables.size()]));
      if (seed % 3 == 0) {
        ASSERT_TRUE(rig.system.suspend("d", io::SuspendKind::flush));
      }
      ASSERT_TRUE(rig.system.resume(
          "d", round % 2 == 0 ? io::SuspendKind::flush : io::SuspendKind::noflush));
    }
    fibers.wait();
    EXPECT_EQ(done + 0, 12);
  });
}

// A suspend waits for the submitters to have been told, not only for the disk.
TEST(Suspend, ReturnsWhenEveryBioHasEnded) {
  unit::for_seeds(1000, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution, {.sectors = 1024, .transfer_sectors_max = 4}};
    const auto device = rig.make("d", "0 100 linear a 0");
    struct State {
      Completion ended{"ended"};
      unit::Note<bool> quiet{false};
    } state;
    std::vector<std::unique_ptr<Request>> requests;
    unit::Together fibers{execution};
    fibers.run("submitter", [&] {
      for (std::uint64_t i = 0; i < 6; ++i) {
        requests.push_back(std::make_unique<Request>(BioOp::write, i * 8, 1 + (seed + i) % 8));
        Bio& bio = requests.back()->bio;
        bio.owner = &state;
        bio.end_io = [](Bio& ended) {
          auto& own = *static_cast<State*>(ended.owner);
          EXPECT_FALSE(bool{own.quiet}) << "a bio of a suspended device ends";
          own.ended.signal();
        };
        state.ended.expect_more();
        device.device().submit(bio);
      }
    });
    for (int round = 0; round < 3; ++round) {
      yield_now();
      ASSERT_TRUE(rig.system.suspend("d", io::SuspendKind::flush));
      state.quiet = true;
      for (int i = 0; i < 3; ++i)
        yield_now();
      state.quiet = false;
      // Another table each time: the one before goes, with its pools.
      ASSERT_TRUE(rig.system.load("d", "0 100 linear a 0"));
      ASSERT_TRUE(rig.system.resume("d"));
    }
    fibers.wait();
    state.ended.signal();
    state.ended.wait();
  });
}

TEST(Suspend, FailingToResumeLeavesItSuspended) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    KeeperRig keeper{execution};
    System& system = keeper.rig.system;
    ASSERT_TRUE(system.suspend("d", io::SuspendKind::flush));
    EXPECT_EQ(*system.message("d", Sector{0}, "refuse"), "refuse");
    unit::Note<int> done{0};
    unit::Together fibers{execution};
    fibers.run("writer", [&] { write_and_check(keeper.device.device(), 0, 1, &done); });
    const auto resumed = system.resume("d");
    ASSERT_FALSE(resumed);
    EXPECT_STREQ(resumed.error().what, "refused");
    EXPECT_TRUE(system.info("d")->suspended);
    sleep_for(Nanos{10'000});
    EXPECT_EQ(done + 0, 0);
    ASSERT_TRUE(system.message("d", Sector{0}, "accept"));
    ASSERT_TRUE(system.resume("d"));
    fibers.wait();
    EXPECT_EQ(done + 0, 1);
  });
}

TEST(Suspend, RefusesToReplaceATypeThatCannotBe) {
  unit::for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    KeeperRig keeper{execution};
    EXPECT_EQ(keeper.rig.system.load("d", "0 100 linear a 0").error().code, Errc::invalid);
    EXPECT_FALSE(keeper.rig.system.load("d", "0 100 keeper a\n100 1 zero"));
    EXPECT_EQ(keeper.type.made, 1);
  });
}

TEST(Suspend, TwiceIsOnce) {
  unit::for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    KeeperRig keeper{execution};
    ASSERT_TRUE(keeper.rig.system.resume("d"));
    ASSERT_TRUE(keeper.rig.system.suspend("d", io::SuspendKind::flush));
    ASSERT_TRUE(keeper.rig.system.suspend("d", io::SuspendKind::noflush));
    EXPECT_EQ(keeper.type.last->presuspends + 0, 1);
    EXPECT_EQ(keeper.type.last->postsuspends + 0, 1);
    ASSERT_TRUE(keeper.rig.system.resume("d"));
    EXPECT_EQ(unit::write(keeper.device.device(), 0, 5, 3), Errc::ok);
    EXPECT_EQ(unit::read(keeper.device.device(), 4), 3);
  });
}

}   // namespace
}   // namespace engine::dm
