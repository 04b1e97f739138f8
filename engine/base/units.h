// The ordinals of the engine and the two fixed sizes: 512-byte sectors, 4096-byte metadata blocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "engine/base/strong_id.h"

namespace engine {

using MetaBlock = StrongId<struct MetaBlockTag>;   // block number on the metadata device
using DataBlock = StrongId<struct DataBlockTag>;   // block number on the data device
using VirtBlock = StrongId<struct VirtBlockTag>;   // block number inside one thin device
using Sector = StrongId<struct SectorTag>;         // 512-byte sector on any device
using ThinId = StrongId<struct ThinIdTag, std::uint32_t>;

inline constexpr std::uint32_t kSectorShift = 9;
inline constexpr std::uint32_t kSectorSize = 1U << kSectorShift;
inline constexpr std::uint32_t kMetaBlockSize = 4096;
inline constexpr std::uint32_t kMetaBlockSectors = kMetaBlockSize / kSectorSize;

constexpr Sector first_sector(MetaBlock block) noexcept {
  return Sector{block.value() * kMetaBlockSectors};
}

constexpr std::uint64_t div_ceil(std::uint64_t a, std::uint64_t b) noexcept {
  return a / b + (a % b != 0 ? 1 : 0);
}

// Time since the executor's own beginning: simulated in the tank, monotonic on real disks. Never
// wall-clock time.
using Nanos = std::chrono::nanoseconds;

}   // namespace engine
