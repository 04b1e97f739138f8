// The ordinals of a cache, and the sizes that its format allows. A cache block is a place on the
// fast device, an origin block one on the slow device; both are one data block long. A discard
// block is a power of two of origin blocks.
#pragma once

#include <cstdint>

#include "engine/base/strong_id.h"
#include "engine/base/units.h"

namespace engine::cache {

using CacheBlock = StrongId<struct CacheBlockTag, std::uint32_t>;
using OriginBlock = StrongId<struct OriginBlockTag>;
using DiscardBlock = StrongId<struct DiscardBlockTag>;

constexpr Sector first_sector(CacheBlock block, std::uint64_t block_sectors) noexcept {
  return Sector{block.value() * block_sectors};
}
constexpr Sector first_sector(OriginBlock block, std::uint64_t block_sectors) noexcept {
  return Sector{block.value() * block_sectors};
}

inline constexpr std::uint32_t kDataBlockSectorsMin = 64;   // and a multiple of it
inline constexpr std::uint32_t kDataBlockSectorsMax = 2097152;
// A mapping keeps 48 bits of the origin block.
inline constexpr std::uint64_t kOriginBlocksMax = std::uint64_t{1} << 48;
inline constexpr std::uint64_t kDiscardBlocksMax = 16384;

[[nodiscard]] constexpr bool valid_data_block_sectors(std::uint64_t sectors) noexcept {
  return sectors >= kDataBlockSectorsMin && sectors <= kDataBlockSectorsMax &&
         sectors % kDataBlockSectorsMin == 0;
}

// How the origin is cut up for discards: in few enough blocks that a bit for each is cheap.
struct DiscardGeometry {
  std::uint64_t block_sectors = 0;
  std::uint64_t nr_blocks = 0;
  friend bool operator==(const DiscardGeometry&, const DiscardGeometry&) noexcept = default;
};
[[nodiscard]] constexpr DiscardGeometry discard_geometry(std::uint32_t data_block_sectors,
                                                         std::uint64_t origin_sectors) noexcept {
  std::uint64_t block_sectors = data_block_sectors;
  while (origin_sectors / block_sectors > kDiscardBlocksMax)
    block_sectors *= 2;
  return {.block_sectors = block_sectors, .nr_blocks = div_ceil(origin_sectors, block_sectors)};
}

}   // namespace engine::cache
