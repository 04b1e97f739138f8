// Discards: unmapping, and telling the data device.
//
// A discard is worked off in chunks. A chunk is claimed as a whole and waits for the I/O in flight;
// then, without passdown, it is unmapped and that is all. With passdown each of its runs goes
// through two phases, both on the worker:
//   1. every data block of the run gets one extra reference, the run is unmapped, and the blocks
//      that nobody else refers to are discarded on the data device;
//   2. when those discards have ended, the extra references are dropped.
// A block with a reference is not allocated, so no discard in flight ever overlaps a block that has
// been given to somebody else. Since the reference is taken before the question is asked, a block
// is shared when it has more than one.
//
// Discarding what has been unmapped but not committed is safe as long as the last commit knows no
// other holder of the block: a crash then brings back only the mapping whose content its user gave
// up. That holds for blocks that never were shared. The others wait for a commit before they are
// discarded; else a crash could bring back another device's mapping of a block that is gone.
#include <algorithm>

#include "engine/base/check.h"
#include "engine/thin/pool.h"

namespace engine::thin {

// Partial blocks at either end are left alone.
void Pool::process_discard(ThinDevice& thin, io::MappedBio& bio) {
  DiscardState& discard = discard_of(bio);
  if (!discard.begun) {
    discard.begun = true;
    discard.next = div_ceil(bio.sector.value(), block_sectors_);
    discard.end = bio.sector_end().value() / block_sectors_;
  }
  if (discard.next >= discard.end) {
    finish(bio, Errc::ok);
    return;
  }
  begin_chunk(thin, bio);
}

void Pool::ignore_discard(ThinDevice& thin, io::MappedBio& bio) {
  static_cast<void>(thin);
  finish(bio, Errc::ok);
}

void Pool::fail_discard(ThinDevice& thin, io::MappedBio& bio) {
  static_cast<void>(thin);
  finish(bio, Errc::io_error);
}

void Pool::begin_chunk(ThinDevice& thin, io::MappedBio& bio) {
  if (chunks_.in_use() == chunks_.capacity()) {
    waiting_discards_.push_back(bio);   // until another's chunk is done
    return;
  }
  DiscardState& discard = discard_of(bio);
  const std::uint64_t window = prison_.range_blocks_max();
  const std::uint64_t begin = discard.next;
  const std::uint64_t end = std::min(discard.end, (begin / window + 1) * window);
  PoolCell& cell = worker_cells_.take(std::source_location::current(), CellHome::worker);
  const io::CellKey key = io::virtual_key(thin.id(), VirtBlock{begin}, end - begin);
  if (claim(key, bio, cell) == io::Prison::Detained::inmate) return;
  DiscardChunk* const chunk =
      chunks_.try_take(std::source_location::current(), bio, cell, begin, end);
  ENGINE_CHECK(chunk != nullptr, "{} discards are under way", chunks_.in_use());
  discard.chunk = chunk;
  chunk->quiesced.owner = chunk;
  chunk->quiesced.run = [](io::DeferredWork& work) {
    io::MappedBio& quiet = *static_cast<DiscardChunk*>(work.owner)->bio;
    Pool& pool = state_of(quiet).thin->pool();
    const SpinGuard guard{pool.lock_};
    pool.quiesced_discards_.push_back(quiet);
    pool.wake();
  };
  if (!all_io_.defer(chunk->quiesced)) (this->*handlers_.peek()->quiesced_discard)(*chunk);
}

void Pool::unmap_chunk(DiscardChunk& chunk) {
  if (!ready_to_change()) {
    abandon_chunk(chunk);
    return;
  }
  if (discard_policy_ == DiscardPolicy::passdown) {
    scan_chunk(chunk);
    return;
  }
  ThinDevice& thin = *state_of(*chunk.bio).thin;
  const VirtBlock begin{chunk.begin};
  changed_ = true;
  const auto removed = metadata_->remove_range(thin.metadata(), begin, VirtBlock{chunk.end});
  if (removed) {
    trace_event(OpKind::mapping_remove, &object_, std::source_location::current(),
                thin.id().value(), begin.value(), chunk.end - chunk.begin);
  } else {
    metadata_failed("unmap", removed.error());
    chunk.failed = true;
  }
  chunk.cursor = chunk.end;
  chunk_step_done(chunk);
}

// The mode forbids it: what remains mapped stays mapped.
void Pool::abandon_chunk(DiscardChunk& chunk) {
  if (mode() == PoolMode::fail) chunk.failed = true;
  chunk.cursor = chunk.end;
  discard_of(*chunk.bio).end = chunk.end;
  chunk_step_done(chunk);
}

// Starts a passdown for each run, from the cursor on, until there is no memory for another; each
// passdown that ends brings us back.
void Pool::scan_chunk(DiscardChunk& chunk) {
  const OpenThin& thin = state_of(*chunk.bio).thin->metadata();
  ++chunk.runs_in_flight;   // the scan itself: no run that ends meanwhile ends the chunk
  while (chunk.cursor < chunk.end && ready_to_change()) {
    Passdown* const passdown = passdowns_.try_take(std::source_location::current(), *this, chunk);
    if (passdown == nullptr) {
      --chunk.runs_in_flight;
      waiting_discards_.push_back(*chunk.bio);
      return;
    }
    const auto found =
        metadata_->find_mapped_range(thin, VirtBlock{chunk.cursor}, VirtBlock{chunk.end});
    if (!found) lookup_failed(found.error());
    if (!found || !found->has_value()) {
      passdowns_.give(*passdown);
      chunk.failed |= !found;
      chunk.cursor = chunk.end;
      break;
    }
    start_passdown(*passdown, **found);
  }
  --chunk.runs_in_flight;
  if (changes_metadata(mode())) {
    chunk_step_done(chunk);
  } else {
    abandon_chunk(chunk);
  }
}

// Phase 1.
void Pool::start_passdown(Passdown& passdown, const MappedRange& range) {
  DiscardChunk& chunk = *passdown.chunk;
  ThinDevice& thin = *state_of(*chunk.bio).thin;
  const std::uint64_t count = range.end - range.begin;
  passdown.run = {range.data_begin, range.data_begin + count};
  chunk.cursor = range.end.value();
  changed_ = true;
  Result<void> done = metadata_->inc_data_range(passdown.run.begin, passdown.run.end);
  if (done) {
    auto removed = metadata_->remove_range(thin.metadata(), range.begin, range.end);
    done = removed ? choose_pieces(passdown, range.shared) : Failure{removed.error()};
  }
  if (!done) {
    metadata_failed("unmap", done.error());   // which also takes the extra references back
    passdowns_.give(passdown);
    chunk.failed = true;
    chunk.cursor = chunk.end;
    return;
  }
  // Where the commit may fail for want of space nothing goes down before it: what comes back with
  // the mapping has to be there.
  if (metadata_is_tight()) {
    const bool committed = commit().has_value();
    if (!committed && !changes_metadata(mode())) {
      passdowns_.give(passdown);
      chunk.failed = true;
      chunk.cursor = chunk.end;
      return;
    }
    passdown.after_commit = !committed;
  }
  trace_event(OpKind::mapping_remove, &object_, std::source_location::current(), thin.id().value(),
              range.begin.value(), count);
  trace_event(OpKind::discard_passdown, &object_, std::source_location::current(),
              passdown.run.begin.value(), count);
  pinned_.push_back(passdown);
  ++chunk.runs_in_flight;
  if (passdown.pieces.empty()) {
    finish_passdown(passdown);
  } else if (passdown.after_commit) {
    uncommitted_passdowns_.push_back(passdown);
  } else {
    issue_piece(passdown);
  }
}

// Those parts of the run that only the passdown itself refers to. `maybe_shared` is what times
// say: true also for what has ceased to be shared, so the counts decide. A metadata snapshot's
// references are not told by times.
Result<void> Pool::choose_pieces(Passdown& passdown, bool maybe_shared) {
  ENGINE_TRY_ASSIGN(const std::optional<MetaBlock> held, metadata_->held_root());
  if (!maybe_shared && !held) {
    passdown.pieces.push_back(passdown.run);
    return {};
  }
  passdown.after_commit = true;
  for (DataBlock block = passdown.run.begin; block < passdown.run.end; block = block + 1) {
    ENGINE_TRY_ASSIGN(const bool shared, metadata_->is_data_shared(block));
    if (shared) continue;
    if (!passdown.pieces.empty() && passdown.pieces.back().end == block) {
      passdown.pieces.back().end = block + 1;
    } else {
      passdown.pieces.push_back({block, block + 1});
    }
  }
  return {};
}

void Pool::issue_piece(Passdown& passdown) {
  const DataRange& piece = passdown.pieces[passdown.piece];
  const std::uint64_t total = piece.count() * block_sectors_;
  Bio& bio = passdown.bio;
  bio.op = BioOp::discard;
  bio.sector = Sector{piece.begin.value() * block_sectors_ + passdown.sectors_done};
  bio.sectors = std::min(total - passdown.sectors_done, data_.limits().discard_sectors_max);
  bio.owner = &passdown;
  bio.end_io = &Pool::passdown_ended;
  passdown.sectors_done += bio.sectors;
  if (passdown.sectors_done == total) {
    ++passdown.piece;
    passdown.sectors_done = 0;
  }
  data_.submit(bio);
}

// Whether the data device did it does not matter: discards are hints.
void Pool::passdown_ended(Bio& bio) {
  auto& passdown = *static_cast<Passdown*>(bio.owner);
  Pool& pool = *passdown.pool;
  const SpinGuard guard{pool.lock_};
  pool.ended_passdowns_.push_back(passdown);
  pool.wake();
}

// The rest of phase 1, or phase 2.
void Pool::continue_passdown(Passdown& passdown) {
  if (passdown.piece < passdown.pieces.size()) {
    issue_piece(passdown);
  } else {
    finish_passdown(passdown);
  }
}

// Phase 2.
void Pool::finish_passdown(Passdown& passdown) {
  if (!ready_to_change()) {
    abandon_passdown(passdown);
    return;
  }
  changed_ = true;
  if (auto dropped = metadata_->dec_data_range(passdown.run.begin, passdown.run.end); !dropped) {
    metadata_failed("drop references", dropped.error());
    passdown.chunk->failed = true;
  }
  end_passdown(passdown);
}

// The mode forbids to drop the references now.
void Pool::abandon_passdown(Passdown& passdown) {
  if (mode() == PoolMode::out_of_metadata_space) debts_.push_back(passdown.run);
  end_passdown(passdown);
}

void Pool::end_passdown(Passdown& passdown) {
  trace_event(OpKind::discard_done, &object_, std::source_location::current(),
              passdown.run.begin.value(), passdown.run.count());
  DiscardChunk& chunk = *passdown.chunk;
  pinned_.erase(pinned_.iterator_to(passdown));
  passdowns_.give(passdown);
  if (!waiting_discards_.empty()) wake();
  --chunk.runs_in_flight;
  chunk_step_done(chunk);
}

void Pool::chunk_step_done(DiscardChunk& chunk) {
  if (chunk.runs_in_flight != 0 || chunk.cursor < chunk.end) return;
  io::MappedBio& bio = *chunk.bio;
  DiscardState& discard = discard_of(bio);
  ThinDevice& thin = *discard.common.thin;
  PoolCell& cell = *chunk.cell;
  const bool failed = chunk.failed;
  discard.next = chunk.end;
  discard.chunk = nullptr;
  chunks_.give(chunk);
  if (!waiting_discards_.empty()) wake();
  release_cell(thin, cell);
  if (failed) {
    finish(bio, Errc::io_error);
  } else if (discard.next >= discard.end) {
    finish(bio, Errc::ok);
  } else {
    thin.defer(bio);
  }
}

}   // namespace engine::thin
