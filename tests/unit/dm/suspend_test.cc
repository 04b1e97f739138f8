// Suspending, resuming, swapping tables and handing bios back, under load.
#include "tests/unit/dm/rig.h"

namespace engine::dm {
namespace {

using unit::Request;
using unit::Rig;

// Nothing reaches a disk while it is `quiet`.
struct Silence final : sim::DeviceObserver {
  void submitted(const sim::SimDevice&, const sim::IoRecord&) override { check(); }
  void completed(const sim::SimDevice&, const sim::IoRecord&) override { check(); }
  void check() const { EXPECT_FALSE(bool{quiet}) << "I/O below a suspended device"; }
  unit::Note<bool> quiet{false};
};

// Writes and reads back sectors of its own, again and again.
void write_and_check(BlockDevice& device, std::uint64_t sector, int rounds, unit::Note<int>* done) {
  for (int round = 1; round <= rounds; ++round) {
    ASSERT_EQ(unit::write(device, sector, 2, round), Errc::ok);
    ASSERT_EQ(unit::read(device, sector + 1), round);
    ++*done;
  }
}

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

// Keeps the bios it is given and lets them go one by one; hands them back when asked to.
class Keeper final : public io::Target {
 public:
  Keeper(const io::TargetContext& context, const io::TargetArgs& args, io::DeviceRef device)
      : Target{args.begin, args.sectors}, owner_{context.owner}, device_{std::move(device)} {
    context.env.executor.spawn("keeper", [this] { work(); });
  }
  ~Keeper() override {
    EXPECT_FALSE(bool{running_});
    stop_ = true;
    stopped_.wait();
    EXPECT_TRUE(kept_.empty());
  }
  io::MapResult map(io::MappedBio& bio) override {
    EXPECT_TRUE(bool{running_});
    const SpinGuard guard{lock_};
    if (hand_back_) return io::MapResult::requeue;
    kept_.push_back(bio);
    return io::MapResult::submitted;
  }
  // The first time a bio comes back it is kept once more.
  io::EndResult end_io(io::MappedBio& bio, Errc& status) override {
    if (bio.storage<bool>() || status != Errc::ok) return io::EndResult::done;
    bio.storage<bool>() = true;
    bio.rewind();
    const SpinGuard guard{lock_};
    kept_twice_.push_back(bio);
    return io::EndResult::kept;
  }
  void presuspend(io::SuspendKind kind) override {
    ++presuspends;
    if (kind == io::SuspendKind::flush) return;
    {
      const SpinGuard guard{lock_};
      hand_back_ = true;
    }
    while (io::MappedBio* const bio = take(kept_)) {
      bio->end(Errc::requeue);
      yield_now();
    }
  }
  void postsuspend() override {
    EXPECT_TRUE(kept_.empty());
    EXPECT_TRUE(kept_twice_.empty());
    hand_back_ = false;
    ++postsuspends;
  }
  Result<void> preresume() override {
    if (refuse_resume) return fail(Errc::invalid, 0, "refused");
    return {};
  }
  void resume() override { running_ = true; }
  Result<std::string> message(std::span<const std::string_view> args) override {
    if (args[0] == "refuse") refuse_resume = true;
    if (args[0] == "accept") refuse_resume = false;
    if (args[0] == "event") owner_.event();
    if (args[0] == "stop") running_ = false;
    yield_now();
    return std::string{args[0]};
  }
  [[nodiscard]] std::string table_line() const override { return device_.name(); }
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return {.block_sectors = 2}; }
  [[nodiscard]] std::string_view type_name() const noexcept override { return "keeper"; }

  unit::Note<int> presuspends{0};
  unit::Note<int> postsuspends{0};
  unit::Note<bool> refuse_resume{false};

 private:
  io::MappedBio* take(io::BioList& list) {
    const SpinGuard guard{lock_};
    if (list.empty()) return nullptr;
    io::MappedBio& bio = io::MappedBio::from(list.front());
    list.pop_front();
    return &bio;
  }
  void work() {
    while (!stop_) {
      for (io::BioList* const list : {&kept_, &kept_twice_}) {
        io::MappedBio* const bio = take(*list);
        if (bio == nullptr) continue;
        if (list == &kept_) bio->emplace<bool>(false);
        bio->remap(device_.device(), bio->mapped_sector);
        bio->issue();
      }
      sleep_for(Nanos{1000});
    }
    stopped_.signal();
  }

  io::OwnerDevice& owner_;
  io::DeviceRef device_;
  SpinLock lock_{"keeper"};
  io::BioList kept_;
  io::BioList kept_twice_;
  unit::Note<bool> running_{false};
  unit::Note<bool> hand_back_{false};
  unit::Note<bool> stop_{false};
  Completion stopped_{"keeper"};
};

class KeeperType final : public io::TargetType {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "keeper"; }
  [[nodiscard]] bool singleton() const noexcept override { return true; }
  [[nodiscard]] bool immutable() const noexcept override { return true; }
  Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                             const io::TargetArgs& args) override {
    ENGINE_TRY_ASSIGN(io::DeviceRef device, context.devices.open(args.words[0]));
    auto keeper = std::make_unique<Keeper>(context, args, std::move(device));
    last = keeper.get();
    ++made;
    return keeper;
  }
  Keeper* last = nullptr;
  int made = 0;
};

struct KeeperRig {
  explicit KeeperRig(sim::Execution& execution) : rig{execution} {
    rig.system.registry().add(type);
    device = rig.make("d", "0 100 keeper a");
  }
  ~KeeperRig() {
    device.reset();
    static_cast<void>(rig.system.suspend("d", io::SuspendKind::flush));
    static_cast<void>(rig.system.message("d", Sector{0}, "stop"));
  }
  KeeperType type;
  Rig rig;
  io::DeviceRef device;
};

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
    begun.signal();
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
    halves.begun.reset();
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
        ASSERT_TRUE(keeper.rig.system.suspend("d", io::SuspendKind::noflush));
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
