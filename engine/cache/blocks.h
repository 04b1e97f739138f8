// The ordinals of a cache. A cache block is a place on the fast device, an origin block one on the
// slow device; both are `block_sectors` long. A discard block is a power of two of origin blocks.
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

}   // namespace engine::cache
