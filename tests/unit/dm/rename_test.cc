// Another name for a device: at rest, in use, and against the other verbs.
#include "engine/dm/system.h"
#include "tests/unit/dm/rig.h"

namespace engine::dm {
namespace {

using unit::Rig;

TEST(Rename, MovesTheNameAndNothingElse) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    auto device = rig.make("old", "0 8 linear a 0");
    EXPECT_EQ(unit::write(device.device(), 0, 8, 7), Errc::ok);
    ASSERT_TRUE(system.rename("old", "new"));
    EXPECT_EQ(system.info("old").error().code, Errc::not_found);
    EXPECT_EQ(system.info("new")->open_count, 1U);
    EXPECT_EQ(system.info("new")->events, 1U);   // as in Linux
    EXPECT_EQ(system.info("new")->name, "new");
    EXPECT_EQ(device.name(), "new");
    EXPECT_EQ(unit::read(device.device(), 3), 7);
    EXPECT_EQ(system.remove("new").error().code, Errc::busy);
    device.reset();
    ASSERT_TRUE(system.create("old"));   // the name is free
    ASSERT_TRUE(system.remove("new"));
    EXPECT_EQ(system.list().size(), 1U);
  });
}

TEST(Rename, IsAnEventOnlyWhereThereIsATable) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    ASSERT_TRUE(rig.system.create("old"));
    ASSERT_TRUE(rig.system.rename("old", "new"));
    EXPECT_EQ(rig.system.info("new")->events, 0U);
  });
}

TEST(Rename, IsFollowedByTheTablesAbove) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("low", "0 8 linear a 0").reset();
    rig.make("high", "0 8 linear low 0").reset();
    ASSERT_TRUE(system.rename("low", "lower"));
    EXPECT_EQ(*system.table("high"), "0 8 linear lower 0\n");
    EXPECT_FALSE(system.load("lower", "0 8 linear high 0"));   // still a loop
    ASSERT_TRUE(system.load("high", *system.table("high")));
    ASSERT_TRUE(system.resume("high"));
    ASSERT_TRUE(system.remove("high"));
    ASSERT_TRUE(system.remove("lower"));   // closed by both tables
  });
}

TEST(Rename, SaysWhyNot) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    ASSERT_TRUE(system.create("x"));
    ASSERT_TRUE(system.create("y"));
    EXPECT_EQ(system.rename("z", "w").error().code, Errc::not_found);
    EXPECT_EQ(system.rename("x", "y").error().code, Errc::exists);
    EXPECT_EQ(system.rename("x", "x").error().code, Errc::exists);
    EXPECT_EQ(system.rename("x", "a b").error().code, Errc::invalid);
    EXPECT_EQ(system.rename("x", "").error().code, Errc::invalid);
    EXPECT_EQ(system.list().size(), 2U);
  });
}

// One device under three names that its users give it in turn: whatever a verb finds, it is that
// device or none, and it never counts twice.
TEST(Rename, RacesWithTheOtherVerbs) {
  unit::for_seeds(1000, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("x", "0 8 linear a 0").reset();
    rig.make("low", "0 8 linear b 0").reset();
    unit::Note<int> removed{0};
    unit::Together fibers{execution};
    for (const char* const other : {"y", "z"}) {
      fibers.run("renamer", [&, other] {
        for (int round = 0; round < 3; ++round) {
          static_cast<void>(system.rename("x", other));
          static_cast<void>(system.rename(other, "x"));
        }
      });
    }
    fibers.run("user", [&] {
      for (int round = 0; round < 4; ++round) {
        if (auto device = system.open(round % 2 == 0 ? "x" : "y"); device) {
          EXPECT_EQ(unit::write(device->device(), 0, 8, round), Errc::ok);
        }
        EXPECT_EQ(system.list().size(), 2U);
      }
    });
    fibers.run("loader", [&] {
      for (const char* const name : {"x", "y"}) {
        static_cast<void>(system.load(name, "0 8 linear low 0"));
        static_cast<void>(system.resume(name));
      }
    });
    fibers.wait();
    // Three removers, and every other time somebody who renames: one of them finds it at most.
    unit::Together last{execution};
    for (const char* const name : {"x", "y", "z"}) {
      last.run("remover", [&, name] {
        if (system.remove(name)) ++removed;
      });
    }
    if (seed % 2 == 0) {
      last.run("renamer", [&] {
        static_cast<void>(system.rename("x", "y"));
        static_cast<void>(system.rename("y", "x"));
      });
    }
    last.wait();
    EXPECT_LE(removed + 0, 1);
    EXPECT_EQ(system.list().size(), removed == 1 ? 1U : 2U);
  });
}

TEST(Rename, LeavesTracesTheNameItWasMadeWith) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    auto device = rig.make("thin1", "0 8 zero");
    EXPECT_STREQ(device.device().name(), "thin1");
    ASSERT_TRUE(rig.system.rename("thin1", "other"));
    EXPECT_STREQ(device.device().name(), "thin1");
  });
}

}   // namespace
}   // namespace engine::dm
