// A block on its way between the devices, or out of the cache. It holds the cells of its blocks
// from before it waits for the I/O in flight until what it did to the mapping is committed:
//
//   made (cells held) -> waits for the I/O that came before -> copies -> changes the metadata
//     -> waits for the commit -> done
//
// A replacement is two of these in a row under one wait: the victim leaves, then the newcomer
// enters. The victim's cell is released in between.
#pragma once

#include <boost/intrusive/list.hpp>

#include "engine/cache/bio_state.h"
#include "engine/cache/blocks.h"
#include "engine/io/copier.h"
#include "engine/io/deferred_set.h"

namespace engine::cache {

class Cache;

struct Migration {
  enum class Stage : std::uint8_t {
    writing_back,   // copies a dirty block to the origin; it stays
    demoting,       // the victim leaves
    promoting,      // the block enters
    invalidating,   // the block leaves, without a copy
  };

  Migration(Cache& owner, Stage first, OriginBlock moved, CacheBlock where,
            CacheCell& claim) noexcept
      : cache{&owner}, stage{first}, block{moved}, place{where}, cell{&claim} {}

  Cache* cache;
  Stage stage;
  OriginBlock block;   // that enters, is written back, or is invalidated
  OriginBlock victim;
  CacheBlock place;
  CacheCell* cell;                    // of the block
  CacheCell* victim_cell = nullptr;   // of the victim, while it is on its way out

  bool copied = false;        // in this stage
  bool overwritten = false;   // the cell's holder has filled the place by itself
  Errc status = Errc::ok;     // of the copy
  io::CopyJob copy;
  io::DeferredWork quiesced;   // the I/O that was in flight when the cells were taken has ended
  boost::intrusive::list_member_hook<> hook;
};

using MigrationList = boost::intrusive::list<
    Migration, boost::intrusive::member_hook<Migration, boost::intrusive::list_member_hook<>,
                                             &Migration::hook>>;

[[nodiscard]] constexpr const char* to_string(Migration::Stage stage) noexcept {
  switch (stage) {
    case Migration::Stage::writing_back:
      return "writing_back";
    case Migration::Stage::demoting:
      return "demoting";
    case Migration::Stage::promoting:
      return "promoting";
    case Migration::Stage::invalidating:
      return "invalidating";
  }
  return "?";
}

}   // namespace engine::cache
