#include "engine/pdata/space_map_metadata.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/base/check.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/transaction_manager.h"

namespace engine::pdata {

namespace {

constexpr std::uint64_t kReserveMax = 4096;

}   // namespace

// ---- Counting ----

std::uint64_t SpaceMapMetadata::nr_reserve() const noexcept {
  return std::min(kReserveMax, nr_blocks() / 10);
}

std::uint64_t SpaceMapMetadata::nr_free_beyond_reserve() const noexcept {
  return nr_free() - std::min(nr_free(), nr_reserve());
}

Result<void> SpaceMapMetadata::check_in_map(MetaBlock block) const {
  if (block.value() >= counts_.nr_blocks())
    return fail(Errc::corrupt, block.value(), "block number beyond the metadata space map");
  return {};
}

std::uint32_t SpaceMapMetadata::count_of(MetaBlock block) const {
  const SmallCount small = counts_.get(block.value());
  if (small != SmallCount::many) return static_cast<std::uint32_t>(small);
  const auto found = overflow_.find(block.value());
  ENGINE_CHECK(found != overflow_.end(), "block {} has no overflow entry", block);
  return found->second;
}

void SpaceMapMetadata::set_count(MetaBlock block, std::uint32_t count) {
  if (count > kSmallCountMax) {
    overflow_[block.value()] = count;
    overflow_changed_.insert(block.value());
  } else if (overflow_.erase(block.value()) != 0) {
    overflow_changed_.insert(block.value());
  }
  const auto small = static_cast<SmallCount>(std::min(count, kSmallCountMax + 1));
  if (counts_.get(block.value()) != small) counts_.set(block.value(), small);
  changed_ = true;
}

Result<std::uint32_t> SpaceMapMetadata::ref_count(MetaBlock block) const {
  ENGINE_TRY(check_in_map(block));
  return count_of(block);
}

Result<void> SpaceMapMetadata::inc(MetaBlock block) {
  ENGINE_TRY(check_in_map(block));
  const std::uint32_t count = count_of(block);
  if (count == 0)
    return fail(Errc::corrupt, block.value(), "another reference to a free metadata block");
  if (count == std::numeric_limits<std::uint32_t>::max())
    return fail(Errc::corrupt, block.value(), "metadata block count above 2^32 - 1");
  set_count(block, count + 1);
  return {};
}

Result<void> SpaceMapMetadata::dec(MetaBlock block) {
  ENGINE_TRY(check_in_map(block));
  const std::uint32_t count = count_of(block);
  if (count == 0) return fail(Errc::corrupt, block.value(), "metadata block count below zero");
  set_count(block, count - 1);
  return {};
}

Result<MetaBlock> SpaceMapMetadata::allocate() {
  const std::optional<std::uint64_t> block = counts_.allocate();
  if (!block) return fail(Errc::no_metadata_space, nr_blocks(), "metadata device is full");
  changed_ = true;
  return MetaBlock{*block};
}

bool SpaceMapMetadata::new_in_transaction(MetaBlock block) const noexcept {
  return block.value() < counts_.nr_blocks() && counts_.new_in_transaction(block.value());
}

Result<void> SpaceMapMetadata::extend_to(std::uint64_t nr_blocks) {
  nr_blocks = std::min(nr_blocks, kMetadataBlocksMax);
  if (nr_blocks < counts_.nr_blocks())
    return fail(Errc::invalid, nr_blocks, "metadata device smaller than its space map");
  if (nr_blocks == counts_.nr_blocks()) return {};
  counts_.resize(nr_blocks);
  bitmap_blocks_.resize(counts_.nr_bitmaps());
  changed_ = true;
  return {};
}

// ---- Making and opening ----

Result<void> SpaceMapMetadata::create(std::uint64_t nr_blocks) {
  counts_.resize(std::min(nr_blocks, kMetadataBlocksMax));
  ENGINE_TRY_ASSIGN(const MetaBlock superblock, allocate());
  ENGINE_CHECK(superblock == MetaBlock{0});
  ENGINE_TRY_ASSIGN(root_.bitmap_root, allocate());
  Btree<Le32> tree{tm_, tm_.space_map_trees()};
  ENGINE_TRY_ASSIGN(root_.ref_count_root, tree.make_empty());
  bitmap_blocks_.resize(counts_.nr_bitmaps());
  for (MetaBlock& place : bitmap_blocks_) {
    ENGINE_TRY_ASSIGN(place, allocate());
  }
  return {};
}

Result<void> SpaceMapMetadata::open(const SpaceMapRoot& root) {
  if (root.nr_blocks > tm_.blocks().nr_blocks())
    return fail(Errc::corrupt, root.nr_blocks, "metadata space map larger than the device");
  if (root.nr_blocks == 0 || root.nr_blocks > kMetadataBlocksMax)
    return fail(Errc::corrupt, root.nr_blocks, "metadata space map: number of blocks");
  root_ = root;
  counts_.resize(root.nr_blocks);
  bitmap_blocks_.resize(counts_.nr_bitmaps());
  ENGINE_TRY(check_in_map(root.bitmap_root));
  ENGINE_TRY(check_in_map(root.ref_count_root));
  ENGINE_TRY_ASSIGN(const std::uint64_t many, load_bitmaps());
  ENGINE_TRY(load_overflow(many));
  for (const MetaBlock place : {MetaBlock{0}, root.bitmap_root, root.ref_count_root})
    ENGINE_TRY(check_used_once(place));
  std::set<std::uint64_t> places;
  for (const MetaBlock place : bitmap_blocks_) {
    ENGINE_TRY(check_used_once(place));
    if (!places.insert(place.value()).second)
      return fail(Errc::corrupt, place.value(), "bitmap of the metadata space map used twice");
  }
  root_.nr_allocated = counts_.nr_allocated();
  return {};
}

Result<void> SpaceMapMetadata::check_used_once(MetaBlock block) const {
  if (count_of(block) != 1)
    return fail(Errc::corrupt, block.value(), "count of a block of the metadata space map");
  return {};
}

Result<std::uint64_t> SpaceMapMetadata::load_bitmaps() {
  ENGINE_TRY_ASSIGN(const ReadRef index_ref, tm_.read(root_.bitmap_root, kIndexValidator));
  const auto& index = view_as<MetadataIndexDisk>(index_ref.bytes());
  for (std::size_t i = 0; i < bitmap_blocks_.size(); ++i) {
    bitmap_blocks_[i] = MetaBlock{index.entries[i].bitmap_block.value()};
    ENGINE_TRY(check_in_map(bitmap_blocks_[i]));
    tm_.prefetch(bitmap_blocks_[i], kBitmapValidator);
  }
  std::uint64_t many = 0;
  for (std::size_t i = 0; i < bitmap_blocks_.size(); ++i) {
    ENGINE_TRY_ASSIGN(const ReadRef bitmap, tm_.read(bitmap_blocks_[i], kBitmapValidator));
    many += counts_.load(i, bitmap.bytes().subspan(kBlockHeaderSize));
    // Other programs count otherwise (docs/format/): ours goes to disk with the next commit.
    if (index.entries[i].nr_free.value() != counts_.nr_free(i) ||
        index.entries[i].none_free_before.value() > counts_.none_free_before(i))
      counts_.mark_dirty(i);
  }
  return many;
}

Result<void> SpaceMapMetadata::load_overflow(std::uint64_t many) {
  const Btree<Le32> tree{tm_, tm_.space_map_trees()};
  const auto take = [&](std::uint64_t block, const Le32& count) -> Result<bool> {
    ENGINE_TRY(check_in_map(MetaBlock{block}));
    if (counts_.get(block) != SmallCount::many || count.value() <= kSmallCountMax)
      return fail(Errc::corrupt, block, "overflow entry of the metadata space map");
    overflow_.emplace_hint(overflow_.end(), block, count.value());
    return true;
  };
  ENGINE_TRY(tree.walk(root_.ref_count_root, 0, nr_blocks(), take));
  if (overflow_.size() != many)
    return fail(Errc::corrupt, root_.ref_count_root.value(),
                "overflow entries of the metadata space map missing");
  return {};
}

// ---- Committing ----

Result<void> SpaceMapMetadata::update_overflow_tree() {
  Btree<Le32> tree{tm_, tm_.space_map_trees()};
  while (!overflow_changed_.empty()) {
    const std::uint64_t block = *overflow_changed_.begin();
    overflow_changed_.erase(overflow_changed_.begin());
    if (const auto found = overflow_.find(block); found != overflow_.end()) {
      Le32 count;
      count = found->second;
      ENGINE_TRY_ASSIGN(const auto inserted, tree.insert(root_.ref_count_root, block, count));
      root_.ref_count_root = inserted.root;
    } else {
      // A count that rose and fell within the transaction never got there.
      ENGINE_TRY_ASSIGN(const auto present, tree.lookup(root_.ref_count_root, block));
      if (present) {
        ENGINE_TRY_ASSIGN(root_.ref_count_root, tree.remove(root_.ref_count_root, block));
      }
    }
  }
  return {};
}

// Moves a block of the last commit, so that it can be written. The new place is written later.
Result<bool> SpaceMapMetadata::move_if_committed(MetaBlock& place) {
  if (place != MetaBlock{0} && new_in_transaction(place)) return false;
  ENGINE_TRY_ASSIGN(const MetaBlock fresh, allocate());
  if (place != MetaBlock{0}) ENGINE_TRY(dec(place));
  place = fresh;
  return true;
}

Result<void> SpaceMapMetadata::write_back() {
  const bool unwritten_index = new_in_transaction(root_.bitmap_root);
  if (!changed_ && counts_.dirty_bitmaps().empty() && !unwritten_index) return {};
  for (bool moved = true; moved;) {
    moved = false;
    ENGINE_TRY(update_overflow_tree());
    for (const std::size_t i : counts_.dirty_bitmaps()) {
      ENGINE_TRY_ASSIGN(const bool one_moved, move_if_committed(bitmap_blocks_[i]));
      moved |= one_moved;
    }
    ENGINE_TRY_ASSIGN(const bool index_moved, move_if_committed(root_.bitmap_root));
    moved |= index_moved;
  }
  ENGINE_CHECK(overflow_changed_.empty());
  root_.nr_blocks = counts_.nr_blocks();
  root_.nr_allocated = counts_.nr_allocated();
  return write_bitmaps_and_index();
}

Result<void> SpaceMapMetadata::write_bitmaps_and_index() {
  BlockManager& blocks = tm_.blocks();
  for (const std::size_t i : counts_.dirty_bitmaps()) {
    ENGINE_TRY_ASSIGN(WriteRef ref, blocks.write_zero(bitmap_blocks_[i], kBitmapValidator));
    counts_.store(i, ref.bytes().subspan(kBlockHeaderSize));
    counts_.clear_dirty(i);
  }
  ENGINE_TRY_ASSIGN(WriteRef ref, blocks.write_zero(root_.bitmap_root, kIndexValidator));
  auto& index = view_as<MetadataIndexDisk>(ref.bytes());
  for (std::size_t i = 0; i < bitmap_blocks_.size(); ++i) {
    index.entries[i].bitmap_block = bitmap_blocks_[i].value();
    index.entries[i].nr_free = counts_.nr_free(i);
    index.entries[i].none_free_before = counts_.none_free_before(i);
  }
  return {};
}

void SpaceMapMetadata::committed() {
  counts_.committed();
  changed_ = false;
}

}   // namespace engine::pdata
