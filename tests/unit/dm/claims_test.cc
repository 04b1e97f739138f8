// What one table stands on, another does not get: pools, caches, linear devices and external
// origins of one system.
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "tests/unit/io/tank.h"

namespace engine::dm {
namespace {

using unit::for_seeds;

constexpr std::uint64_t kSectors = 1024;

class ClaimsRig final : private DeviceDirectory {
 public:
  explicit ClaimsRig(sim::Execution& execution) : env_{execution, *this}, system{env_} {
    for (const char* const name : kDisks) {
      disks_.emplace(name, std::make_unique<sim::SimDevice>(
                               execution, name, sim::SimDeviceOptions{.sectors = kSectors}));
    }
    pools_.add_to(system.registry());
    caches_.add_to(system.registry());
  }
  ~ClaimsRig() override { EXPECT_TRUE(system.remove_all()); }

  void make(std::string_view device, std::string_view target) {
    const auto made = system.create_with_table(device, fmt::format("0 {} {}", kSectors, target));
    EXPECT_TRUE(made) << target << ": " << (made ? "" : made.error().what);
  }
  // Of a table for `device`, which need not be there; empty: none. Nothing is written by it.
  std::string refusal(std::string_view device, std::string_view target) {
    const bool is_new = !system.info(device);
    const std::vector<std::uint64_t> before = contents();
    if (is_new) static_cast<void>(system.create(device));
    const auto loaded = system.load(device, fmt::format("0 {} {}", kSectors, target));
    static_cast<void>(is_new ? system.remove(device) : system.clear(device));
    if (loaded) return {};
    EXPECT_EQ(loaded.error().code, Errc::busy) << target;
    EXPECT_EQ(contents(), before) << target;
    return loaded.error().what;
  }

 private:
  static constexpr std::array kDisks{"m1", "m2", "a", "b", "c", "d"};

  Result<BlockDevice*> find(std::string_view name) override {
    const auto found = disks_.find(name);
    if (found == disks_.end()) return fail(Errc::not_found);
    return found->second.get();
  }
  std::vector<std::uint64_t> contents() const {
    std::vector<std::uint64_t> all;
    for (const auto& [name, disk] : disks_)
      all.push_back(disk->snapshot()->digest());
    return all;
  }

  Env env_;
  std::map<std::string, std::unique_ptr<sim::SimDevice>, std::less<>> disks_;
  thin::ThinTargets pools_;
  cache::CacheTargets caches_;

 public:
  System system;
};

TEST(Claims, WhatAPoolStandsOnIsNoCaches) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    ClaimsRig rig{execution};
    rig.make("pool", "thin-pool m1 a 128 0");
    const std::string of_metadata = "device already in use as the metadata device of a pool";
    const std::string of_data = "device already in use as the data device of a pool";
    EXPECT_EQ(rig.refusal("x", "cache m1 b c 64 0 smq 0"), of_metadata);
    EXPECT_EQ(rig.refusal("x", "cache m2 m1 c 64 0 smq 0"), of_metadata);
    EXPECT_EQ(rig.refusal("x", "cache m2 b m1 64 0 smq 0"), of_metadata);
    EXPECT_EQ(rig.refusal("x", "cache a b c 64 0 smq 0"), of_data);
    EXPECT_EQ(rig.refusal("x", "cache m2 a c 64 0 smq 0"), of_data);
    EXPECT_EQ(rig.refusal("x", "cache m2 b a 64 0 smq 0"), of_data);
    EXPECT_EQ(rig.refusal("x", "thin-pool a b 128 0"), of_data);
    EXPECT_EQ(rig.refusal("x", "thin-pool m2 m1 128 0"), of_metadata);
    EXPECT_EQ(rig.refusal("x", "linear a 0"), of_data);
    EXPECT_EQ(rig.refusal("x", "linear m1 0"), of_metadata);
    EXPECT_EQ(rig.refusal("x", "cache m2 b c 64 0 smq 0"), "");
    EXPECT_EQ(rig.refusal("pool", "thin-pool m1 a 128 0"), "");
    EXPECT_TRUE(rig.system.remove("pool"));
    EXPECT_EQ(rig.refusal("x", "cache m2 a m1 64 0 smq 0"), "");
  });
}

TEST(Claims, WhatACacheStandsOnIsNoPools) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    ClaimsRig rig{execution};
    rig.make("home", "cache m1 a b 64 0 smq 0");
    EXPECT_EQ(rig.refusal("x", "thin-pool m1 c 128 0"),
              "device already in use as the metadata device of a cache");
    EXPECT_EQ(rig.refusal("x", "thin-pool m2 a 128 0"),
              "device already in use as the cache device of another cache");
    EXPECT_EQ(rig.refusal("x", "thin-pool b c 128 0"),
              "device already in use as the origin of another cache");
    EXPECT_EQ(rig.refusal("x", "linear b 0"),
              "device already in use as the origin of another cache");
    EXPECT_EQ(rig.refusal("x", "thin-pool m2 home 128 0"), "");   // through the cache
    // The cache gives way to its origin, and comes back.
    EXPECT_EQ(rig.refusal("home", "linear b 0"), "");
    EXPECT_TRUE(rig.system.load("home", fmt::format("0 {} linear b 0", kSectors)));
    EXPECT_TRUE(rig.system.resume("home"));
    EXPECT_EQ(rig.refusal("x", "thin-pool m2 a 128 0"), "");
    EXPECT_EQ(rig.refusal("x", "thin-pool m2 b 128 0"), "device already in use by a linear device");
    EXPECT_EQ(rig.refusal("home", "cache m1 a b 64 0 smq 0"), "");
  });
}

TEST(Claims, LinearDevicesShareButNotWithOthers) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    ClaimsRig rig{execution};
    const auto half = [&](std::string_view device, std::uint64_t begin) {
      return rig.system.create_with_table(device,
                                          fmt::format("0 {} linear a {}", kSectors / 2, begin));
    };
    EXPECT_TRUE(half("low", 0));
    EXPECT_TRUE(half("high", kSectors / 2));
    EXPECT_TRUE(half("middle", kSectors / 4));
    EXPECT_EQ(rig.refusal("x", "thin-pool m1 a 128 0"), "device already in use by a linear device");
    // One on a part of the disk, another on another part.
    EXPECT_TRUE(rig.system.remove("middle"));
    EXPECT_TRUE(rig.system.create_with_table(
        "pool", fmt::format("0 {} thin-pool low high 128 0", kSectors / 2)));
    EXPECT_EQ(rig.refusal("x", "cache m1 low c 64 0 smq 0"),
              "device already in use as the metadata device of a pool");
  });
}

TEST(Claims, AnExternalOriginIsNobodysToWriteTo) {
  for_seeds(1, [](sim::Execution& execution, std::uint64_t) {
    ClaimsRig rig{execution};
    rig.make("pool", "thin-pool m1 a 128 0");
    ASSERT_TRUE(rig.system.message("pool", Sector{0}, "create_thin 0"));
    ASSERT_TRUE(rig.system.message("pool", Sector{0}, "create_thin 1"));
    rig.make("t0", "thin pool 0 b");
    rig.make("t1", "thin pool 1 b");
    EXPECT_EQ(rig.refusal("x", "cache m2 b c 64 0 smq 0"),
              "device already in use as the external origin of a thin device");
    EXPECT_EQ(rig.refusal("x", "thin pool 1 a"),
              "device already in use as the data device of a pool");
    EXPECT_TRUE(rig.system.remove("t0"));
    EXPECT_TRUE(rig.system.remove("t1"));
    EXPECT_EQ(rig.refusal("x", "cache m2 b c 64 0 smq 0"), "");
  });
}

}   // namespace
}   // namespace engine::dm
