// Discards: a user's word that a range of the origin holds nothing. Whole discard blocks are
// marked; what is cached stays cached. A discard is worked off in chunks, each with the cell of its
// blocks.
//
// The cell covers many blocks, and those who waited in it want different ones: it is dissolved, and
// never handed on.
#include <algorithm>

#include "engine/base/check.h"
#include "engine/cache/cache.h"

namespace engine::cache {

void Cache::process_discard(io::MappedBio& bio) {
  BioState& state = state_of(bio);
  if (state.discard == nullptr) {
    state.discard = discards_.try_take(std::source_location::current(), *this, bio);
    if (state.discard == nullptr) {
      waiting_discards_.push_back(bio);
      return;
    }
    state.step = Step::discarding;
    const std::uint64_t per = discard_geometry_.block_sectors;
    state.discard->next = div_ceil(bio.mapped_sector.value(), per) * blocks_per_discard_;
    state.discard->end =
        (bio.mapped_sector + bio.mapped_sectors).value() / per * blocks_per_discard_;
  }
  continue_discard(*state.discard);
}

// Until a chunk is claimed by somebody else, or has to wait for the I/O in flight.
void Cache::continue_discard(DiscardWork& discard) {
  io::MappedBio& bio = *discard.bio;
  if (discard.next >= discard.end) {
    end_discard(bio, Errc::ok);
    return;
  }
  const std::uint64_t window = prison_.range_blocks_max();
  discard.chunk_end = std::min(discard.end, (discard.next / window + 1) * window);
  CacheCell* const cell = try_take_cell(worker_cells_, CellHome::worker);
  if (cell == nullptr) {
    waiting_discards_.push_back(bio);
    return;
  }
  const io::CellKey key = key_of(OriginBlock{discard.next}, discard.chunk_end - discard.next);
  if (claim(key, bio, *cell) == io::Prison::Detained::inmate) return;
  discard.cell = cell;
  discard.quiesced.owner = &discard;
  discard.quiesced.run = [](io::DeferredWork& work) {
    DiscardWork& quiet = *static_cast<DiscardWork*>(work.owner);
    Cache& cache = *quiet.cache;
    const SpinGuard guard{cache.lock_};
    cache.quiesced_discards_.push_back(*quiet.bio);
    cache.wake();
  };
  if (!all_io_.defer(discard.quiesced)) discard_quiesced(discard);
}

void Cache::discard_quiesced(DiscardWork& discard) {
  const DiscardBlock end{discard.chunk_end / blocks_per_discard_};
  for (DiscardBlock block{discard.next / blocks_per_discard_}; block < end; block = block + 1)
    discarded_->set(block);
  discard.next = discard.chunk_end;
  release_cell(*std::exchange(discard.cell, nullptr));
  // The next chunk in a later round: a long discard holds nobody up.
  defer(*discard.bio);
}

void Cache::end_discard(io::MappedBio& bio, Errc status) {
  discards_.give(*std::exchange(state_of(bio).discard, nullptr));
  if (!waiting_discards_.empty()) wake();
  finish(bio, status);
}

}   // namespace engine::cache
