// A table whose metadata lies on a suspended device is loaded when that resumes. Meanwhile every
// other device takes tables, answers and serves.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "tests/unit/io/tank.h"

namespace engine::dm {
namespace {

using io::SuspendKind;
using unit::for_seeds;
using unit::Note;
using unit::Together;

constexpr std::uint64_t kSeeds = 200;
constexpr std::uint64_t kDiskSectors = 1024;

// Three disks for metadata, of which one is reached through "below", and five for data.
class Machine final : private DeviceDirectory {
 public:
  explicit Machine(sim::Execution& execution) : env_{execution, *this}, system{env_} {
    for (const char* const name : kDisks) {
      disks_.emplace(name, std::make_unique<sim::SimDevice>(
                               execution, name, sim::SimDeviceOptions{.sectors = kDiskSectors}));
    }
    pools.add_to(system.registry());
    caches.add_to(system.registry());
    make("below", "linear m1 0");
  }
  ~Machine() override { EXPECT_TRUE(system.remove_all()); }

  [[nodiscard]] static std::string line(std::string_view target) {
    return fmt::format("0 {} {}", kDiskSectors, target);
  }
  void make(std::string_view device, std::string_view target) {
    const auto made = system.create_with_table(device, line(target));
    EXPECT_TRUE(made) << target << ": " << (made ? "" : made.error().what);
  }
  // "": it is loaded.
  std::string load(std::string_view device, std::string_view target) {
    const auto loaded = system.load(device, line(target));
    return loaded ? "" : loaded.error().what;
  }
  Errc tell(std::string_view device, std::string_view text) {
    const auto done = system.message(device, Sector{0}, text);
    return done ? Errc::ok : done.error().code;
  }

  // What people do with devices that have nothing to do with those of `m1`. In the end all is gone.
  void live_elsewhere() {
    make("pool2", "thin-pool m2 e 128 0");
    EXPECT_EQ(tell("pool2", "create_thin 0"), Errc::ok);
    make("thin2", "thin pool2 0");
    EXPECT_TRUE(system.status("pool2"));
    EXPECT_TRUE(system.status("thin2"));
    EXPECT_TRUE(system.info("thin2"));
    EXPECT_GE(system.list().size(), 3U);
    EXPECT_EQ(load("pool2", "thin-pool m2 e 128 1"), "");
    EXPECT_TRUE(system.resume("pool2"));
    EXPECT_TRUE(system.suspend("pool2", SuspendKind::flush));
    EXPECT_TRUE(system.resume("pool2"));
    EXPECT_TRUE(system.remove("thin2"));
    EXPECT_TRUE(system.remove("pool2"));
    make("cache2", "cache m3 c d 64 1 writeback smq 0");
    EXPECT_EQ(load("cache2", "cache m3 c d 64 1 writethrough smq 0"), "");
    EXPECT_TRUE(system.resume("cache2"));
    EXPECT_EQ(tell("cache2", "migration_threshold 4096"), Errc::ok);
    EXPECT_TRUE(system.status("cache2"));
    EXPECT_TRUE(system.remove("cache2"));
  }

 private:
  static constexpr std::array kDisks{"m1", "m2", "m3", "a", "b", "c", "d", "e"};

  Result<BlockDevice*> find(std::string_view name) override {
    const auto found = disks_.find(name);
    if (found == disks_.end()) return fail(Errc::not_found);
    return found->second.get();
  }

  Env env_;
  std::map<std::string, std::unique_ptr<sim::SimDevice>, std::less<>> disks_;

 public:
  thin::ThinTargets pools;
  cache::CacheTargets caches;
  System system;
};

struct Waiting {
  const char* device;
  const char* table;     // of which the metadata is "below"
  const char* message;   // that it answers when it is there
};

TEST(WaitingLoad, KeepsNobodyElseWaiting) {
  static constexpr std::array kWaiting{
      Waiting{"pool1", "thin-pool below a 128 0", "create_thin 0"},
      Waiting{"cache1", "cache below a b 64 1 writeback smq 0", "migration_threshold 4096"}};
  for (const Waiting& each : kWaiting) {
    for_seeds(kSeeds, [&each](sim::Execution& execution, std::uint64_t) {
      Machine rig{execution};
      ASSERT_TRUE(rig.system.suspend("below", SuspendKind::flush));
      Together together{execution};
      Note<bool> loaded;
      together.run("load", [&] {
        rig.make(each.device, each.table);
        loaded = true;
      });
      rig.live_elsewhere();
      EXPECT_FALSE(loaded) << each.device;
      ASSERT_TRUE(rig.system.resume("below"));
      together.wait();
      EXPECT_EQ(rig.tell(each.device, each.message), Errc::ok);
      EXPECT_EQ(rig.pools.pools().open_pools() + rig.caches.metadata().open_metadata(), 1U);
    });
  }
}

// Where it cannot be told whose the devices will be, the later one is refused.
TEST(WaitingLoad, APoolThatOpensHasItsDevices) {
  for_seeds(kSeeds, [](sim::Execution& execution, std::uint64_t) {
    Machine rig{execution};
    ASSERT_TRUE(rig.system.suspend("below", SuspendKind::flush));
    ASSERT_TRUE(rig.system.create("rival"));
    Together together{execution};
    together.run("load", [&] { rig.make("pool1", "thin-pool below a 128 0"); });
    while (rig.pools.pools().open_pools() == 0)
      yield_now();
    EXPECT_EQ(rig.load("rival", "thin-pool below c 128 0"),
              "metadata device already in use by a pool");
    EXPECT_EQ(rig.load("rival", "thin-pool m2 a 128 0"), "data device already in use by a pool");
    ASSERT_TRUE(rig.system.resume("below"));
    together.wait();
    EXPECT_EQ(rig.pools.pools().open_pools(), 1U);
    EXPECT_EQ(rig.load("rival", "thin-pool below c 128 0"),
              "metadata device already in use by a pool");
  });
}

// Somebody who tries again and again meets it in every state, and gets its devices when it is gone.
TEST(WaitingLoad, ASuccessorWaitsForAPoolThatCloses) {
  for_seeds(kSeeds, [](sim::Execution& execution, std::uint64_t) {
    Machine rig{execution};
    rig.make("pool1", "thin-pool below a 128 0");
    ASSERT_EQ(rig.tell("pool1", "create_thin 7"), Errc::ok);
    ASSERT_TRUE(rig.system.create("successor"));
    Together together{execution};
    together.run("remove", [&] { EXPECT_TRUE(rig.system.remove("pool1")); });
    Note<bool> loaded;
    together.run("watch", [&] {
      for (; !loaded; yield_now())
        EXPECT_LE(rig.pools.pools().open_pools(), 1U) << "two at once on one device";
    });
    while (!rig.load("successor", "thin-pool below a 128 0").empty())
      yield_now();
    loaded = true;
    together.wait();
    EXPECT_TRUE(rig.system.resume("successor"));
    EXPECT_EQ(rig.tell("successor", "create_thin 7"), Errc::exists);
  });
}

// Whoever has come first opens it, the other goes along.
TEST(WaitingLoad, TablesOfTwoCachesShareMetadataThatOpens) {
  for_seeds(kSeeds, [](sim::Execution& execution, std::uint64_t) {
    Machine rig{execution};
    ASSERT_TRUE(rig.system.create("cache1"));
    ASSERT_TRUE(rig.system.create("cache2"));
    ASSERT_TRUE(rig.system.suspend("below", SuspendKind::flush));
    Together together{execution};
    for (const char* const cache : {"cache1", "cache2"}) {
      together.run(cache, [&rig, cache] {
        EXPECT_EQ(rig.load(cache, "cache below a b 64 1 writeback smq 0"), "");
      });
    }
    ASSERT_TRUE(rig.system.resume("below"));
    together.wait();
    EXPECT_EQ(rig.caches.metadata().open_metadata(), 1U);
    EXPECT_TRUE(rig.system.resume("cache1"));
    EXPECT_FALSE(rig.system.resume("cache2"));
  });
}

}   // namespace
}   // namespace engine::dm
