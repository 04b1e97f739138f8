// Copy-on-write on the metadata device: a block that a committed superblock reaches is never
// changed; its shadow is. The superblock is the only block ever overwritten in place, last.
//
// A transaction lasts from one commit to the next. To abort one: destroy the data space map and the
// transaction manager, BlockManager::abandon(), read the superblock and open() again.
//
// Callers serialise: one writer, or readers only. try_read() alone needs no such lock for memory
// safety, but what it finds is consistent only under it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/pdata/block_manager.h"
#include "engine/pdata/space_map_format.h"
#include "engine/pdata/space_map_metadata.h"

namespace engine::pdata {

class SpaceMapDisk;
struct BtreeOptions;

class TransactionManager {
 public:
  // Suspends. For a device without metadata: a metadata space map of `nr_blocks` (at most the
  // device's), with block 1 as index, 2 as overflow tree, then the bitmaps. The next blocks
  // allocated follow in order. Nothing is written before the first commit.
  // Errors: no_metadata_space, io_error, power_lost.
  // `space_map_fan_out`: of both space maps' trees, as in BtreeOptions; 0 is Linux's.
  [[nodiscard]] static Result<std::unique_ptr<TransactionManager>> create(
      BlockManager& blocks, std::uint64_t nr_blocks, std::uint32_t space_map_fan_out = 0);
  // Suspends. `metadata_map` as a superblock has it. Errors: corrupt, io_error, power_lost; no read
  // is under way then.
  [[nodiscard]] static Result<std::unique_ptr<TransactionManager>> open(
      BlockManager& blocks, const SpaceMapRoot& metadata_map, std::uint32_t space_map_fan_out = 0);
  ~TransactionManager();
  TransactionManager(const TransactionManager&) = delete;
  TransactionManager& operator=(const TransactionManager&) = delete;

  // Suspends. A zeroed block with count 1. Errors: no_metadata_space, read_only, io_error,
  // power_lost; corrupt when the map calls a block free that is in use.
  [[nodiscard]] Result<WriteRef> new_block(const Validator& validator);

  struct Shadow {
    WriteRef ref;
    // The original lives on for another parent: whoever called must now count the children of
    // `ref` once more (blocks of an internal node, values of a leaf).
    bool inc_children = false;
  };
  // Suspends. `block`, which the caller refers to once, made writable: itself when new in this
  // transaction and not shared, else a copy that takes over the caller's reference. ref.block()
  // tells where it is now; put that into the parent. The caller must not hold `block`. Errors: as
  // new_block() and read(); corrupt also when the map calls `block` free.
  [[nodiscard]] Result<Shadow> shadow(MetaBlock block, const Validator& validator);

  // As in BlockManager.
  [[nodiscard]] Result<ReadRef> read(MetaBlock block, const Validator& validator) {
    return blocks_.read(block, validator);
  }
  [[nodiscard]] Result<ReadRef> try_read(MetaBlock block, const Validator& validator) {
    return blocks_.try_read(block, validator);
  }
  void prefetch(MetaBlock block, const Validator& validator) { blocks_.prefetch(block, validator); }

  // As in SpaceMapMetadata; none suspends.
  [[nodiscard]] Result<void> inc(MetaBlock block) { return metadata_map_.inc(block); }
  [[nodiscard]] Result<void> dec(MetaBlock block) { return metadata_map_.dec(block); }
  [[nodiscard]] Result<std::uint32_t> ref_count(MetaBlock block) const {
    return metadata_map_.ref_count(block);
  }
  // More than one parent. Corrupt when the map calls the block free.
  [[nodiscard]] Result<bool> is_shared(MetaBlock block) const;

  // Commits, in three steps, so that readers need not be kept out of the second, which is the one
  // that waits for the device: prepare_commit(), write_commit(), finish_commit(), with no change
  // in between. The caller has flushed the data device and finished all other trees; it holds no
  // block. On failure of any step the transaction must be aborted.
  //
  // Suspends, seldom: what it needs is in memory as a rule. Writes back the data map, then the
  // metadata map, into cached blocks; the roots of both are final then. A change.
  [[nodiscard]] Result<void> prepare_commit();
  // Suspends. Writes every dirty block; flushes; has `fill` write a zeroed superblock (all fields
  // but checksum and number); writes that durably. Changes nothing that readers see.
  [[nodiscard]] Result<void> write_commit(const std::function<void(MutableBytes)>& fill);
  // Does not suspend. Both maps forget what they were at the last commit. A change.
  void finish_commit();
  // Suspends. All three.
  [[nodiscard]] Result<void> commit(const std::function<void(MutableBytes)>& fill);

  // A block was allocated, freed or counted in this transaction, in either map.
  [[nodiscard]] bool changed() const noexcept;

  [[nodiscard]] SpaceMapMetadata& metadata_space_map() noexcept { return metadata_map_; }
  [[nodiscard]] const SpaceMapMetadata& metadata_space_map() const noexcept {
    return metadata_map_;
  }
  [[nodiscard]] BlockManager& blocks() noexcept { return blocks_; }
  // Of both space maps' trees.
  [[nodiscard]] BtreeOptions space_map_trees() const noexcept;

 private:
  friend class SpaceMapDisk;
  TransactionManager(BlockManager& blocks, std::uint32_t space_map_fan_out) noexcept
      : blocks_{blocks}, space_map_fan_out_{space_map_fan_out}, metadata_map_{*this} {}

  BlockManager& blocks_;
  const std::uint32_t space_map_fan_out_;
  SpaceMapMetadata metadata_map_;
  SpaceMapDisk* data_map_ = nullptr;   // registers itself
};

}   // namespace engine::pdata
