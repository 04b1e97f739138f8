// What happens to a bio in its caller's and in completion context. Nothing here suspends, and a hit
// allocates nothing and takes no lock of the cache's but its block's shard of the prison.
#include "engine/base/check.h"
#include "engine/cache/cache.h"

namespace engine::cache {
namespace {

[[nodiscard]] Direction direction_of(const Bio& bio) noexcept {
  return bio.op == BioOp::read ? Direction::read : Direction::write;
}

}   // namespace

io::MapResult Cache::map(io::MappedBio& bio) {
  note_activity();
  BioState& state = bio.emplace<BioState>();
  if (bio.op == BioOp::discard) {
    defer(bio);
    return io::MapResult::submitted;
  }
  if (bio.op == BioOp::flush) {
    // No commit: whatever an acknowledged write rests on has been committed.
    state.step = Step::origin_flush;
    bio.remap(origin_, Sector{0});
    return io::MapResult::remapped;
  }
  if (block_of(bio).value() >= origin_blocks_) {
    state.step = Step::uncached;
    bio.remap(origin_, bio.mapped_sector);
    return io::MapResult::remapped;
  }
  CacheCell* const cell =
      bio.op != BioOp::read && !serving_.peek()
          ? nullptr
          : caller_cells_.try_take(std::source_location::current(), CellHome::caller);
  if (cell == nullptr) {
    defer(bio);
    return io::MapResult::submitted;
  }
  if (claim(key_of(block_of(bio)), bio, *cell) == io::Prison::Detained::inmate)
    return io::MapResult::submitted;
  return map_claimed(bio, *cell);
}

io::MapResult Cache::map_claimed(io::MappedBio& bio, CacheCell& cell) {
  const Decision decision = policy_->map({.block = block_of(bio),
                                          .direction = direction_of(bio),
                                          .wait = Wait::never,
                                          .migrate = Migrate::never,
                                          .promotion = promotion_for(bio)},
                                         no_victims_);
  if (const Hit* const hit = std::get_if<Hit>(&decision)) return map_hit(bio, cell, hit->at);
  if (std::holds_alternative<WouldBlock>(decision)) {
    defer_cell(cell);
    return io::MapResult::submitted;
  }
  ENGINE_CHECK(std::holds_alternative<Miss>(decision),
               "the policy migrates block {} in a caller's context", block_of(bio));
  const Place place{Place::Kind::origin};
  count_access(bio, HitCounters::Kind::miss);
  count_in(bio, place);
  release_along(cell, place);
  return io::MapResult::remapped;
}

io::MapResult Cache::map_hit(io::MappedBio& bio, CacheCell& cell, CacheBlock at) {
  const bool writes = bio.op != BioOp::read;
  switch (config_.io_mode) {
    case IoMode::passthrough: {
      if (writes) {
        defer_cell(cell);
        return io::MapResult::submitted;
      }
      const Place place{Place::Kind::bypassed, at};
      count_access(bio, HitCounters::Kind::miss);
      count_in(bio, place);
      release_along(cell, place);
      return io::MapResult::remapped;
    }
    case IoMode::writethrough:
      if (writes && !dirty_->test(at)) {
        count_access(bio, HitCounters::Kind::hit);
        return write_both(bio, cell, at);
      }
      break;
    case IoMode::writeback:
      break;
  }
  const Place place{Place::Kind::cached, at};
  count_access(bio, HitCounters::Kind::hit);
  count_in(bio, place);
  release_along(cell, place);
  return io::MapResult::remapped;
}

// Whether the block's place could do without a copy of the origin. Only in writeback mode, and only
// for a write: the place is dirty afterwards, so it does not matter that the two differ.
Promotion Cache::promotion_for(const io::MappedBio& bio) const {
  if (config_.io_mode != IoMode::writeback || bio.op == BioOp::read) return Promotion::copied;
  if (covers_block(bio) || discarded_->test(discard_block_of(block_of(bio))))
    return Promotion::fast;
  return Promotion::copied;
}

// --- Under the bio's cell.

void Cache::count_in(io::MappedBio& bio, const Place& place) {
  if (bio.op != BioOp::read) {
    discarded_->clear(discard_block_of(block_of(bio)));
    if (place.kind == Place::Kind::cached) mark_dirty(block_of(bio), place.at);
  }
  BioState& state = state_of(bio);
  state.step = Step::direct;
  state.all_io = all_io_.enter();
  remap(bio, place);
}

void Cache::remap(io::MappedBio& bio, const Place& place) noexcept {
  if (place.kind == Place::Kind::cached) {
    const std::uint64_t offset = bio.mapped_sector.value() % config_.block_sectors;
    bio.remap(fast_, first_sector(place.at, config_.block_sectors) + offset);
  } else {
    if (!origin_used_.peek()) origin_used_.store(true);
    bio.remap(origin_, bio.mapped_sector);
  }
}

void Cache::count_access(const io::MappedBio& bio, HitCounters::Kind kind) noexcept {
  hits_.count(direction_of(bio), kind);
}

void Cache::mark_dirty(OriginBlock block, CacheBlock at) {
  if (dirty_->set(at)) policy_->set_dirty(block);
}

void Cache::mark_clean(OriginBlock block, CacheBlock at) {
  if (!dirty_->clear(at)) return;
  policy_->clear_dirty(block);
  if (dirty_->count() == 0) owner_.event();
}

// --- Cells.

// An inmate may end before this returns, and the cache be gone then.
io::Prison::Detained Cache::claim(const io::CellKey& key, io::MappedBio& bio, CacheCell& memory) {
  return prison_.detain(key, bio, memory, [&] { give_cell(memory); });
}

void Cache::give_cell(CacheCell& cell) {
  switch (cell.home) {
    case CellHome::caller:
      caller_cells_.give(cell);
      return;
    case CellHome::worker:
      worker_cells_.give(cell);
      break;
    case CellHome::sectors:
      sector_cells_.give(cell);
      break;
  }
  if (starved_.load()) wake();
}

// A write goes along only where what it needs has been seen to already: a place that is dirty, or
// the origin. Others take the cell themselves.
bool Cache::goes_along(const io::MappedBio& bio, const Place& place) const {
  if (bio.op == BioOp::read) return true;
  if (bio.op != BioOp::write || !serving_.peek()) return false;
  switch (place.kind) {
    case Place::Kind::origin:
      return true;
    case Place::Kind::cached:
      return dirty_->peek(place.at);
    case Place::Kind::bypassed:
      return false;
  }
  return false;
}

// They are counted under the prison's lock: whoever claims the block next must find them in all_io.
// The policy is not told of anything there: a place that a write goes along to is dirty already.
void Cache::release_along(CacheCell& cell, const Place& place) {
  io::BioList along;
  io::BioList later;
  prison_.visit_release(cell, [&](io::BioList& inmates) {
    while (!inmates.empty()) {
      io::MappedBio& bio = io::pop(inmates);
      const bool goes = state_of(bio).step == Step::arriving && goes_along(bio, place);
      if (!goes) {
        later.push_back(bio);
        continue;
      }
      count_access(bio, place.kind == Place::Kind::cached ? HitCounters::Kind::hit
                                                          : HitCounters::Kind::miss);
      count_in(bio, place);
      along.push_back(bio);
    }
  });
  give_cell(cell);
  defer_all(later);
  while (!along.empty())
    io::pop(along).issue();
}

void Cache::release_cell(CacheCell& cell) {
  io::BioList inmates;
  prison_.release(cell, inmates);
  give_cell(cell);
  defer_all(inmates);
}

// --- To the worker.

void Cache::defer(io::MappedBio& bio) {
  const SpinGuard guard{lock_};
  deferred_bios_.push_back(bio);
  wake();
}

void Cache::defer_all(io::BioList& bios) {
  if (bios.empty()) return;
  const SpinGuard guard{lock_};
  deferred_bios_.splice(deferred_bios_.end(), bios);
  wake();
}

void Cache::defer_cell(CacheCell& cell) {
  const SpinGuard guard{lock_};
  deferred_cells_.push_back(cell);
  wake();
}

// The first bio after a quiet time sets the tick going.
void Cache::note_activity() {
  if (active_.peek() || options_.tick_interval == Nanos{0}) return;
  active_.store(true);
  wake();
}

// --- The way back.

io::EndResult Cache::end_io(io::MappedBio& bio, Errc& status) {
  BioState& state = state_of(bio);
  switch (state.step) {
    case Step::uncached:
      return io::EndResult::done;
    case Step::direct:
      all_io_.leave(state.all_io);
      return io::EndResult::done;
    case Step::overwriting:
      handed_back(*std::exchange(state.migration, nullptr), status);
      return io::EndResult::kept;
    case Step::origin_leg:
    case Step::cache_leg:
      return leg_ended(bio, status);
    case Step::passing_down:
      return passed_down(bio, status);
    case Step::origin_flush:
      return flush_half_ended(bio, status);
    case Step::cache_flush:
      if (state.ends != Errc::ok) status = state.ends;
      return io::EndResult::done;
    case Step::arriving:
    case Step::awaiting_legs:
    case Step::evicting:
    case Step::discarding:
      break;
  }
  ENGINE_CHECK(false, "a bio comes back that was not sent below");
  return io::EndResult::done;
}

io::EndResult Cache::flush_half_ended(io::MappedBio& bio, Errc status) {
  BioState& state = state_of(bio);
  state.ends = status;
  state.step = Step::cache_flush;
  bio.rewind();
  bio.remap(fast_, Sector{0});
  bio.issue();
  return io::EndResult::kept;
}

void Cache::finish(io::MappedBio& bio, Errc status) {
  BioState& state = state_of(bio);
  if (state.all_io) all_io_.leave(state.all_io);
  bio.end(status);
}

}   // namespace engine::cache
