#include "engine/pdata/space_map_disk.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "engine/base/check.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/transaction_manager.h"

namespace engine::pdata {

namespace {

constexpr std::uint64_t kDataBlocksMax = std::uint64_t{1} << 40;
constexpr std::size_t kReadAhead = 64;   // bitmaps

SmallCount small(std::uint32_t count) noexcept {
  return static_cast<SmallCount>(std::min(count, kSmallCountMax + 1));
}

}   // namespace

SpaceMapDisk::SpaceMapDisk(TransactionManager& tm) : tm_{tm} {
  ENGINE_CHECK(tm_.data_map_ == nullptr, "one data space map a transaction manager");
  tm_.data_map_ = this;
}

SpaceMapDisk::~SpaceMapDisk() {
  tm_.data_map_ = nullptr;
}

// ---- Making and opening ----

Result<std::unique_ptr<SpaceMapDisk>> SpaceMapDisk::create(TransactionManager& tm) {
  std::unique_ptr<SpaceMapDisk> map{new SpaceMapDisk{tm}};
  Btree<IndexEntryDisk> index{tm, tm.space_map_trees()};
  ENGINE_TRY_ASSIGN(map->root_.bitmap_root, index.make_empty());
  Btree<Le32> overflow{tm, tm.space_map_trees()};
  ENGINE_TRY_ASSIGN(map->root_.ref_count_root, overflow.make_empty());
  map->changed_ = true;
  return map;
}

Result<std::unique_ptr<SpaceMapDisk>> SpaceMapDisk::open(TransactionManager& tm,
                                                         const SpaceMapRoot& root) {
  std::unique_ptr<SpaceMapDisk> map{new SpaceMapDisk{tm}};
  if (const Result<void> loaded = map->load(root); !loaded) {
    tm.blocks().quiesce();
    return Failure{loaded.error()};
  }
  return map;
}

Result<void> SpaceMapDisk::load(const SpaceMapRoot& root) {
  // Each bitmap is a block of its own, which bounds the memory that the claim can cost.
  const std::uint64_t nr_bitmaps = div_ceil(root.nr_blocks, kEntriesPerBitmap);
  if (root.nr_blocks > kDataBlocksMax || nr_bitmaps > tm_.metadata_space_map().nr_blocks())
    return fail(Errc::corrupt, root.nr_blocks, "data space map: number of blocks");
  root_ = root;
  std::vector<IndexEntryDisk> index;
  const Btree<IndexEntryDisk> tree{tm_, tm_.space_map_trees()};
  const auto take = [&](std::uint64_t key, const IndexEntryDisk& entry) -> Result<bool> {
    if (key != index.size())
      return fail(Errc::corrupt, root.bitmap_root.value(), "keys of the data space map's index");
    index.push_back(entry);
    return true;
  };
  ENGINE_TRY(tree.walk(root.bitmap_root, 0, nr_bitmaps, take));
  if (index.size() != nr_bitmaps)
    return fail(Errc::corrupt, root.bitmap_root.value(), "data space map: bitmaps missing");
  counts_.resize(root.nr_blocks);
  bitmap_blocks_.resize(nr_bitmaps);
  for (std::size_t i = 0; i < nr_bitmaps; ++i)
    bitmap_blocks_[i] = MetaBlock{index[i].bitmap_block.value()};
  for (std::size_t i = 0; i < std::min<std::size_t>(nr_bitmaps, kReadAhead); ++i)
    tm_.prefetch(bitmap_blocks_[i], kBitmapValidator);
  for (std::size_t i = 0; i < nr_bitmaps; ++i) {
    if (i + kReadAhead < nr_bitmaps) tm_.prefetch(bitmap_blocks_[i + kReadAhead], kBitmapValidator);
    ENGINE_TRY(load_bitmap(i, index[i]));
  }
  root_.nr_allocated = counts_.nr_allocated();
  return {};
}

Result<void> SpaceMapDisk::load_bitmap(std::size_t i, const IndexEntryDisk& entry) {
  const MetaBlock place = bitmap_blocks_[i];
  ENGINE_TRY_ASSIGN(const std::uint32_t count, tm_.ref_count(place));
  if (count != 1)
    return fail(Errc::corrupt, place.value(), "count of a bitmap of the data space map");
  ENGINE_TRY_ASSIGN(const ReadRef bitmap, tm_.read(place, kBitmapValidator));
  counts_.load(i, bitmap.bytes().subspan(kBlockHeaderSize));
  // Other programs count otherwise (docs/format/): ours goes to disk with the next commit.
  if (entry.nr_free.value() != counts_.nr_free(i) ||
      entry.none_free_before.value() > counts_.none_free_before(i))
    counts_.mark_dirty(i);
  return {};
}

// ---- Counting ----

Result<void> SpaceMapDisk::check_in_map(DataBlock block) const {
  if (block.value() >= counts_.nr_blocks())
    return fail(Errc::corrupt, block.value(), "block number beyond the data space map");
  return {};
}

Result<std::uint32_t> SpaceMapDisk::ref_count(DataBlock block) const {
  ENGINE_TRY(check_in_map(block));
  const SmallCount count = counts_.get(block.value());
  if (count != SmallCount::many) return static_cast<std::uint32_t>(count);
  const Btree<Le32> tree{tm_, tm_.space_map_trees()};
  ENGINE_TRY_ASSIGN(const auto found, tree.lookup(root_.ref_count_root, block.value()));
  if (!found || found->value() <= kSmallCountMax)
    return fail(Errc::corrupt, block.value(), "overflow entry of the data space map");
  return found->value();
}

Result<void> SpaceMapDisk::set_count(DataBlock block, std::uint32_t old_count,
                                     std::uint32_t count) {
  Btree<Le32> tree{tm_, tm_.space_map_trees()};
  changed_ = true;
  if (count > kSmallCountMax) {
    Le32 value;
    value = count;
    ENGINE_TRY_ASSIGN(const auto inserted, tree.insert(root_.ref_count_root, block.value(), value));
    root_.ref_count_root = inserted.root;
    if (inserted.added != (old_count <= kSmallCountMax))
      return fail(Errc::corrupt, block.value(), "overflow entry of the data space map");
  } else if (old_count > kSmallCountMax) {
    ENGINE_TRY_ASSIGN(root_.ref_count_root, tree.remove(root_.ref_count_root, block.value()));
  }
  if (small(old_count) != small(count)) counts_.set(block.value(), small(count));
  return {};
}

Result<void> SpaceMapDisk::inc(DataBlock block) {
  ENGINE_TRY_ASSIGN(const std::uint32_t count, ref_count(block));
  if (count == 0)
    return fail(Errc::corrupt, block.value(), "another reference to a free data block");
  if (count == std::numeric_limits<std::uint32_t>::max())
    return fail(Errc::corrupt, block.value(), "data block count above 2^32 - 1");
  return set_count(block, count, count + 1);
}

Result<void> SpaceMapDisk::dec(DataBlock block) {
  ENGINE_TRY_ASSIGN(const std::uint32_t count, ref_count(block));
  if (count == 0) return fail(Errc::corrupt, block.value(), "data block count below zero");
  return set_count(block, count, count - 1);
}

Result<void> SpaceMapDisk::inc(DataBlock begin, DataBlock end) {
  for (DataBlock block = begin; block < end; block = block + 1)
    ENGINE_TRY(inc(block));
  return {};
}

Result<void> SpaceMapDisk::dec(DataBlock begin, DataBlock end) {
  for (DataBlock block = begin; block < end; block = block + 1)
    ENGINE_TRY(dec(block));
  return {};
}

// ---- Allocating ----

Result<DataBlock> SpaceMapDisk::stage() {
  const std::optional<std::uint64_t> block = counts_.stage();
  if (!block) return fail(Errc::no_data_space, nr_blocks(), "data device is full");
  return DataBlock{*block};
}

void SpaceMapDisk::take_staged(DataBlock block) {
  counts_.take_staged(block.value());
  changed_ = true;
}

void SpaceMapDisk::unstage(DataBlock block) {
  counts_.unstage(block.value());
}

std::vector<DataBlock> SpaceMapDisk::staged() const {
  std::vector<DataBlock> blocks;
  for (const std::uint64_t block : counts_.staged())
    blocks.emplace_back(block);
  return blocks;
}

// What is in use is so because the device says so: it may have lost or changed what was written.
void SpaceMapDisk::stage_again(const std::vector<DataBlock>& blocks) {
  for (const DataBlock block : blocks) {
    if (block.value() < nr_blocks() && counts_.get(block.value()) == SmallCount::zero)
      counts_.stage(block.value());
  }
}

Result<void> SpaceMapDisk::extend_to(std::uint64_t nr_blocks) {
  if (nr_blocks < counts_.nr_blocks())
    return fail(Errc::invalid, nr_blocks, "data device smaller than its space map");
  if (nr_blocks > kDataBlocksMax)
    return fail(Errc::invalid, nr_blocks, "more data blocks than mappings can name");
  if (nr_blocks == counts_.nr_blocks()) return {};
  counts_.resize(nr_blocks);
  bitmap_blocks_.resize(counts_.nr_bitmaps());
  changed_ = true;
  return {};
}

// ---- Committing ----

Result<void> SpaceMapDisk::write_back() {
  Btree<IndexEntryDisk> tree{tm_, tm_.space_map_trees()};
  for (const std::size_t i : counts_.dirty_bitmaps()) {
    MetaBlock& place = bitmap_blocks_[i];
    SpaceMapMetadata& metadata_map = tm_.metadata_space_map();
    if (place == MetaBlock{0} || !metadata_map.new_in_transaction(place)) {
      ENGINE_TRY_ASSIGN(const MetaBlock fresh, metadata_map.allocate());
      if (place != MetaBlock{0}) ENGINE_TRY(metadata_map.dec(place));
      place = fresh;
    }
    {
      ENGINE_TRY_ASSIGN(WriteRef ref, tm_.blocks().write_zero(place, kBitmapValidator));
      counts_.store(i, ref.bytes().subspan(kBlockHeaderSize));
    }
    IndexEntryDisk entry{};
    entry.bitmap_block = place.value();
    entry.nr_free = counts_.nr_free(i);
    entry.none_free_before = counts_.none_free_before(i);
    ENGINE_TRY_ASSIGN(const auto inserted, tree.insert(root_.bitmap_root, i, entry));
    root_.bitmap_root = inserted.root;
    counts_.clear_dirty(i);
  }
  root_.nr_blocks = counts_.nr_blocks();
  root_.nr_allocated = counts_.nr_allocated();
  return {};
}

void SpaceMapDisk::committed() {
  counts_.committed();
  changed_ = false;
}

}   // namespace engine::pdata
