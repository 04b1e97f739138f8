// A whole cache in the tank: three disks, a system of mapped devices with a cache "c", and plain
// reads and writes of whole sectors that carry one number each.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/cache/cache_view.h"
#include "engine/cache/targets.h"
#include "engine/dm/system.h"
#include "engine/env/buffer.h"
#include "engine/thin/targets.h"
#include "sim/device_observer.h"
#include "tests/unit/cache/eager_policy.h"
#include "tests/unit/io/tank.h"
#include "tests/unit/pdata/meta_tank.h"

namespace engine::cache {

inline constexpr std::uint64_t kBlock = 64;             // sectors
inline constexpr std::uint64_t kOldData = 0xDEAD0000;   // on the origin, plus the sector's number
inline constexpr std::uint64_t kOldFast = 0xFA570000;   // on the fast device, likewise

struct CacheImages {
  sim::DiskImageRef metadata{};
  sim::DiskImageRef fast{};
  sim::DiskImageRef origin{};
};

struct CacheTankSpec {
  std::uint64_t cache_blocks = 2;
  std::uint64_t origin_blocks = 8;
  std::uint64_t tail_sectors = 0;   // of the origin, behind its whole blocks
  std::uint64_t metadata_blocks = 64;
  CacheImages images{};
  CacheOptions options{};
  sim::DiscardLeaves discard_leaves = sim::DiscardLeaves::chosen;   // on the origin
};

class CacheTank final : private DeviceDirectory {
 public:
  explicit CacheTank(sim::Execution& execution, const CacheTankSpec& spec = {})
      : spec_{spec},
        env_{execution, *this},
        metadata{execution,
                 "metadata",
                 {.sectors = spec.images.metadata ? 0 : spec.metadata_blocks * kMetaBlockSectors,
                  .image = spec.images.metadata,
                  .logical_block_sectors = kMetaBlockSectors}},
        fast{execution,
             "fast",
             {.image = spec.images.fast ? spec.images.fast
                                        : numbered(spec.cache_blocks * kBlock, kOldFast)}},
        origin{execution,
               "origin",
               {.image =
                    spec.images.origin ? spec.images.origin : numbered(origin_sectors(), kOldData),
                .discard_leaves = spec.discard_leaves}},
        targets{spec.options},
        thin_targets{{}},
        system{env_} {
    targets.policies().add(eager);
    targets.add_to(system.registry());
    thin_targets.add_to(system.registry());
  }
  ~CacheTank() override { EXPECT_TRUE(system.remove_all()); }

  // --- Control.
  [[nodiscard]] std::uint64_t origin_sectors() const {
    return spec_.origin_blocks * kBlock + spec_.tail_sectors;
  }
  [[nodiscard]] std::string table(std::string_view features = "1 writeback",
                                  std::string_view policy = "eager 0") const {
    return fmt::format("0 {} cache metadata fast origin {} {} {}", origin_sectors(), kBlock,
                       features, policy);
  }
  void make(std::string_view features = "1 writeback", std::string_view policy = "eager 0") {
    pdata::must(system.create_with_table("c", table(features, policy)));
  }
  Result<void> reload(std::string_view features, std::string_view policy = "eager 0") {
    ENGINE_TRY(system.load("c", table(features, policy)));
    ENGINE_TRY(system.suspend("c", io::SuspendKind::flush));
    return system.resume("c");
  }
  Errc message(std::string_view text) {
    const auto done = system.message("c", Sector{0}, text);
    return done ? Errc::ok : done.error().code;
  }
  [[nodiscard]] std::string status() { return pdata::must(system.status("c")); }
  [[nodiscard]] bool status_has(std::string_view word) {
    return status().find(word) != std::string::npos;
  }
  [[nodiscard]] CacheView view(std::string_view device = "c") {
    return CacheView{*targets.find(device)};
  }
  [[nodiscard]] bool cached(std::uint64_t block) { return place_of(block).has_value(); }
  [[nodiscard]] std::optional<CacheBlock> place_of(std::uint64_t block) {
    for (const Mapping& mapping : view().mappings()) {
      if (mapping.origin.value() == block) return mapping.at;
    }
    return std::nullopt;
  }
  [[nodiscard]] CacheImages crash_images() const {
    return {metadata.crash_image(), fast.crash_image(), origin.crash_image()};
  }
  [[nodiscard]] CacheImages images() const {
    return {metadata.snapshot(), fast.snapshot(), origin.snapshot()};
  }

  // --- I/O.
  Errc io(Bio& bio, std::string_view to = "c") {
    auto device = system.open(to);
    if (!device) return device.error().code;
    const auto done = submit_and_wait(device->device(), bio);
    return done ? Errc::ok : done.error().code;
  }
  Errc write(std::uint64_t sector, std::uint64_t sectors, std::uint64_t value, bool fua = false,
             std::string_view to = "c") {
    AlignedBuffer buffer{sectors * kSectorSize};
    for (std::uint64_t i = 0; i < sectors; ++i)
      std::memcpy(buffer.data() + i * kSectorSize, &value, sizeof value);
    Bio bio;
    bio.op = BioOp::write;
    bio.fua = fua;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    bio.data = buffer.data();
    return io(bio, to);
  }
  // The number in one sector; all ones when the read fails.
  std::uint64_t read(std::uint64_t sector, std::string_view from = "c") {
    AlignedBuffer buffer{kSectorSize};
    Bio bio;
    bio.sector = Sector{sector};
    bio.sectors = 1;
    bio.data = buffer.data();
    if (io(bio, from) != Errc::ok) return ~std::uint64_t{0};
    std::uint64_t value = 0;
    std::memcpy(&value, buffer.data(), sizeof value);
    return value;
  }
  Errc discard(std::uint64_t sector, std::uint64_t sectors) {
    Bio bio;
    bio.op = BioOp::discard;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    return io(bio);
  }
  Errc flush() {
    Bio bio;
    bio.op = BioOp::flush;
    return io(bio);
  }
  // What a disk holds at this moment.
  static std::uint64_t peek(const sim::SimDevice& device, std::uint64_t sector) {
    std::array<std::byte, kSectorSize> bytes{};
    device.peek(Sector{sector}, bytes);
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  // Nothing is left over, and what is clean is the same on both devices.
  void expect_idle() {
    // The worker may not have come round to it yet.
    pdata::must(system.suspend("c", io::SuspendKind::flush));
    for (const std::string& miscount : view().miscounts())
      ADD_FAILURE() << miscount;
    for (const std::string& leak : view().leaks())
      ADD_FAILURE() << leak;
    expect_clean_is_equal();
    pdata::must(system.resume("c"));
  }
  void expect_clean_is_equal() {
    const CacheView now = view();
    for (const Mapping& mapping : now.mappings()) {
      if (now.dirty(mapping.at)) continue;
      for (std::uint64_t i = 0; i < kBlock; ++i)
        ASSERT_EQ(peek(fast, mapping.at.value() * kBlock + i),
                  peek(origin, mapping.origin.value() * kBlock + i))
            << "block " << mapping.origin.value() << " sector " << i;
    }
  }

  static sim::DiskImageRef numbered(std::uint64_t sectors, std::uint64_t base) {
    auto image = std::make_shared<sim::DiskImage>(sectors);
    std::array<std::byte, kSectorSize> bytes{};
    for (std::uint64_t i = 0; i < sectors; ++i) {
      const std::uint64_t value = base + i;
      std::memcpy(bytes.data(), &value, sizeof value);
      image->write(Sector{i}, bytes);
    }
    return image;
  }

 private:
  Result<BlockDevice*> find(std::string_view name) override {
    if (name == "metadata") return &metadata;
    if (name == "fast") return &fast;
    if (name == "origin") return &origin;
    if (const auto found = more.find(name); found != more.end()) return found->second;
    return fail(Errc::not_found);
  }

  CacheTankSpec spec_;
  Env env_;

 public:
  // Of all disks at once.
  void cut_power() {
    if (!metadata.powered()) return;
    metadata.power_cut();
    fast.power_cut();
    origin.power_cut();
  }

  std::map<std::string, BlockDevice*, std::less<>> more;   // further devices that tables may name
  std::shared_ptr<sim::DeviceObserver> watcher;            // of the disks, which it outlives
  sim::SimDevice metadata;
  sim::SimDevice fast;
  sim::SimDevice origin;
  EagerPolicyType eager;
  CacheTargets targets;
  thin::ThinTargets thin_targets;
  dm::System system;
};

// Cuts the power of all disks when the `nth` I/O has taken effect.
class CutAt final : public sim::DeviceObserver {
 public:
  static void arm(CacheTank& tank, std::uint64_t nth) {
    tank.watcher = std::shared_ptr<CutAt>{new CutAt{tank, nth}};
    tank.metadata.add_observer(*tank.watcher);
    tank.fast.add_observer(*tank.watcher);
    tank.origin.add_observer(*tank.watcher);
  }
  void took_effect(const sim::SimDevice& device, const sim::IoRecord& io) override {
    static_cast<void>(device);
    static_cast<void>(io);
    if (left_ != 0 && --left_ == 0) tank_.cut_power();
  }

 private:
  CutAt(CacheTank& tank, std::uint64_t nth) : tank_{tank}, left_{nth} {}

  CacheTank& tank_;
  std::uint64_t left_;
};

using unit::for_seeds;
using unit::Together;

}   // namespace engine::cache
