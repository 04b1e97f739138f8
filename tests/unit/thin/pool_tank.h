// A whole thin stack in the tank: two disks, a system of mapped devices with a pool and thins, and
// plain reads and writes of whole sectors that carry one number each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/dm/system.h"
#include "engine/env/buffer.h"
#include "engine/thin/pool.h"
#include "engine/thin/pool_view.h"
#include "engine/thin/targets.h"
#include "sim/device_observer.h"
#include "tests/unit/io/tank.h"
#include "tests/unit/thin/metadata_tank.h"

namespace engine::thin {

inline constexpr std::uint64_t kBlock = kTestBlockSectors;
inline constexpr std::uint64_t kOldData = 0xDEAD0000;   // on a used data device

struct PoolTankSpec {
  std::uint64_t metadata_blocks = 128;
  std::uint64_t data_blocks = 16;   // of the device
  sim::DiskImageRef metadata{};
  sim::DiskImageRef data{};
  std::uint64_t origin_sectors = 0;
  bool used_data = false;   // its sectors hold kOldData plus their number
  sim::DiscardLeaves discard_leaves = sim::DiscardLeaves::garbage;
  std::uint64_t discard_sectors_max = 1U << 20U;
  PoolOptions options{};
};

class PoolTank final : private DeviceDirectory {
 public:
  explicit PoolTank(sim::Execution& execution, PoolTankSpec spec = {})
      : spec_{spec},
        env_{execution, *this},
        metadata{execution,
                 "metadata",
                 {.sectors = spec.metadata ? 0 : spec.metadata_blocks * kMetaBlockSectors,
                  .image = spec.metadata,
                  .logical_block_sectors = kMetaBlockSectors}},
        data{execution,
             "data",
             {.sectors = 0,
              .image = spec.data ? spec.data : numbered(spec.data_blocks * kBlock, spec.used_data),
              .discard_sectors_max = spec.discard_sectors_max,
              .discard_leaves = spec.discard_leaves}},
        origin{execution,
               "origin",
               {.sectors = 0,
                .image = numbered(std::max<std::uint64_t>(1, spec.origin_sectors), true)}},
        targets{spec.options},
        system{env_} {
    targets.add_to(system.registry());
  }
  ~PoolTank() override { EXPECT_TRUE(system.remove_all()); }

  // --- Control.
  [[nodiscard]] std::string pool_table(std::uint64_t blocks, std::string_view features) const {
    return fmt::format("0 {} thin-pool metadata data {} 2 {}", blocks * kBlock, kBlock, features);
  }
  void make_pool(std::string_view features = "", std::uint64_t blocks = 0) {
    pdata::must(system.create_with_table(
        "pool", pool_table(blocks == 0 ? spec_.data_blocks : blocks, features)));
  }
  Result<void> reload_pool(std::uint64_t blocks, std::string_view features = "",
                           io::SuspendKind kind = io::SuspendKind::noflush) {
    ENGINE_TRY(system.load("pool", pool_table(blocks, features)));
    ENGINE_TRY(system.suspend("pool", kind));
    return system.resume("pool");
  }
  Errc message(std::string_view text) {
    const auto done = system.message("pool", Sector{0}, text);
    return done ? Errc::ok : done.error().code;
  }
  // Makes the thin known to the pool if `id` is new, and a device "t<id>".
  Result<void> activate(std::uint32_t id, std::uint64_t blocks = 8, std::string_view more = "") {
    return system.create_with_table(fmt::format("t{}", id),
                                    fmt::format("0 {} thin pool {} {}", blocks * kBlock, id, more));
  }
  void make_thin(std::uint32_t id, std::uint64_t blocks = 8, std::string_view more = "") {
    ASSERT_EQ(message(fmt::format("create_thin {}", id)), Errc::ok);
    pdata::must(activate(id, blocks, more));
  }
  void make_snap(std::uint32_t id, std::uint32_t of, std::uint64_t blocks = 8) {
    ASSERT_EQ(message(fmt::format("create_snap {} {}", id, of)), Errc::ok);
    pdata::must(activate(id, blocks));
  }
  [[nodiscard]] std::string status() { return pdata::must(system.status("pool")); }
  [[nodiscard]] bool status_has(std::string_view word) {
    return status().find(word) != std::string::npos;
  }
  [[nodiscard]] Pool& pool() { return *targets.pools().find("pool"); }
  [[nodiscard]] PoolView view() { return PoolView{pool()}; }

  // --- I/O on thin `id`.
  Errc io(std::uint32_t id, Bio& bio) {
    auto device = system.open(fmt::format("t{}", id));
    if (!device) return device.error().code;
    const auto done = submit_and_wait(device->device(), bio);
    return done ? Errc::ok : done.error().code;
  }
  Errc write(std::uint32_t id, std::uint64_t sector, std::uint64_t sectors, std::uint64_t value,
             bool fua = false) {
    AlignedBuffer buffer{sectors * kSectorSize};
    for (std::uint64_t i = 0; i < sectors; ++i)
      std::memcpy(buffer.data() + i * kSectorSize, &value, sizeof value);
    Bio bio;
    bio.op = BioOp::write;
    bio.fua = fua;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    bio.data = buffer.data();
    return io(id, bio);
  }
  // The number in one sector; all ones when the read fails.
  std::uint64_t read(std::uint32_t id, std::uint64_t sector) {
    AlignedBuffer buffer{kSectorSize};
    Bio bio;
    bio.sector = Sector{sector};
    bio.sectors = 1;
    bio.data = buffer.data();
    if (io(id, bio) != Errc::ok) return ~std::uint64_t{0};
    std::uint64_t value = 0;
    std::memcpy(&value, buffer.data(), sizeof value);
    return value;
  }
  Errc discard(std::uint32_t id, std::uint64_t sector, std::uint64_t sectors) {
    Bio bio;
    bio.op = BioOp::discard;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    return io(id, bio);
  }
  Errc flush(std::uint32_t id) {
    Bio bio;
    bio.op = BioOp::flush;
    return io(id, bio);
  }
  std::uint64_t free_data() { return pdata::must(view().free_data_blocks()); }

  void expect_idle() {
    for (const std::string& leak : view().leaks())
      ADD_FAILURE() << leak;
  }

 private:
  Result<BlockDevice*> find(std::string_view name) override {
    if (name == "metadata") return &metadata;
    if (name == "data") return &data;
    if (name == "origin") return &origin;
    return fail(Errc::not_found);
  }
  static sim::DiskImageRef numbered(std::uint64_t sectors, bool fill) {
    auto image = std::make_shared<sim::DiskImage>(sectors);
    std::array<std::byte, kSectorSize> bytes{};
    for (std::uint64_t i = 0; fill && i < sectors; ++i) {
      const std::uint64_t value = kOldData + i;
      std::memcpy(bytes.data(), &value, sizeof value);
      image->write(Sector{i}, bytes);
    }
    return image;
  }

  PoolTankSpec spec_;
  Env env_;

 public:
  sim::SimDevice metadata;
  sim::SimDevice data;
  sim::SimDevice origin;
  ThinTargets targets;
  dm::System system;
};

// Cuts the power of both disks when the `nth` matching I/O has taken effect. Ends before the
// tank.
class CutAt final : public sim::DeviceObserver {
 public:
  CutAt(PoolTank& tank, std::uint32_t ops, std::uint64_t nth) : tank_{tank}, ops_{ops}, left_{nth} {
    tank.metadata.add_observer(*this);
    tank.data.add_observer(*this);
  }
  ~CutAt() {
    tank_.metadata.remove_observer(*this);
    tank_.data.remove_observer(*this);
  }
  CutAt(const CutAt&) = delete;
  CutAt& operator=(const CutAt&) = delete;
  void took_effect(const sim::SimDevice& device, const sim::IoRecord& io) override {
    static_cast<void>(device);
    if ((ops_ & sim::op_bit(io.op)) != 0 && left_ != 0 && --left_ == 0) now();
  }
  void now() {
    left_ = 0;
    if (!tank_.metadata.powered()) return;
    tank_.metadata.power_cut();
    tank_.data.power_cut();
  }

 private:
  PoolTank& tank_;
  std::uint32_t ops_;
  std::uint64_t left_;
};

using unit::for_seeds;
using unit::Together;

}   // namespace engine::thin
