// A system over simulated disks, and bios to send through it.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "engine/dm/system.h"
#include "engine/env/buffer.h"
#include "tests/unit/io/tank.h"

namespace unit {

using engine::Bio;
using engine::BioOp;
using engine::BlockDevice;
using engine::Errc;
using engine::Sector;
using engine::io::SuspendKind;

class Directory final : public engine::DeviceDirectory {
 public:
  void add(std::string name, BlockDevice& device) { devices_[std::move(name)] = &device; }
  engine::Result<BlockDevice*> find(std::string_view name) override {
    const auto found = devices_.find(name);
    if (found == devices_.end()) return engine::fail(Errc::not_found, 0, "no such disk");
    return found->second;
  }

 private:
  std::map<std::string, BlockDevice*, std::less<>> devices_;
};

// Two disks of 1024 sectors, "a" and "b".
struct Rig {
  explicit Rig(sim::Execution& run, sim::SimDeviceOptions options = {.sectors = 1024})
      : execution{run}, a{run, "a", options}, b{run, "b", options}, system{{run, directory}} {
    directory.add("a", a);
    directory.add("b", b);
  }
  ~Rig() {
    const auto removed = system.remove_all();
    EXPECT_TRUE(removed) << (removed ? "" : removed.error().what);
  }
  // A device with `table`, open.
  engine::io::DeviceRef make(std::string_view name, std::string_view table) {
    const auto made = system.create_with_table(name, table);
    EXPECT_TRUE(made) << (made ? "" : made.error().what);
    auto device = system.open(name);
    EXPECT_TRUE(device);
    return *std::move(device);
  }

  sim::Execution& execution;
  Directory directory;
  sim::SimDevice a;
  sim::SimDevice b;
  engine::dm::System system;
};

// A bio with its own buffer, filled with `fill`.
struct Request {
  Request(BioOp op, std::uint64_t sector, std::uint64_t sectors, std::byte fill = std::byte{0})
      : buffer{std::max<std::size_t>(sectors, 1) * engine::kSectorSize} {
    std::memset(buffer.data(), std::to_integer<int>(fill), buffer.size());
    bio.op = op;
    bio.sector = Sector{sector};
    bio.sectors = sectors;
    if (op == BioOp::read || op == BioOp::write) bio.data = buffer.data();
  }
  // Suspends.
  Errc run(BlockDevice& device) {
    static_cast<void>(submit_and_wait(device, bio));
    return bio.status;
  }
  // The bytes of sector `i`, when all are equal.
  [[nodiscard]] int value(std::uint64_t i) const {
    const std::byte* const bytes = buffer.data() + i * engine::kSectorSize;
    for (std::size_t k = 1; k < engine::kSectorSize; ++k) {
      if (bytes[k] != bytes[0]) return -1;
    }
    return std::to_integer<int>(bytes[0]);
  }
  engine::AlignedBuffer buffer;
  Bio bio;
};

inline Errc write(BlockDevice& device, std::uint64_t sector, std::uint64_t sectors, int fill) {
  return Request{BioOp::write, sector, sectors, static_cast<std::byte>(fill)}.run(device);
}
// -1: failed; -2: not all bytes equal.
inline int read(BlockDevice& device, std::uint64_t sector) {
  Request request{BioOp::read, sector, 1};
  if (request.run(device) != Errc::ok) return -1;
  const int value = request.value(0);
  return value < 0 ? -2 : value;
}
// What a disk holds in one sector, without I/O.
inline int peek(const sim::SimDevice& device, std::uint64_t sector) {
  std::array<std::byte, engine::kSectorSize> bytes{};
  device.peek(Sector{sector}, bytes);
  return std::to_integer<int>(bytes[0]);
}

}   // namespace unit
