// What the server offers to clients: block devices under names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/env/block_device.h"

namespace real_io::nbd {

inline constexpr std::uint32_t kRequestBytesMax = std::uint32_t{32} << 20;

struct Export {
  std::string name;
  std::string description;
  engine::BlockDevice* device = nullptr;   // must outlive every connection to the export
  std::uint32_t block_bytes_preferred = 4096;
  bool read_only = false;
  // The device's write_zeroes may leave a range without space of its own, as a thin's does: a
  // client that wants no hole gets zeroes written.
  bool zeroes_leave_holes = false;
};

// The facts that negotiation needs, so that it can be tested without devices.
struct ExportFacts {
  std::string name;
  std::string description;
  std::uint64_t size_bytes = 0;
  std::uint16_t flags = 0;
  std::uint32_t block_bytes_min = 512;
  std::uint32_t block_bytes_preferred = 4096;
};
[[nodiscard]] ExportFacts facts_of(const Export& exported);

}   // namespace real_io::nbd
