// Suspends by another device, beside those of the user.
#include "tests/unit/dm/suspend_rig.h"

namespace engine::dm {
namespace {

// A target that something else (a pool) suspends through its device as long as it lives.
class Leashed final : public io::Target {
 public:
  Leashed(const io::TargetContext& context, const io::TargetArgs& args)
      : Target{args.begin, args.sectors}, owner_{context.owner} {
    context.env.executor.spawn("pool", [this] {
      while (!stop_) {
        owner_.internal_suspend_noflush();
        yield_now();
        owner_.internal_resume();
        yield_now();
      }
      stopped_.signal();
    });
  }
  ~Leashed() override {
    stop_ = true;
    stopped_.wait();
  }
  io::MapResult map(io::MappedBio& bio) override {
    bio.end(Errc::ok);
    return io::MapResult::submitted;
  }
  void presuspend(io::SuspendKind) override {
    EXPECT_FALSE(bool{suspending_}) << "two suspends of one device at once";
    suspending_ = true;
    yield_now();
  }
  void postsuspend() override {
    EXPECT_TRUE(bool{suspending_});
    yield_now();
    suspending_ = false;
  }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return {}; }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "leashed"; }

 private:
  io::OwnerDevice& owner_;
  unit::Note<bool> suspending_{false};
  unit::Note<bool> stop_{false};
  Completion stopped_{"leashed"};
};

class LeashedType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "leashed"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override {
    return std::make_unique<Leashed>(context, args);
  }
};

TEST(Suspend, RemovingADeviceExcludesItsInternalSuspends) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t seed) {
    LeashedType type;
    Rig rig{execution};
    rig.system.registry().add(type);
    auto device = rig.make("d", "0 4 leashed");
    EXPECT_EQ(unit::write(device.device(), 0, 4, 1), Errc::ok);
    for (std::uint64_t i = 0; i < seed % 8; ++i)
      yield_now();
    device.reset();
    EXPECT_TRUE(rig.system.remove("d"));
  });
}

TEST(Suspend, InternallyNestsAndMixesWithTheUsers) {
  unit::for_seeds(500, [](sim::Execution& execution, std::uint64_t seed) {
    KeeperRig keeper{execution};
    Silence silence;
    keeper.rig.a.add_observer(silence);
    io::OwnerDevice& owner = *keeper.device.mapped();
    unit::Note<int> done{0};
    unit::Note<int> holders{0};
    unit::Together fibers{execution};
    for (std::uint64_t i = 0; i < 2; ++i)
      fibers.run("writer", [&, i] { write_and_check(keeper.device.device(), i * 5, 3, &done); });
    for (int i = 0; i < 2; ++i) {
      fibers.run("pool", [&] {
        for (int round = 0; round < 3; ++round) {
          owner.internal_suspend_noflush();
          ++holders;
          silence.quiet = true;
          yield_now();
          EXPECT_TRUE(owner.suspended());
          if (--holders == 0) silence.quiet = false;
          owner.internal_resume();
          yield_now();
        }
      });
    }
    fibers.run("user", [&] {
      for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(keeper.rig.system.suspend(
            "d", seed % 3 == 0 ? io::SuspendKind::flush : io::SuspendKind::noflush));
        ++holders;
        silence.quiet = true;
        yield_now();
        if (seed % 2 == 0) {
          ASSERT_TRUE(keeper.rig.system.load("d", "0 100 keeper a"));
        }
        if (--holders == 0) silence.quiet = false;
        static_cast<void>(keeper.rig.system.message("d", Sector{0}, "stop"));
        ASSERT_TRUE(keeper.rig.system.resume("d"));
      }
    });
    fibers.wait();
    EXPECT_EQ(done + 0, 6);
  });
}

// Keeps what is written until there is room, which somebody else makes while the device is
// suspended internally: a thin of a full pool.
class Full final : public io::Target {
 public:
  using Target::Target;
  io::MapResult map(io::MappedBio& bio) override {
    {
      const SpinGuard guard{lock_};
      if (hand_back_) return io::MapResult::requeue;
      if (!has_room) {
        kept_.push_back(bio);
        return io::MapResult::submitted;
      }
    }
    bio.end(Errc::ok);
    return io::MapResult::submitted;
  }
  void presuspend(io::SuspendKind kind) override {
    yield_now();
    if (kind == io::SuspendKind::flush) return;
    io::BioList kept;
    {
      const SpinGuard guard{lock_};
      hand_back_ = true;
      kept.swap(kept_);
    }
    while (!kept.empty())
      io::pop(kept).end(Errc::requeue);
    yield_now();
  }
  void postsuspend() override {
    EXPECT_TRUE(kept_.empty());
    hand_back_ = false;
  }
  [[nodiscard]] std::string table_line() const override { return {}; }
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return {}; }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "full"; }

  unit::Note<bool> has_room{false};

 private:
  SpinLock lock_{"full"};
  io::BioList kept_;
  unit::Note<bool> hand_back_{false};
};

class FullType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "full"; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext&,
                                             const io::TargetArgs& args) override {
    auto target = std::make_unique<Full>(args.begin, args.sectors);
    last = target.get();
    return target;
  }
  Full* last = nullptr;
};

// Whichever comes first, and in the midst of each other; by a suspend or a new table.
TEST(Suspend, ThatFlushesMakesWayForWhatItWaitsFor) {
  unit::for_seeds(1000, [](sim::Execution& execution, std::uint64_t seed) {
    FullType type;
    Rig rig{execution};
    rig.system.registry().add(type);
    auto device = rig.make("d", "0 4 full");
    Full& first = *type.last;
    unit::Note<bool> done{false};
    unit::Together fibers{execution};
    fibers.run("writer", [&] { EXPECT_EQ(unit::write(device.device(), 0, 4, 1), Errc::ok); });
    fibers.run("user", [&] {
      if (seed % 2 == 0) {
        EXPECT_TRUE(rig.system.suspend("d", io::SuspendKind::flush));
      } else {
        EXPECT_TRUE(rig.system.load("d", "0 4 full"));
        type.last->has_room = true;
      }
      EXPECT_TRUE(rig.system.resume("d", io::SuspendKind::flush));
      done = true;
    });
    fibers.run("pool", [&] {
      io::OwnerDevice& owner = *device.mapped();
      for (bool last = false; !last;) {
        last = done;
        for (std::uint64_t i = 0; i < seed % 16; ++i)
          yield_now();
        owner.internal_suspend_noflush();
        if (seed % 2 == 0) first.has_room = true;
        owner.internal_resume();
      }
    });
    fibers.wait();
  });
}

}   // namespace
}   // namespace engine::dm
