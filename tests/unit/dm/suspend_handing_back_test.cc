// A no-flush suspend takes back what targets keep, and nothing is handed back without one.
#include "tests/unit/dm/suspend_rig.h"

namespace engine::dm {
namespace {

TEST(Suspend, TakesBackWhatTargetsKeepAndSubmitsItAgainAfterResume) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t) {
    KeeperRig keeper{execution};
    Silence silence;
    keeper.rig.a.add_observer(silence);
    unit::Note<int> done{0};
    unit::Together fibers{execution};
    for (std::uint64_t i = 0; i < 3; ++i)
      fibers.run("writer", [&, i] { write_and_check(keeper.device.device(), i * 5, 3, &done); });
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 10 * round; ++i)
        yield_now();
      ASSERT_TRUE(keeper.rig.system.suspend("d", io::SuspendKind::noflush));
      silence.quiet = true;
      yield_now();
      silence.quiet = false;
      ASSERT_TRUE(keeper.rig.system.resume("d"));
    }
    fibers.wait();
    EXPECT_EQ(done + 0, 9);
    EXPECT_EQ(keeper.type.last->presuspends + 0, keeper.type.last->postsuspends + 0);
  });
}

// While it is being suspended its first block is handed back and its second fails.
class Halves final : public io::Target {
 public:
  using Target::Target;
  io::MapResult map(io::MappedBio& bio) override {
    if (suspending) {
      if (bio.mapped_sector == Sector{0} ? requeue_first : !requeue_first)
        return io::MapResult::requeue;
      return io::MapResult::kill;
    }
    bio.end(Errc::ok);
    return io::MapResult::submitted;
  }
  void presuspend(io::SuspendKind) override {
    suspending = true;
    if (!begun.done()) begun.signal();   // the second is its end
    go_on.wait();
  }
  void postsuspend() override { suspending = false; }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return {.block_sectors = 2}; }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "halves"; }

  unit::Note<bool> suspending{false};
  bool requeue_first = true;
  Completion begun{"begun"};
  Completion go_on{"go_on"};
};

class HalvesType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "halves"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext&,
                                             const io::TargetArgs& args) override {
    auto target = std::make_unique<Halves>(args.begin, args.sectors);
    last = target.get();
    return target;
  }
  Halves* last = nullptr;
};

TEST(Suspend, TakesABioBackWholeThoughAPieceOfItFailed) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t seed) {
    HalvesType type;
    Rig rig{execution};
    rig.system.registry().add(type);
    auto device = rig.make("d", "0 4 halves");
    Halves& halves = *type.last;
    halves.requeue_first = seed % 2 == 0;
    unit::Together fibers{execution};
    fibers.run("user", [&] {
      ASSERT_TRUE(rig.system.suspend("d", io::SuspendKind::noflush));
      ASSERT_TRUE(rig.system.resume("d"));
    });
    halves.begun.wait();
    fibers.run("writer", [&] { EXPECT_EQ(unit::write(device.device(), 0, 4, 1), Errc::ok); });
    for (int i = 0; i < 50; ++i)
      yield_now();
    halves.go_on.signal();
    fibers.wait();
    device.reset();
  });
}

TEST(Suspend, WithoutASuspendNothingIsHandedBack) {
  unit::for_seeds(20, [](sim::Execution& execution, std::uint64_t) {
    // A requeue nobody asked for is an error of that bio, not a bio that is lost.
    class Wrong final : public io::Target {
     public:
      using Target::Target;
      io::MapResult map(io::MappedBio&) override { return io::MapResult::requeue; }
      [[nodiscard]] std::string table_line() const override { return {}; }
      [[nodiscard]] io::TargetLimits limits() const noexcept override { return {}; }
      [[nodiscard]] std::string_view type_name() const noexcept override { return "wrong"; }
    };
    class WrongType final : public io::TargetType {
     public:
      [[nodiscard]] std::string_view name() const noexcept override { return "wrong"; }
      Result<std::unique_ptr<io::Target>> create(const io::TargetContext&,
                                                 const io::TargetArgs& args) override {
        return std::make_unique<Wrong>(args.begin, args.sectors);
      }
    } type;
    Rig rig{execution};
    rig.system.registry().add(type);
    const auto device = rig.make("d", "0 8 wrong");
    EXPECT_EQ(unit::write(device.device(), 0, 1, 1), Errc::io_error);
  });
}

}   // namespace
}   // namespace engine::dm
