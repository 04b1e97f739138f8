// How much of a request the next piece may cover.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/env/bio.h"
#include "engine/io/target.h"

namespace engine::io {

// Sectors, at least 1, of the piece that begins at `offset` in a target of `target_sectors`, where
// `wanted` sectors are left of the request: it ends at the target's end, at a multiple of the
// target's block (not discards), and within the target's largest request of that kind.
[[nodiscard]] constexpr std::uint64_t piece_sectors(BioOp op, std::uint64_t offset,
                                                    std::uint64_t wanted,
                                                    std::uint64_t target_sectors,
                                                    const TargetLimits& limits) noexcept {
  std::uint64_t sectors = std::min(wanted, target_sectors - offset);
  if (op == BioOp::discard) {
    const std::uint64_t granularity = std::max(limits.discard_granularity_sectors, 1U);
    const std::uint64_t most = limits.discard_sectors_max;
    if (most == 0 || sectors <= most) return sectors;
    // Cut where whole granules end, so that no granule is lost between two pieces.
    const std::uint64_t end = (offset + most) / granularity * granularity;
    return end > offset ? end - offset : most;
  }
  if (limits.block_sectors != 0)
    sectors = std::min(sectors, limits.block_sectors - offset % limits.block_sectors);
  if ((op == BioOp::read || op == BioOp::write) && limits.transfer_sectors_max != 0)
    sectors = std::min(sectors, limits.transfer_sectors_max);
  return sectors;
}

}   // namespace engine::io
