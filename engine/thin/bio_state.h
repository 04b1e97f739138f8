// What the thin target remembers in a bio, and the objects of the slow paths.
//
// A bio that holds a cell is on no list; while it waits for the worker it is on one of a thin's or
// the pool's lists; while it is below it belongs to the lower device. Each slow-path object pins
// its thin, so a thin's destructor outlasts them.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "engine/fiber/atomic.h"
#include "engine/io/copier.h"
#include "engine/io/deferred_set.h"
#include "engine/io/prison.h"
#include "engine/io/target.h"
#include "engine/thin/metadata.h"
#include "engine/thin/pool_mode.h"

namespace engine::thin {

// Which of the two pools a cell's memory returns to. The worker's own never runs dry, so the worker
// never waits for a claim that only itself can end.
enum class CellHome : std::uint8_t { caller, worker };

struct PoolCell : io::Cell {
  explicit PoolCell(CellHome cell_home) noexcept : home{cell_home} {}
  CellHome home;

  [[nodiscard]] io::MappedBio& bio() const noexcept { return io::MappedBio::from(*holder()); }
};

// In every bio of a thin device, from map() on.
struct BioState {
  ThinDevice* thin = nullptr;
  io::DeferredSet::Entry all_io;        // counted from before its cell is released until it ends
  io::DeferredSet::Entry shared_read;   // the same, for reads of blocks that are shared
  NewMapping* mapping = nullptr;        // it is being written to a block that is not mapped yet
  bool fua = false;                     // of such a write, whose own flag is taken off
};

// The part of a discard that is being worked on, within one window of the prison.
struct DiscardChunk {
  DiscardChunk(io::MappedBio& discard, PoolCell& claim, std::uint64_t first,
               std::uint64_t last) noexcept
      : bio{&discard}, cell{&claim}, begin{first}, end{last}, cursor{first} {}

  io::MappedBio* bio;
  PoolCell* cell;        // claims [begin, end)
  std::uint64_t begin;   // virtual blocks
  std::uint64_t end;
  std::uint64_t cursor;               // how far it has been unmapped
  std::uint32_t runs_in_flight = 0;   // passdowns, and one for a scan
  bool failed = false;
  io::DeferredWork quiesced;   // the I/O that was in flight when the chunk was claimed has ended
};

// In a discard. It is worked off chunk by chunk.
struct DiscardState {
  BioState common;
  bool begun = false;
  std::uint64_t next = 0;          // virtual blocks: where the next chunk begins
  std::uint64_t end = 0;           // of the whole discard
  DiscardChunk* chunk = nullptr;   // that is claimed now
};
static_assert(sizeof(DiscardState) <= io::MappedBio::kStorage);

[[nodiscard]] inline BioState& state_of(io::MappedBio& bio) noexcept {
  return bio.storage<BioState>();
}
[[nodiscard]] inline DiscardState& discard_of(io::MappedBio& bio) noexcept {
  return bio.storage<DiscardState>();
}

// A data block on its way to being mapped: `fill` writes it, with the bio's part, or the bio alone.
struct NewMapping {
  NewMapping(Pool& owner, ThinDevice& device, PoolCell& claim) noexcept
      : pool{&owner}, thin{&device}, cell{&claim} {}

  Pool* pool;
  ThinDevice* thin;   // pinned
  PoolCell* cell;     // claims the virtual block; its holder is the bio
  VirtBlock virt;
  DataBlock data;
  // At most: a copy of the external origin, and zeroes beyond its end.
  std::array<io::CopyJob, 2> fill;
  std::uint32_t fills = 0;
  io::DeferredWork quiesced;                             // reads of the old block have ended
  Atomic<std::uint32_t> missing{"mapping.missing", 1};   // actions that have not ended
  std::atomic<Errc> status{Errc::ok};                    // the first error
  boost::intrusive::list_member_hook<> hook;
};

struct DataRange {
  DataBlock begin;
  DataBlock end;
  [[nodiscard]] std::uint64_t count() const noexcept { return end - begin; }
  friend bool operator==(const DataRange&, const DataRange&) = default;
};

// A run of data blocks that were unmapped and are being discarded on the data device. They carry
// one reference more than mappings account for, from before the first discard is issued until the
// last has ended: that keeps them from being allocated.
struct Passdown {
  Passdown(Pool& owner, DiscardChunk& part) noexcept : pool{&owner}, chunk{&part} {}

  Pool* pool;
  DiscardChunk* chunk;
  DataRange run{};                  // all of it is pinned
  std::vector<DataRange> pieces;    // those that nobody else refers to
  bool after_commit = false;        // they may have had other holders in the last commit
  std::size_t piece = 0;            // to be discarded next
  std::uint64_t sectors_done = 0;   // of that piece
  Bio bio;
  boost::intrusive::list_member_hook<> hook;
  boost::intrusive::list_member_hook<> live_hook;   // in Pool::pinned_
};

}   // namespace engine::thin
