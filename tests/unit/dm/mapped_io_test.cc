// What a mapped device does with bios while nobody suspends it.
#include "engine/fiber/work_queue.h"
#include "tests/unit/dm/rig.h"

namespace engine::dm {
namespace {

using unit::Request;
using unit::Rig;

TEST(MappedDevice, SendsEachSectorWhereTheTableSays) {
  unit::for_seeds(200, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution, {.sectors = 1024, .transfer_sectors_max = 1 + seed % 24}};
    // [0,40) a+100  [40,60) zero  [60,100) b+5  [100,120) a+0
    const auto device =
        rig.make("d", "0 40 linear a 100\n40 20 zero\n60 40 linear b 5\n100 20 linear a 0");
    std::array<int, 120> model{};
    sim::Rng rng{seed};
    for (int round = 0; round < 25; ++round) {
      const std::uint32_t first = rng.below(120);
      const std::uint32_t sectors = 1 + rng.below(120 - first);
      if (rng.one_in(2)) {
        const int fill = 1 + round;
        ASSERT_EQ(unit::write(device.device(), first, sectors, fill), Errc::ok);
        for (std::uint32_t s = first; s < first + sectors; ++s)
          model[s] = s >= 40 && s < 60 ? 0 : fill;
      } else {
        Request request{BioOp::read, first, sectors, std::byte{0xaa}};
        ASSERT_EQ(request.run(device.device()), Errc::ok);
        for (std::uint32_t s = 0; s < sectors; ++s)
          ASSERT_EQ(request.value(s), model[first + s]) << first + s;
      }
    }
    for (std::uint32_t s = 0; s < 120; ++s) {
      if (s < 40) {
        ASSERT_EQ(unit::peek(rig.a, 100 + s), model[s]);
      }
      if (s >= 60 && s < 100) {
        ASSERT_EQ(unit::peek(rig.b, 5 + s - 60), model[s]);
      }
      if (s >= 100) {
        ASSERT_EQ(unit::peek(rig.a, s - 100), model[s]);
      }
    }
    EXPECT_EQ(unit::peek(rig.a, 140), 0);
    EXPECT_EQ(unit::peek(rig.b, 4), 0);
  });
}

TEST(MappedDevice, ConsumesABioAsAnyDeviceDoes) {
  unit::for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    const auto device = rig.make("d", "0 40 linear a 100");
    Request request{BioOp::write, 3, 4, std::byte{1}};
    ASSERT_EQ(request.run(device.device()), Errc::ok);
    EXPECT_EQ(request.bio.sector, Sector{7});
    EXPECT_EQ(request.bio.sectors, 0U);
    EXPECT_EQ(request.bio.data, request.buffer.data() + 4 * kSectorSize);
  });
}

TEST(MappedDevice, FailsWhatIsOutsideOrMapsToAnError) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    const auto device = rig.make("d", "0 40 linear a 100\n40 8 error");
    EXPECT_EQ(unit::write(device.device(), 48, 1, 1), Errc::io_error);
    EXPECT_EQ(unit::write(device.device(), 47, 2, 1), Errc::io_error);
    EXPECT_EQ(unit::write(device.device(), ~0ULL, 2, 1), Errc::io_error);
    EXPECT_EQ(unit::write(device.device(), 39, 2, 1), Errc::io_error);
    EXPECT_EQ(unit::write(device.device(), 39, 1, 2), Errc::ok);
    EXPECT_EQ(unit::read(device.device(), 39), 2);
    EXPECT_EQ(unit::read(device.device(), 40), -1);
    EXPECT_FALSE(flush_and_wait(device.device()));   // the error target fails it too
  });
}

TEST(MappedDevice, WithoutATableFailsEverythingAtOnce) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    ASSERT_TRUE(rig.system.create("d"));
    const auto device = *rig.system.open("d");
    EXPECT_EQ(unit::write(device.device(), 0, 1, 1), Errc::io_error);
    EXPECT_FALSE(flush_and_wait(device.device()));
    ASSERT_TRUE(rig.system.load("d", "0 8 linear a 0"));
    EXPECT_EQ(unit::write(device.device(), 0, 1, 1), Errc::io_error);
    ASSERT_TRUE(rig.system.resume("d"));
    EXPECT_EQ(unit::write(device.device(), 0, 1, 1), Errc::ok);
  });
}

// Counts what reaches a disk.
struct Watch final : sim::DeviceObserver {
  void submitted(const sim::SimDevice&, const sim::IoRecord& io) override { records.push_back(io); }
  std::vector<sim::IoRecord> records;
};

TEST(MappedDevice, FlushesEveryDeviceBeforeTheDataThatAsksForIt) {
  unit::for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    Watch a;
    Watch b;
    rig.a.add_observer(a);
    rig.b.add_observer(b);
    const auto device = rig.make("d", "0 40 linear a 100\n40 40 linear b 0");
    EXPECT_EQ(unit::write(device.device(), 0, 80, 1), Errc::ok);
    a.records.clear();
    b.records.clear();
    Request request{BioOp::write, 38, 4, std::byte{2}};
    request.bio.preflush = true;
    request.bio.fua = true;
    ASSERT_EQ(request.run(device.device()), Errc::ok);
    ASSERT_EQ(a.records.size(), 2U);
    EXPECT_EQ(a.records[0].op, BioOp::flush);
    EXPECT_EQ(a.records[1].sectors, 2U);
    EXPECT_TRUE(a.records[1].fua);
    ASSERT_EQ(b.records.size(), 2U);
    EXPECT_EQ(b.records[0].op, BioOp::flush);
    EXPECT_TRUE(b.records[1].fua);
  });
}

TEST(MappedDevice, FailsAFlushedWriteWhoseFlushFailed) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    Watch a;
    rig.a.add_observer(a);
    rig.b.faults().rules.push_back({.ops = sim::kFlushes, .nth = 1});
    const auto device = rig.make("d", "0 40 linear a 100\n40 40 linear b 0");
    Request request{BioOp::write, 3, 4, std::byte{2}};
    request.bio.preflush = true;
    EXPECT_EQ(request.run(device.device()), Errc::io_error);
    for (const sim::IoRecord& io : a.records)
      EXPECT_EQ(io.op, BioOp::flush);
  });
}

TEST(MappedDevice, FailsAWholeBioWhenOneOfItsPiecesFails) {
  unit::for_seeds(50, [](sim::Execution& execution, std::uint64_t seed) {
    Rig rig{execution, {.sectors = 1024, .transfer_sectors_max = 4}};
    rig.a.faults().rules.push_back({.ops = sim::kWrites, .nth = 1 + seed % 5});
    const auto device = rig.make("d", "0 40 linear a 0");
    EXPECT_EQ(unit::write(device.device(), 0, 20, 1), Errc::io_error);
    EXPECT_EQ(unit::write(device.device(), 0, 20, 2), Errc::ok);
  });
}

TEST(MappedDevice, CutsDiscardsToWhatTheDeviceTakes) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution, {.sectors = 1024, .discard_sectors_max = 16}};
    Watch a;
    rig.a.add_observer(a);
    const auto device = rig.make("d", "0 100 linear a 0");
    EXPECT_EQ(device.device().limits().discard_sectors_max, 16U);
    ASSERT_EQ((Request{BioOp::discard, 3, 40}.run(device.device())), Errc::ok);
    std::uint64_t total = 0;
    for (const sim::IoRecord& io : a.records) {
      EXPECT_LE(io.sectors, 16U);
      total += io.sectors;
    }
    EXPECT_EQ(total, 40U);
    ASSERT_EQ((Request{BioOp::write_zeroes, 0, 90}.run(device.device())), Errc::ok);
  });
}

TEST(MappedDevice, RefusesDiscardsWhereTheDeviceTakesNone) {
  unit::for_seeds(5, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution, {.sectors = 1024, .discard_sectors_max = 0}};
    const auto device = rig.make("d", "0 100 linear a 0");
    EXPECT_EQ((Request{BioOp::discard, 3, 40}.run(device.device())), Errc::not_supported);
  });
}

TEST(MappedDevice, Stacks) {
  unit::for_seeds(100, [](sim::Execution& execution, std::uint64_t) {
    Rig rig{execution};
    auto low = rig.make("low", "0 200 linear a 50\n200 200 linear b 0");
    auto mid = rig.make("mid", "0 300 linear low 100");
    const auto top = rig.make("top", "0 100 linear mid 50\n100 100 linear mid 150");
    ASSERT_EQ(unit::write(top.device(), 30, 60, 9), Errc::ok);
    EXPECT_EQ(unit::peek(rig.a, 50 + 100 + 50 + 30), 9);
    EXPECT_EQ(unit::peek(rig.b, 0), 9);
    EXPECT_EQ(unit::read(top.device(), 89), 9);
    EXPECT_EQ(unit::read(top.device(), 90), 0);
    EXPECT_TRUE(flush_and_wait(top.device()));
    EXPECT_EQ(rig.system.remove("low").error().code, Errc::busy);
    low.reset();
    mid.reset();
    EXPECT_EQ(rig.system.remove("low").error().code, Errc::busy);   // "mid" has it open
  });
}

// A target whose map() blocks, and one whose end_io() does.
class Blocker final : public io::Target {
 public:
  Blocker(const io::TargetArgs& args, io::DeviceRef device)
      : Target{args.begin, args.sectors},
        device_{std::move(device)},
        in_end_io_{args.words[1] == "end"} {}
  io::MapResult map(io::MappedBio& bio) override {
    if (!in_end_io_) sleep_for(Nanos{1});
    bio.remap(device_.device(), bio.sector);
    return io::MapResult::remapped;
  }
  io::EndResult end_io(io::MappedBio&, Errc&) override {
    if (in_end_io_) yield_now();
    return io::EndResult::done;
  }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return {}; }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "blocker"; }

 private:
  io::DeviceRef device_;
  bool in_end_io_;
};

class BlockerType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "blocker"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override {
    ENGINE_TRY_ASSIGN(io::DeviceRef device, context.devices.open(args.words[0]));
    return std::make_unique<Blocker>(args, std::move(device));
  }
};

TEST(MappedDevice, CatchesTargetsThatBlockWhereTheyMustNot) {
  for (const char* const table : {"0 8 blocker a map", "0 8 blocker a end"}) {
    const auto finding = unit::finding_of([&](sim::Execution& execution) {
      BlockerType type;
      Rig rig{execution};
      rig.system.registry().add(type);
      const auto device = rig.make("d", table);
      unit::write(device.device(), 0, 1, 1);
    });
    ASSERT_TRUE(finding) << table;
    EXPECT_EQ(finding->kind, sim::FindingKind::atomic_context) << table;
  }
}

}   // namespace
}   // namespace engine::dm
