// The space map of the metadata device, which also counts the blocks that it is itself made of.
//
// All counts are in memory while the pool is open, so counting needs no I/O and never recurses. At
// commit write_back() puts them on disk: it changes the overflow tree, gives every dirty bitmap and
// the index block a fresh place, and repeats until that dirties nothing new (each bitmap moves at
// most once a transaction). Any failure leaves the committed map intact: the transaction must then
// be aborted, i.e. this object thrown away and the map opened again.
//
// Callers serialise: one writer, or readers only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/pdata/block_manager.h"
#include "engine/pdata/space_map_counts.h"
#include "engine/pdata/space_map_format.h"

namespace engine::pdata {

class TransactionManager;

class SpaceMapMetadata {
 public:
  SpaceMapMetadata(const SpaceMapMetadata&) = delete;
  SpaceMapMetadata& operator=(const SpaceMapMetadata&) = delete;

  [[nodiscard]] std::uint64_t nr_blocks() const noexcept { return counts_.nr_blocks(); }
  // Can be allocated in this transaction: what was freed in it is not credited.
  [[nodiscard]] std::uint64_t nr_free() const noexcept { return counts_.nr_allocatable(); }
  // Kept back for deletions and discards when the space runs out.
  [[nodiscard]] std::uint64_t nr_reserve() const noexcept;
  // What users are told: nr_free() less the reserve, not below zero.
  [[nodiscard]] std::uint64_t nr_free_beyond_reserve() const noexcept;
  // A block was allocated, freed or counted since the last commit.
  [[nodiscard]] bool changed() const noexcept { return changed_; }

  // None of these suspends. Errors: corrupt for a block beyond the map, and for a count that would
  // go below zero or above 2^32 - 1 (`block` may come from the device); no_metadata_space.
  [[nodiscard]] Result<std::uint32_t> ref_count(MetaBlock block) const;
  [[nodiscard]] Result<void> inc(MetaBlock block);
  [[nodiscard]] Result<void> dec(MetaBlock block);
  [[nodiscard]] Result<MetaBlock> allocate();
  // Allocated in this transaction: no committed superblock reaches it, it may be changed in place.
  [[nodiscard]] bool new_in_transaction(MetaBlock block) const noexcept;

  // Takes up further blocks of a device that has grown, as many as the format can hold. They can be
  // used at once: the bigger map is committed together with what uses it. Errors: invalid when
  // `nr_blocks` is below the present size.
  [[nodiscard]] Result<void> extend_to(std::uint64_t nr_blocks);

  // As of the last write_back().
  [[nodiscard]] const SpaceMapRoot& root() const noexcept { return root_; }

 private:
  friend class TransactionManager;
  explicit SpaceMapMetadata(TransactionManager& tm) noexcept : tm_{tm} {}
  // Suspends. A map for a device without metadata: blocks 0 (superblock), 1 (index), 2 (overflow
  // tree) and the bitmaps' are in use.
  Result<void> create(std::uint64_t nr_blocks);
  // Suspends. Errors: corrupt, io_error, power_lost. Free counts are recounted, not believed.
  Result<void> open(const SpaceMapRoot& root);
  // Suspends. Errors: no_metadata_space, io_error, corrupt, power_lost.
  Result<void> write_back();
  void committed();

  [[nodiscard]] Result<void> check_in_map(MetaBlock block) const;
  [[nodiscard]] Result<void> check_used_once(MetaBlock block) const;
  Result<std::uint64_t> load_bitmaps();
  Result<void> load_overflow(std::uint64_t many);
  void set_count(MetaBlock block, std::uint32_t count);
  [[nodiscard]] std::uint32_t count_of(MetaBlock block) const;
  Result<void> update_overflow_tree();
  Result<bool> move_if_committed(MetaBlock& place);
  Result<void> write_bitmaps_and_index();

  TransactionManager& tm_;
  SpaceMapCounts counts_;
  std::map<std::uint64_t, std::uint32_t> overflow_;   // counts of 3 and more
  std::set<std::uint64_t> overflow_changed_;          // keys whose overflow tree entry is stale
  std::vector<MetaBlock> bitmap_blocks_;              // 0: none yet
  SpaceMapRoot root_;
  bool changed_ = false;
};

}   // namespace engine::pdata
