// Writes that go to both devices: the origin first, then the fast device, one bio. It is counted in
// all_io across both legs, so where its block is cached does not change in between, nor that the
// place is clean. Completion consumes a bio; rewind() restores it for the second leg.
//
// Two writes in flight to one sector might reach the devices in different orders, and the two would
// differ for good. So a write claims its sectors for both legs.
//
// When a leg fails nobody knows any more whether the two agree. The bio then ends only when the
// block has left the cache: no later read may find what the devices hold changing under it.
#include "engine/base/check.h"
#include "engine/cache/cache.h"

namespace engine::cache {

io::MapResult Cache::write_both(io::MappedBio& bio, CacheCell& cell, CacheBlock at) {
  CacheCell* const memory =
      sector_cells_.try_take(std::source_location::current(), CellHome::sectors);
  BioState& state = state_of(bio);
  discarded_->clear(discard_block_of(block_of(bio)));
  state.all_io = all_io_.enter();
  state.place = at;
  state.step = Step::awaiting_legs;
  // Nobody can see the bio before it is sent or listed, which is the last thing that happens. In
  // passthrough mode reads go to the origin, and those that go along must not go elsewhere: after a
  // leg has failed where the block cannot leave, the two differ.
  const bool passes = config_.io_mode == IoMode::passthrough;
  release_along(cell, Place{passes ? Place::Kind::bypassed : Place::Kind::cached, at});
  if (memory == nullptr) {
    defer(bio);
    return io::MapResult::submitted;
  }
  return claim_sectors(bio, *memory) ? io::MapResult::remapped : io::MapResult::submitted;
}

// False: another write to the sectors is under way, and lets this one go to the worker at its end.
bool Cache::claim_sectors(io::MappedBio& bio, CacheCell& memory) {
  const std::uint64_t first = block_of(bio).value() * sectors_.range_blocks_max() +
                              bio.mapped_sector.value() % config_.block_sectors;
  const io::CellKey key{io::CellKind::sectors, ThinId{0}, first, first + bio.mapped_sectors};
  // Before the claim: as an inmate the bio is somebody else's.
  BioState& state = state_of(bio);
  state.sectors = nullptr;
  const auto give_back = [&] { give_cell(memory); };
  if (sectors_.detain(key, bio, memory, give_back) == io::Prison::Detained::inmate) return false;
  state.sectors = &memory;
  state.step = Step::origin_leg;
  remap(bio, Place{Place::Kind::origin});
  return true;
}

bool Cache::begin_legs(io::MappedBio& bio) {
  CacheCell* const memory = try_take_cell(sector_cells_, CellHome::sectors);
  if (memory == nullptr) return false;
  if (claim_sectors(bio, *memory)) bio.issue();
  return true;
}

void Cache::release_sectors(io::MappedBio& bio) {
  io::BioList waiting;
  CacheCell& cell = *std::exchange(state_of(bio).sectors, nullptr);
  sectors_.release(cell, waiting);
  give_cell(cell);
  defer_all(waiting);
}

io::EndResult Cache::leg_ended(io::MappedBio& bio, Errc status) {
  BioState& state = state_of(bio);
  if (status == Errc::ok && state.step == Step::origin_leg) {
    state.step = Step::cache_leg;
    bio.rewind();
    remap(bio, Place{Place::Kind::cached, state.place});
    bio.issue();
    return io::EndResult::kept;
  }
  release_sectors(bio);
  all_io_.leave(state.all_io);
  if (status == Errc::ok) return io::EndResult::done;
  state.ends = status;
  state.step = Step::evicting;
  bio.rewind();
  defer(bio);
  return io::EndResult::kept;
}

}   // namespace engine::cache
