// Blocks that move. Each stage: start, copy if it must, change the metadata, wait for the commit.
#include "engine/base/check.h"
#include "engine/cache/cache.h"

namespace engine::cache {

Migration& Cache::make_migration(Migration::Stage stage, OriginBlock block, CacheBlock place,
                                 CacheCell& cell) {
  ENGINE_CHECK(place.value() < cache_blocks_, "the policy names place {} of {}", place,
               cache_blocks_);
  Migration* const migration =
      migrations_.try_take(std::source_location::current(), *this, stage, block, place, cell);
  ENGINE_CHECK(migration != nullptr, "{} migrations of {} are in use", migrations_live_,
               options_.migrations_max);
  ++migrations_live_;
  return *migration;
}

// Its cells are held, so the I/O to its blocks only becomes less.
void Cache::wait_for_io(Migration& migration) {
  migration.quiesced.owner = &migration;
  migration.quiesced.run = [](io::DeferredWork& work) {
    Migration& quiet = *static_cast<Migration*>(work.owner);
    Cache& cache = *quiet.cache;
    const SpinGuard guard{cache.lock_};
    cache.quiesced_.push_back(quiet);
    cache.wake();
  };
  if (!all_io_.defer(migration.quiesced)) start(migration);
}

void Cache::process_migrations() {
  MigrationList copied;
  MigrationList quiesced;
  {
    const SpinGuard guard{lock_};
    copied.swap(copied_);
    quiesced.swap(quiesced_);
  }
  while (!copied.empty()) {
    Migration& migration = copied.front();
    copied.pop_front();
    copy_ended(migration);
  }
  while (!quiesced.empty()) {
    Migration& migration = quiesced.front();
    quiesced.pop_front();
    start(migration);
  }
}

// A discarded block needs no copy on its way out. One that stays is copied all the same: it is
// called clean afterwards, and the discard bit may go when another block of its group is written.
void Cache::start(Migration& migration) {
  migration.copied = false;
  migration.overwritten = false;
  migration.status = Errc::ok;
  switch (migration.stage) {
    case Migration::Stage::writing_back:
      if (dirty_->test(migration.place)) return start_copy(migration);
      break;
    case Migration::Stage::demoting:
      if (dirty_->test(migration.place) && !discarded_->test(discard_block_of(migration.victim)))
        return start_copy(migration);
      break;
    case Migration::Stage::promoting:
      return start_promotion(migration);
    case Migration::Stage::invalidating:
      break;
  }
  copy_ended(migration);
}

void Cache::start_promotion(Migration& migration) {
  const io::MappedBio& bio = migration.cell->bio();
  if (config_.io_mode == IoMode::writeback && covers_block(bio)) return overwrite(migration);
  // A place that differs from its discarded block is dirty.
  if (promotion_for(bio) == Promotion::fast) {
    mark_dirty(migration.block, migration.place);
    return copy_ended(migration);
  }
  start_copy(migration);
}

void Cache::start_copy(Migration& migration) {
  const bool inwards = migration.stage == Migration::Stage::promoting;
  const OriginBlock block =
      migration.stage == Migration::Stage::demoting ? migration.victim : migration.block;
  const Sector on_origin = first_sector(block, config_.block_sectors);
  const Sector on_fast = first_sector(migration.place, config_.block_sectors);
  io::CopyJob& job = migration.copy;
  job.from = inwards ? &origin_ : &fast_;
  job.from_sector = inwards ? on_origin : on_fast;
  job.to = inwards ? &fast_ : &origin_;
  job.to_sector = inwards ? on_fast : on_origin;
  job.sectors = config_.block_sectors;
  job.owner = &migration;
  job.done = [](io::CopyJob& done, Errc status) {
    handed_back(*static_cast<Migration*>(done.owner), status);
  };
  migration.copied = true;
  copier_.start(job);
}

// The bio that wants the block in fills its place by itself. It is not counted in all_io: its cell
// is held until it has ended. The commit that it waits for flushes the fast device.
void Cache::overwrite(Migration& migration) {
  io::MappedBio& bio = migration.cell->bio();
  BioState& state = state_of(bio);
  migration.overwritten = true;
  discarded_->clear(discard_block_of(migration.block));
  mark_dirty(migration.block, migration.place);
  state.step = Step::overwriting;
  state.migration = &migration;
  state.fua = std::exchange(bio.fua, false);
  remap(bio, Place{Place::Kind::cached, migration.place});
  bio.issue();
}

void Cache::handed_back(Migration& migration, Errc status) {
  Cache& cache = *migration.cache;
  migration.status = status;
  const SpinGuard guard{cache.lock_};
  cache.copied_.push_back(migration);
  cache.wake();
}

void Cache::copy_ended(Migration& migration) {
  const bool outwards = migration.stage == Migration::Stage::writing_back ||
                        migration.stage == Migration::Stage::demoting;
  if (outwards && migration.copied && migration.status == Errc::ok) origin_unflushed_ = true;
  if (migration.stage == Migration::Stage::writing_back) {
    written_back(migration);
    return;
  }
  if (migration.status != Errc::ok || mode() != CacheMode::write) {
    roll_back(migration);
    return;
  }
  if (auto changed = change_metadata(migration); !changed) {
    metadata_failed(to_string(migration.stage), changed.error());
    roll_back(migration);
    return;
  }
  uncommitted_.push_back(migration);
}

Result<void> Cache::change_metadata(Migration& migration) {
  if (migration.stage == Migration::Stage::promoting) {
    trace_event(OpKind::mapping_insert, &object_, std::source_location::current(), 0,
                migration.block.value(), migration.place.value());
    return metadata_->insert(migration.place, migration.block);
  }
  trace_event(OpKind::mapping_remove, &object_, std::source_location::current(), 0,
              migration.place.value(), 1);
  return metadata_->remove(migration.place);
}

// The devices could not be flushed for the commit, and nothing has been written.
Result<void> Cache::undo_change(Migration& migration) {
  switch (migration.stage) {
    case Migration::Stage::promoting:
      return metadata_->remove(migration.place);
    case Migration::Stage::demoting:
      return metadata_->insert(migration.place, migration.victim);
    case Migration::Stage::invalidating:
      return metadata_->insert(migration.place, migration.block);
    case Migration::Stage::writing_back:
      break;
  }
  return {};
}

// What the stage did to the mapping is durable.
void Cache::committed(Migration& migration) {
  CacheCell& cell = *migration.cell;
  io::MappedBio& bio = cell.bio();
  switch (migration.stage) {
    case Migration::Stage::demoting:
      // Of the policy's blocks the newcomer has the place, and it is clean there.
      if (dirty_->clear(migration.place) && dirty_->count() == 0) owner_.event();
      release_cell(*std::exchange(migration.victim_cell, nullptr));
      migration.stage = Migration::Stage::promoting;
      start(migration);
      return;
    case Migration::Stage::promoting:
      if (migration.overwritten) {
        count_access(bio, HitCounters::Kind::miss);
        release_cell(cell);
        finish(bio, Errc::ok);
      } else {
        defer_cell(cell);   // now it is a hit
      }
      break;
    case Migration::Stage::invalidating:
      if (dirty_->clear(migration.place) && dirty_->count() == 0) owner_.event();
      policy_->remove_mapping(migration.block);
      if (state_of(bio).step == Step::evicting) {
        fail_cell(cell, state_of(bio).ends);
      } else {
        defer_cell(cell);   // now it is a miss
      }
      break;
    case Migration::Stage::writing_back:
      ENGINE_CHECK(false, "a writeback waits for a commit");
      break;
  }
  end_migration(migration);
}

// The mapping is as it was before the stage, in the metadata; the policy learns that now. Every
// cell is released or goes on with its holder.
void Cache::roll_back(Migration& migration) {
  CacheCell& cell = *migration.cell;
  switch (migration.stage) {
    case Migration::Stage::demoting:
      policy_->force_mapping(migration.block, migration.victim);
      if (!dirty_->test(migration.place)) policy_->clear_dirty(migration.victim);
      release_cell(*std::exchange(migration.victim_cell, nullptr));
      retry_cell(cell);
      break;
    case Migration::Stage::promoting:
      mark_clean(migration.block, migration.place);
      policy_->remove_mapping(migration.block);
      if (migration.overwritten) cell.bio().fua = state_of(cell.bio()).fua;
      retry_cell(cell);
      break;
    case Migration::Stage::invalidating:
      if (state_of(cell.bio()).step == Step::evicting) {
        refuse_eviction(cell, Errc::io_error);
      } else {
        retry_cell(cell);
      }
      break;
    case Migration::Stage::writing_back:
      ENGINE_CHECK(false, "a writeback changes no mapping");
      break;
  }
  end_migration(migration);
}

void Cache::end_migration(Migration& migration) {
  migrations_.give(migration);
  --migrations_live_;
  wake();   // there may be room for another, or somebody waits for the last
}

// --- Invalidation: by a write in passthrough mode, by a failed write to both devices, by a
// message.

void Cache::invalidate(CacheCell& cell, CacheBlock at) {
  if (migrations_live_ == options_.migrations_max) {
    waiting_cells_.push_back(cell);
    return;
  }
  demotions_.fetch_add(1, std::memory_order_relaxed);
  wait_for_io(make_migration(Migration::Stage::invalidating, block_of(cell.bio()), at, cell));
}

// The holder ends when its block is not where it was cached any more. A dirty place holds what the
// origin does not, and stays.
void Cache::evict(CacheCell& cell) {
  BioState& state = state_of(cell.bio());
  const bool there = policy_->mapping_of(state.place) == block_of(cell.bio());
  if (!there) {
    fail_cell(cell, state.ends);
  } else if (mode() != CacheMode::write || !ready_to_write() || dirty_->test(state.place)) {
    refuse_eviction(cell, Errc::busy);
  } else {
    invalidate(cell, state.place);
  }
}

// A write that failed on one device, of a block that cannot leave: from now on it is what the fast
// device holds, so that no read finds it changing. A message gets `refusal`.
void Cache::refuse_eviction(CacheCell& cell, Errc refusal) {
  const BioState& state = state_of(cell.bio());
  const Errc ends = state.ends;
  if (ends != Errc::ok && config_.io_mode == IoMode::writethrough)
    mark_dirty(block_of(cell.bio()), state.place);
  fail_cell(cell, ends == Errc::ok ? refusal : ends);
}

}   // namespace engine::cache
