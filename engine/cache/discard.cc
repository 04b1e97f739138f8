// Discards: a user's word that a range of the origin holds nothing. Whole discard blocks are
// marked; what is cached stays cached. A discard is worked off in chunks, each with the cell of its
// blocks: claim, wait for the I/O in flight, mark, pass down, release.
//
// What is passed down to the origin is what is not cached there and clean: the two copies of a
// clean block are the same, and stay so. Under a dirty one the origin holds nothing that anybody
// reads. The cell is held until the origin is done, so no block is promoted from under a discard.
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
  discard.passed = discard.next;
  pass_down(discard);
}

// Linux asks the same of an origin before it passes anything down.
bool Cache::passes_discards_down() const noexcept {
  return !config_.no_discard_passdown &&
         origin_.limits().discard_sectors_max >= config_.block_sectors;
}

bool Cache::cached_and_clean(OriginBlock block) {
  const std::optional<CacheBlock> place = policy_->lookup(block);
  return place && !dirty_->test(*place);
}

// The next run of blocks of the chunk that the origin is to forget; the last of them ends the
// chunk.
void Cache::pass_down(DiscardWork& discard) {
  const std::uint64_t chunk_end = passes_discards_down() ? discard.chunk_end : discard.passed;
  while (discard.passed < chunk_end && cached_and_clean(OriginBlock{discard.passed}))
    ++discard.passed;
  if (discard.passed >= chunk_end) {
    end_chunk(discard, Errc::ok);
    return;
  }
  const OriginBlock first{discard.passed};
  const std::uint64_t most = origin_.limits().discard_sectors_max / config_.block_sectors;
  do {
    ++discard.passed;
  } while (discard.passed < chunk_end && discard.passed - first.value() < most &&
           !cached_and_clean(OriginBlock{discard.passed}));
  io::MappedBio& bio = *discard.bio;
  bio.remap(origin_, first_sector(first, config_.block_sectors));
  bio.sectors = (discard.passed - first.value()) * config_.block_sectors;
  state_of(bio).step = Step::passing_down;
  bio.issue();
}

// Completion context.
io::EndResult Cache::passed_down(io::MappedBio& bio, Errc status) {
  state_of(bio).ends = status;
  const SpinGuard guard{lock_};
  quiesced_discards_.push_back(bio);
  wake();
  return io::EndResult::kept;
}

// It is marked, or the origin has forgotten some of it.
void Cache::discard_goes_on(DiscardWork& discard) {
  BioState& state = state_of(*discard.bio);
  if (state.step == Step::discarding) {
    discard_quiesced(discard);
    return;
  }
  discard.bio->rewind();
  state.step = Step::discarding;
  const Errc status = std::exchange(state.ends, Errc::ok);
  if (status == Errc::ok) {
    pass_down(discard);
  } else {
    end_chunk(discard, status);
  }
}

void Cache::end_chunk(DiscardWork& discard, Errc status) {
  discard.next = discard.chunk_end;
  release_cell(*std::exchange(discard.cell, nullptr));
  if (status != Errc::ok) {
    end_discard(*discard.bio, status);
    return;
  }
  // The next chunk in a later round: a long discard holds nobody up.
  defer(*discard.bio);
}

void Cache::end_discard(io::MappedBio& bio, Errc status) {
  discards_.give(*std::exchange(state_of(bio).discard, nullptr));
  if (!waiting_discards_.empty()) wake();
  finish(bio, status);
}

}   // namespace engine::cache
