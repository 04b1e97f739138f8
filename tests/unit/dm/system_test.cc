// The verbs, one after the other and against each other.
#include "engine/dm/system.h"

#include "tests/unit/dm/rig.h"

namespace engine::dm {
namespace {

using unit::Rig;

TEST(System, CountsEachDeviceThatHasAnotherOpenOnce) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("low", "0 8 linear a 0").reset();
    rig.make("high", "0 4 linear low 0\n4 4 linear low 4").reset();
    ASSERT_TRUE(system.load("high", "0 8 linear low 0"));
    EXPECT_EQ(system.info("low")->open_count, 1U);
    rig.make("other", "0 4 linear low 4").reset();
    const auto user = *system.open("low");
    EXPECT_EQ(system.info("low")->open_count, 3U);
  });
}

TEST(System, KeepsADirectoryOfDevices) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    EXPECT_EQ(system.create("").error().code, Errc::invalid);
    using namespace std::string_view_literals;
    for (const std::string_view name :
         {"a b"sv, "a\tb"sv, "a/b"sv, "a;b"sv, "a\0b"sv, "\x1b"sv, "\x7f"sv, "."sv, ".."sv})
      EXPECT_EQ(system.create(name).error().code, Errc::invalid) << name;
    EXPECT_EQ(system.create(std::string(128, 'n')).error().code, Errc::invalid);
    for (const std::string& name : {std::string(127, 'n'), std::string{"\xc3\xb6#+-.:=@_,'"}}) {
      EXPECT_TRUE(system.create(name));
      EXPECT_TRUE(system.remove(name));
    }
    ASSERT_TRUE(system.create("y"));
    ASSERT_TRUE(system.create("x"));
    EXPECT_EQ(system.create("x").error().code, Errc::exists);
    EXPECT_EQ(system.load("z", "0 8 zero").error().code, Errc::not_found);
    EXPECT_EQ(system.resume("z").error().code, Errc::not_found);
    EXPECT_EQ(system.remove("z").error().code, Errc::not_found);
    EXPECT_EQ(system.open("z").error().code, Errc::not_found);
    EXPECT_EQ(system.open("a").error().code, Errc::not_found);   // a plain disk is not ours
    EXPECT_EQ(system.resume("x").error().code, Errc::invalid);   // no table
    ASSERT_TRUE(system.load("x", "0 8 zero"));
    ASSERT_TRUE(system.load("x", "0 9 zero"));
    ASSERT_TRUE(system.clear("x"));
    EXPECT_FALSE(system.resume("x"));
    ASSERT_TRUE(system.load("x", "0 10 zero"));
    ASSERT_TRUE(system.resume("x"));
    const auto list = system.list();
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0], (DeviceInfo{.name = "x", .sectors = 10, .has_live_table = true}));
    EXPECT_EQ(list[1], (DeviceInfo{.name = "y", .suspended = true}));
    EXPECT_FALSE(system.create_with_table("v", "0 8 nothing"));
    EXPECT_EQ(system.list().size(), 2U);
  });
}

TEST(System, RefusesLoops) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("one", "0 8 zero").reset();
    rig.make("two", "0 8 linear one 0").reset();
    rig.make("three", "0 8 linear two 0").reset();
    EXPECT_FALSE(system.load("one", "0 8 linear three 0"));
    EXPECT_FALSE(system.load("one", "0 8 linear one 0"));
    ASSERT_TRUE(system.load("two", "0 8 zero"));
    EXPECT_FALSE(system.load("one", "0 8 linear three 0"));   // the active table still counts
    ASSERT_TRUE(system.resume("two"));
    EXPECT_TRUE(system.load("one", "0 8 linear three 0"));
    EXPECT_EQ(system.remove("three").error().code, Errc::busy);
    EXPECT_TRUE(system.remove_all());
  });
}

TEST(System, TellsOfEvents) {
  unit::for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    auto device = rig.make("d", "0 8 zero");
    unit::Together fibers{execution};
    fibers.run("waiter", [&] {
      EXPECT_EQ(*rig.system.wait_event("d", 0), 1U);
      EXPECT_GE(*rig.system.wait_event("d", 1), 2U);
      EXPECT_EQ(rig.system.wait_event("d", 3).error().code, Errc::not_found);
    });
    device.mapped()->event();
    while (rig.system.info("d")->events < 1)
      yield_now();
    sleep_for(Nanos{1000});
    device.mapped()->event();
    device.mapped()->event();
    sleep_for(Nanos{1000});
    device.reset();
    ASSERT_TRUE(rig.system.remove("d"));
    fibers.wait();
  });
}

// Submits a write that closes the device when it ends. `bios` counts those that have not.
void leave_a_write(io::DeviceRef device, unit::Note<int>& bios) {
  struct Left {
    unit::Request request{BioOp::write, 0, 8};
    io::DeviceRef device;
    unit::Note<int>* bios = nullptr;
  };
  auto* const left = new Left;
  left->device = std::move(device);
  left->bios = &bios;
  left->request.bio.owner = left;
  left->request.bio.end_io = [](Bio& bio) {
    auto* const ended = static_cast<Left*>(bio.owner);
    unit::Note<int>& count = *ended->bios;
    delete ended;
    --count;
  };
  ++bios;
  left->device.device().submit(left->request.bio);
}

// Everything at once, on a few names; what fails must fail for a reason.
TEST(System, SurvivesAllVerbsAtOnce) {
  unit::for_seeds(1500, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution};
    System& system = rig.system;
    static constexpr std::array<const char*, 3> kNames{"x", "y", "z"};
    unit::Note<int> bios{0};
    unit::Together fibers{execution};
    for (std::uint64_t f = 0; f < 4; ++f) {
      fibers.run("admin", [&, f] {
        sim::Rng rng{seed * 8 + f};
        for (int round = 0; round < 12; ++round) {
          const char* const name = kNames[rng.below(3)];
          const char* const other = kNames[rng.below(3)];
          switch (rng.below(12)) {
            case 0:
            case 1:
              static_cast<void>(
                  system.create_with_table(name, fmt::format("0 16 linear a {}", rng.below(9))));
              break;
            case 2: {
              const auto removed = system.remove(name);
              EXPECT_TRUE(removed || removed.error().code == Errc::busy ||
                          removed.error().code == Errc::not_found);
              break;
            }
            case 3:
              static_cast<void>(system.load(name, fmt::format("0 16 linear {} 0", other)));
              break;
            case 4:
              static_cast<void>(system.load(name, "0 16 zero"));
              break;
            case 5:
              static_cast<void>(system.resume(name));
              break;
            case 6:
              static_cast<void>(system.suspend(name, io::SuspendKind::noflush));
              static_cast<void>(system.resume(name));
              break;
            case 7:
              static_cast<void>(system.clear(name));
              static_cast<void>(system.status(name));
              static_cast<void>(system.table(name));
              break;
            case 8:
              static_cast<void>(system.rename(name, other));
              break;
            case 9:
              static_cast<void>(system.message(name, Sector{0}, "hello"));
              static_cast<void>(system.list());
              break;
            default:
              if (auto device = system.open(name); device) leave_a_write(*std::move(device), bios);
          }
        }
      });
    }
    fibers.wait();
    // A device may have been left suspended over a bio.
    while (bios != 0) {
      for (const char* const name : kNames)
        static_cast<void>(system.resume(name));
      sleep_for(Nanos{1000});
    }
  });
}

// A reference taken while the device goes: it is either there, or was never found.
TEST(System, FindsADeviceOrDoesNotWhileItIsRemoved) {
  unit::for_seeds(1000, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("d", "0 8 linear a 0").reset();
    unit::Together fibers{execution};
    fibers.run("remover", [&] { EXPECT_TRUE(system.remove("d")); });
    for (int i = 0; i < 3; ++i) {
      fibers.run("asker", [&] {
        for (int round = 0; round < 3; ++round) {
          const auto status = system.status("d");
          if (status) {
            EXPECT_TRUE(*status == "0 8 linear \n" || status->empty()) << *status;
          }
        }
      });
    }
    fibers.wait();
  });
}

TEST(System, EndsWhatIsDeferredWhenADeviceIsRemoved) {
  unit::for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    auto device = rig.make("d", "0 8 linear a 0");
    BlockDevice& below = device.device();
    ASSERT_TRUE(system.suspend("d", io::SuspendKind::flush));
    Completion ended{"ended"};
    unit::Request request{BioOp::write, 0, 8};
    request.bio.owner = &ended;
    request.bio.end_io = [](Bio& bio) { static_cast<Completion*>(bio.owner)->signal(); };
    below.submit(request.bio);
    device.reset();
    ASSERT_TRUE(system.remove("d"));
    ended.wait();
    EXPECT_EQ(request.bio.status, Errc::io_error);
  });
}

// What waits below a device goes on; what waits in a device that nothing stands on does not.
TEST(System, EndsWhatWaitsForAResume) {
  unit::for_seeds(300, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    System& system = rig.system;
    rig.make("low", "0 8 linear a 0").reset();
    rig.make("mid", "0 8 linear low 0").reset();
    const auto top = rig.make("top", "0 8 linear mid 0");
    const auto lone = rig.make("lone", "0 8 linear b 0");
    for (const char* const name : {"mid", "low", "lone"})
      ASSERT_TRUE(system.suspend(name, io::SuspendKind::flush));
    ASSERT_TRUE(system.load("low", "0 8 error"));
    ASSERT_TRUE(system.create("blank"));
    unit::Together fibers{execution};
    fibers.run("top", [&] { EXPECT_EQ(unit::write(top.device(), 0, 8, 1), Errc::ok); });
    fibers.run("lone", [&] { EXPECT_EQ(unit::write(lone.device(), 0, 8, 1), Errc::io_error); });
    EXPECT_TRUE(system.release_waiting());
    EXPECT_FALSE(system.info("low")->suspended);
    EXPECT_TRUE(system.info("low")->has_inactive_table);
    EXPECT_TRUE(system.info("lone")->suspended);
    sleep_for(Nanos{1000000});
    system.refuse_waiting();
    fibers.wait();
    EXPECT_EQ(unit::write(lone.device(), 0, 8, 1), Errc::io_error);
  });
}

TEST(System, FailsWhenItIsDestroyedWithDevices) {
  const auto finding = unit::finding_of([](sim::Execution& execution) {
    unit::Directory directory;
    System system{{execution, directory}};
    static_cast<void>(system.create("d"));
  });
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->kind, sim::FindingKind::lifetime);
}

}   // namespace
}   // namespace engine::dm
