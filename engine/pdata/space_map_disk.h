// The space map of the data device, stored on the metadata device: bitmaps whose index entries are
// in one B-tree (key = number of the bitmap), counts of 3 and more in another.
//
// The bitmaps are read when the map is opened and kept in memory, a quarter of a byte for each data
// block, and written back at commit, so an allocation costs no I/O and free counts are always
// recounted from the bitmaps. Large counts stay in their tree.
//
// A block is allocated in two steps, with the writing of its contents between them: it is staged,
// which only memory knows, and taken together with what refers to it. So no commit ever has a block
// that nobody refers to, and whoever forgets about a staged one loses nothing.
//
// Callers serialise: one writer, or readers only. After a failure the transaction must be aborted.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/pdata/space_map_counts.h"
#include "engine/pdata/space_map_format.h"

namespace engine::pdata {

class TransactionManager;

class SpaceMapDisk {
 public:
  // Suspends. A map of no blocks: two empty trees, allocated in this order (index, overflow).
  // While it lives, the transaction manager writes it back in each commit.
  [[nodiscard]] static Result<std::unique_ptr<SpaceMapDisk>> create(TransactionManager& tm);
  // Suspends. Errors: corrupt, io_error, power_lost; no read is under way then.
  [[nodiscard]] static Result<std::unique_ptr<SpaceMapDisk>> open(TransactionManager& tm,
                                                                  const SpaceMapRoot& root);
  ~SpaceMapDisk();
  SpaceMapDisk(const SpaceMapDisk&) = delete;
  SpaceMapDisk& operator=(const SpaceMapDisk&) = delete;

  [[nodiscard]] std::uint64_t nr_blocks() const noexcept { return counts_.nr_blocks(); }
  [[nodiscard]] std::uint64_t nr_allocated() const noexcept { return counts_.nr_allocated(); }
  // Free blocks, also those that only the next commit makes allocatable; not staged ones.
  [[nodiscard]] std::uint64_t nr_free() const noexcept {
    return nr_blocks() - nr_allocated() - nr_staged();
  }
  // What stage() can still give out in this transaction.
  [[nodiscard]] std::uint64_t nr_allocatable() const noexcept { return counts_.nr_allocatable(); }
  // A count changed, or the map grew, since the last commit.
  [[nodiscard]] bool changed() const noexcept { return changed_; }

  // All suspend (only for counts of 3 and more). Errors: corrupt for a block beyond the map, a
  // count that would go below zero or above 2^32 - 1, and damaged trees; io_error, power_lost; for
  // inc and dec no_metadata_space.
  [[nodiscard]] Result<std::uint32_t> ref_count(DataBlock block) const;
  [[nodiscard]] Result<void> inc(DataBlock block);
  [[nodiscard]] Result<void> dec(DataBlock block);
  // Ranges [begin, end).
  [[nodiscard]] Result<void> inc(DataBlock begin, DataBlock end);
  [[nodiscard]] Result<void> dec(DataBlock begin, DataBlock end);

  // None of these suspends. The block is the caller's, and was free at the last commit too. Errors:
  // no_data_space, also when only a commit is missing: compare nr_free().
  [[nodiscard]] Result<DataBlock> stage();
  [[nodiscard]] bool is_staged(DataBlock block) const noexcept {
    return counts_.staged().contains(block.value());
  }
  // It has count 1 from now on. It must be staged, as for unstage().
  void take_staged(DataBlock block);
  // It is anybody's again.
  void unstage(DataBlock block);
  [[nodiscard]] std::uint64_t nr_staged() const noexcept { return counts_.staged().size(); }
  [[nodiscard]] std::vector<DataBlock> staged() const;
  // For a map just opened, as it was at the last commit, in place of one that an abort has thrown
  // away: what was staged in that one stays so. Blocks by which it had grown meanwhile do not.
  void stage_again(const std::vector<DataBlock>& blocks);

  // Does not suspend. The new bitmaps are written at commit. Errors: invalid when `nr_blocks` is
  // below the present size or above 2^40.
  [[nodiscard]] Result<void> extend_to(std::uint64_t nr_blocks);

  // Valid after the transaction manager's write-back: in commit()'s `fill`.
  [[nodiscard]] const SpaceMapRoot& root() const noexcept { return root_; }

 private:
  friend class TransactionManager;
  explicit SpaceMapDisk(TransactionManager& tm);
  // Suspends.
  Result<void> write_back();
  void committed();
  Result<void> load(const SpaceMapRoot& root);
  Result<void> load_bitmap(std::size_t i, const IndexEntryDisk& entry);
  [[nodiscard]] Result<void> check_in_map(DataBlock block) const;
  Result<void> set_count(DataBlock block, std::uint32_t old_count, std::uint32_t count);

  TransactionManager& tm_;
  SpaceMapCounts counts_;
  std::vector<MetaBlock> bitmap_blocks_;   // 0: none yet
  SpaceMapRoot root_;
  bool changed_ = false;
};

}   // namespace engine::pdata
