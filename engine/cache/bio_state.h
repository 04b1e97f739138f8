// What the cache target remembers in a bio, and the cells that it takes.
//
// A bio that holds a cell is on no list; while it waits for the worker it is on one of the cache's
// lists; while it is below it belongs to the lower device.
#pragma once

#include "engine/cache/blocks.h"
#include "engine/io/deferred_set.h"
#include "engine/io/prison.h"
#include "engine/io/target.h"

namespace engine::cache {

class Cache;
struct DiscardWork;
struct Migration;

// Which pool a cell's memory returns to. Claims of sectors have one of their own: what migrations
// wait for must not need memory that migrations hold.
enum class CellHome : std::uint8_t { caller, worker, sectors };

struct CacheCell : io::Cell {
  explicit CacheCell(CellHome cell_home) noexcept : home{cell_home} {}
  CellHome home;

  [[nodiscard]] io::MappedBio& bio() const noexcept { return io::MappedBio::from(*holder()); }
};

// What is being done with a bio; decides what its coming back means.
enum class Step : std::uint8_t {
  arriving,        // not yet known
  uncached,        // below, in the part of the origin that is never cached: not counted
  direct,          // below, on one device
  overwriting,     // below, filling the block that is being promoted for it
  awaiting_legs,   // writes to both devices, after another that writes to the same sectors
  origin_leg,      // below, on the origin; the fast device is next
  cache_leg,       // below, on the fast device, the second
  evicting,        // ends when its block has left the cache
  origin_flush,    // below; the fast device is next
  cache_flush,     // below, the second
  discarding,      // with the worker
  passing_down,    // below: a discard of the origin
};

// In every bio of a cache, from map() on.
struct BioState {
  io::DeferredSet::Entry all_io;    // counted from before its cell is released until it ends
  Migration* migration = nullptr;   // that it fills
  DiscardWork* discard = nullptr;   // of a discard that has begun
  CacheCell* sectors = nullptr;     // its claim while it writes to both devices
  CacheBlock place;                 // awaiting_legs to evicting: where its block is cached
  Errc ends = Errc::ok;             // evicting, flushes: what it ends with
  Step step = Step::arriving;
  bool fua = false;     // overwriting: its own flag, which is taken off
  bool stays = false;   // no migration is made for it any more: one failed
};

// A discard under way. It is worked off chunk by chunk.
struct DiscardWork {
  DiscardWork(Cache& owner, io::MappedBio& discard) noexcept : cache{&owner}, bio{&discard} {}

  Cache* cache;
  io::MappedBio* bio;
  CacheCell* cell = nullptr;   // claims origin blocks [next, chunk_end)
  std::uint64_t next = 0;
  std::uint64_t chunk_end = 0;
  std::uint64_t passed = 0;    // of the chunk, up to here: sent to the origin, or left out
  std::uint64_t end = 0;       // of the whole discard
  io::DeferredWork quiesced;   // the I/O that was in flight when the chunk was claimed has ended
};

[[nodiscard]] inline BioState& state_of(io::MappedBio& bio) noexcept {
  return bio.storage<BioState>();
}

}   // namespace engine::cache
