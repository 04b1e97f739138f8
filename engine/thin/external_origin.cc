// Blocks that were never written, over a read-only origin or over nothing.
//
// The origin may end anywhere: what lies beyond its end, as of the last resume, reads as zeroes,
// and stays zeroes when the block is provisioned, whatever the pool's zeroing says. Old data of the
// data device never shows through.
#include <algorithm>
#include <cstring>

#include "engine/thin/pool.h"

namespace engine::thin {

// Zeroes are nothing where nothing is zeroes, and stays so when it is provisioned. A pool that does
// not zero new blocks would show what the block held before.
bool Pool::needs_block(const ThinDevice& thin, const io::MappedBio& bio) const noexcept {
  if (bio.op == BioOp::write_zeroes)
    return !config_.features.zero_new_blocks || bio.sector.value() < thin.origin_sectors();
  return bio.op != BioOp::read;
}

void Pool::serve_unmapped(ThinDevice& thin, PoolCell& cell) {
  io::MappedBio& bio = cell.bio();
  if (bio.op == BioOp::write_zeroes) {
    release_cell(thin, cell);
    // Durable together with the unmapping that made it nothing.
    state_of(bio).fua = bio.fua && metadata_->changed_this_transaction(thin.metadata());
    complete_overwrite(thin, bio);
    return;
  }
  const std::uint64_t first = bio.sector.value();
  const std::uint64_t from_origin =
      thin.origin_sectors() <= first ? 0 : std::min(bio.sectors, thin.origin_sectors() - first);
  const std::size_t head_bytes = static_cast<std::size_t>(from_origin) << kSectorShift;
  std::memset(bio.data + head_bytes, 0, bio.size_bytes() - head_bytes);
  release_cell(thin, cell);
  if (from_origin == 0) {
    finish(bio, Errc::ok);
    return;
  }
  bio.sectors = from_origin;
  bio.remap(*thin.origin(), bio.sector);
  bio.issue();
}

void Pool::fill_from_origin(NewMapping& mapping) {
  ThinDevice& thin = *mapping.thin;
  const std::uint64_t first = mapping.virt.value() * block_sectors_;
  const std::uint64_t present =
      thin.origin_sectors() <= first
          ? 0
          : std::min<std::uint64_t>(block_sectors_, thin.origin_sectors() - first);
  add_fill(mapping, thin.origin(), Sector{first}, 0, present);
  if (present != 0 || config_.features.zero_new_blocks) {
    add_zero_fill(mapping, present, block_sectors_);
  }
}

}   // namespace engine::thin
