// What tests of suspending share: a watch on a disk that must be silent, a writer that checks
// itself, and a target that keeps bios.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tests/unit/dm/rig.h"

namespace engine::dm {

using unit::Rig;

// Nothing reaches a disk while it is `quiet`.
struct Silence final : sim::DeviceObserver {
  void submitted(const sim::SimDevice&, const sim::IoRecord&) override { check(); }
  void completed(const sim::SimDevice&, const sim::IoRecord&) override { check(); }
  void check() const { EXPECT_FALSE(bool{quiet}) << "I/O below a suspended device"; }
  unit::Note<bool> quiet{false};
};

// Writes and reads back sectors of its own, again and again.
inline void write_and_check(BlockDevice& device, std::uint64_t sector, int rounds,
                            unit::Note<int>* done) {
  for (int round = 1; round <= rounds; ++round) {
    ASSERT_EQ(unit::write(device, sector, 2, round), Errc::ok);
    ASSERT_EQ(unit::read(device, sector + 1), round);
    ++*done;
  }
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

}   // namespace engine::dm
