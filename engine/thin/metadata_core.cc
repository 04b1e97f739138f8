#include "engine/thin/metadata_core.h"

#include <algorithm>
#include <cstring>

namespace engine::thin {

using pdata::SpaceMapDisk;
using pdata::SpaceMapRoot;
using pdata::TransactionManager;

namespace {

// Calls run(begin, end) for each run of consecutive data blocks, so that counting a leaf costs a
// few range operations and not one a value.
template <typename Run>
Result<void> for_each_run(ConstBytes values, Run&& run) {
  std::size_t offset = 0;
  while (offset < values.size()) {
    const DataBlock begin = decode_block_time(view_as<Le64>(values.subspan(offset, 8))).block;
    std::uint64_t count = 0;
    do {
      ++count;
      offset += 8;
    } while (offset < values.size() &&
             decode_block_time(view_as<Le64>(values.subspan(offset, 8))).block == begin + count);
    ENGINE_TRY(run(begin, begin + count));
  }
  return {};
}

// What can be said of the fields without reading anything else.
Result<void> check_superblock(const SuperblockDisk& disk, const MetadataOptions& options) {
  if (disk.magic.value() != kSuperblockMagic)
    return fail(Errc::corrupt, disk.magic.value(), "superblock magic");
  // Linux never looks at the version; thin_restore writes 1 unless told otherwise.
  if (disk.version.value() != 1 && disk.version.value() != kSuperblockVersion)
    return fail(Errc::invalid, disk.version.value(), "superblock version");
  if (disk.incompat_flags.value() != 0)
    return fail(Errc::invalid, disk.incompat_flags.value(), "incompatible features");
  if (disk.compat_ro_flags.value() != 0 && !options.read_only)
    return fail(Errc::invalid, disk.compat_ro_flags.value(), "read-only compatible features");
  if (disk.metadata_block_sectors.value() != kMetaBlockSectors)
    return fail(Errc::corrupt, disk.metadata_block_sectors.value(), "metadata block size");
  if (disk.data_block_sectors.value() != options.data_block_sectors)
    return fail(Errc::invalid, disk.data_block_sectors.value(), "not the recorded data block size");
  if (disk.time.value() > kTimeMax)
    return fail(Errc::corrupt, disk.time.value(), "superblock time");
  return {};
}

// Block 0 of something else is told from a damaged superblock of a pool, of which the magic may be
// gone as well: by fields that others hardly have the same in both.
Failure invalid_superblock(const SuperblockDisk& disk, const Error& error) {
  const std::uint64_t magic = disk.magic.value();
  if (magic == kSuperblockMagic) return Failure{error};
  const bool versioned = disk.version.value() == 1 || disk.version.value() == kSuperblockVersion;
  if (versioned && disk.metadata_block_sectors.value() == kMetaBlockSectors)
    return fail(error.code, magic, "a damaged superblock: its magic is wrong, and block checksum");
  return fail(error.code, magic, "not a thin pool's superblock: its magic and checksum are wrong");
}

}   // namespace

Result<void> MappingCounts::inc(ConstBytes values) {
  return for_each_run(values,
                      [&](DataBlock begin, DataBlock end) { return data_map_.inc(begin, end); });
}

Result<void> MappingCounts::dec(ConstBytes values) {
  return for_each_run(values,
                      [&](DataBlock begin, DataBlock end) { return data_map_.dec(begin, end); });
}

bool MappingCounts::equal(ConstBytes a, ConstBytes b) const noexcept {
  return decode_block_time(view_as<Le64>(a)).block == decode_block_time(view_as<Le64>(b)).block;
}

Result<void> SubtreeCounts::inc(ConstBytes values) {
  for (std::size_t offset = 0; offset < values.size(); offset += 8)
    ENGINE_TRY(tm_.inc(MetaBlock{view_as<Le64>(values.subspan(offset, 8)).value()}));
  return {};
}

Result<void> SubtreeCounts::dec(ConstBytes values) {
  for (std::size_t offset = 0; offset < values.size(); offset += 8)
    ENGINE_TRY(mappings_.destroy(MetaBlock{view_as<Le64>(values.subspan(offset, 8)).value()}));
  return {};
}

bool SubtreeCounts::equal(ConstBytes a, ConstBytes b) const noexcept {
  return view_as<Le64>(a).value() == view_as<Le64>(b).value();
}

MetadataCore::MetadataCore(std::unique_ptr<TransactionManager> manager,
                           std::unique_ptr<SpaceMapDisk> data, std::uint32_t fan_out) noexcept
    : tm{std::move(manager)},
      data_map{std::move(data)},
      mapping_counts{*data_map},
      mappings{*tm, {.fan_out = fan_out, .counts = &mapping_counts}},
      subtree_counts{*tm, mappings},
      devices{*tm, {.fan_out = fan_out, .counts = &subtree_counts}},
      details{*tm, {.fan_out = fan_out}} {}

Result<std::unique_ptr<MetadataCore>> MetadataCore::format(pdata::BlockManager& blocks,
                                                           const MetadataOptions& options) {
  const std::uint64_t usable = std::min(blocks.nr_blocks(), pdata::kMetadataBlocksMax);
  static_assert(kMetadataBlocksMin == 18);
  if (usable < kMetadataBlocksMin)
    return fail(Errc::invalid, usable, "metadata device too small: fewer than 18 blocks of 4 KiB");
  // In Linux's order, which makes a fresh pool byte for byte the same as Linux's.
  ENGINE_TRY_ASSIGN(auto tm, TransactionManager::create(blocks, usable, options.fan_out));
  ENGINE_TRY_ASSIGN(auto data_map, SpaceMapDisk::create(*tm));
  auto core = std::make_unique<MetadataCore>(std::move(tm), std::move(data_map), options.fan_out);
  ENGINE_TRY_ASSIGN(core->mapping_root, core->devices.make_empty());
  ENGINE_TRY_ASSIGN(core->details_root, core->details.make_empty());
  core->data_block_sectors = options.data_block_sectors;
  core->metadata_blocks_formatted = usable;
  ENGINE_TRY(core->prepare_commit());
  ENGINE_TRY(core->write_commit());
  core->finish_commit();
  return core;
}

Result<std::unique_ptr<MetadataCore>> MetadataCore::load(pdata::BlockManager& blocks,
                                                         ConstBytes superblock,
                                                         const MetadataOptions& options) {
  const auto& disk = view_as<SuperblockDisk>(superblock);
  if (const auto valid = pdata::kSuperblockValidator.check(kSuperblockPlace, superblock); !valid)
    return invalid_superblock(disk, valid.error());
  ENGINE_TRY(check_superblock(disk, options));
  const SpaceMapRoot metadata_root = SpaceMapRoot::decode(disk.metadata_map.root);
  if (metadata_root.nr_blocks > blocks.nr_blocks())
    return fail(Errc::invalid, metadata_root.nr_blocks, "metadata device smaller than recorded");
  ENGINE_TRY_ASSIGN(auto tm, TransactionManager::open(blocks, metadata_root, options.fan_out));
  ENGINE_TRY_ASSIGN(auto data_map,
                    SpaceMapDisk::open(*tm, SpaceMapRoot::decode(disk.data_map.root)));
  auto core = std::make_unique<MetadataCore>(std::move(tm), std::move(data_map), options.fan_out);
  core->uuid = disk.uuid;
  core->flags = disk.flags.value();
  core->version = disk.version.value();
  core->time = disk.time.value();
  core->transaction_id = disk.transaction_id.value();
  core->held_root = MetaBlock{disk.held_root.value()};
  core->mapping_root = MetaBlock{disk.mapping_root.value()};
  core->details_root = MetaBlock{disk.details_root.value()};
  core->data_block_sectors = disk.data_block_sectors.value();
  core->metadata_blocks_formatted = disk.metadata_blocks.value();
  core->compat_flags = disk.compat_flags.value();
  core->compat_ro_flags = disk.compat_ro_flags.value();
  return core;
}

Result<void> MetadataCore::check_roots() const {
  ENGINE_TRY(devices.lowest_key(mapping_root));
  ENGINE_TRY(details.lowest_key(details_root));
  return {};
}

void MetadataCore::fill_superblock(MutableBytes bytes) const noexcept {
  auto& disk = view_as<SuperblockDisk>(bytes);
  disk.flags = flags;
  disk.uuid = uuid;
  disk.magic = kSuperblockMagic;
  disk.version = version;
  disk.time = time;
  disk.transaction_id = transaction_id;
  disk.held_root = held_root.value();
  data_map->root().encode(disk.data_map.root);
  tm->metadata_space_map().root().encode(disk.metadata_map.root);
  disk.mapping_root = mapping_root.value();
  disk.details_root = details_root.value();
  disk.data_block_sectors = data_block_sectors;
  disk.metadata_block_sectors = kMetaBlockSectors;
  disk.metadata_blocks = metadata_blocks_formatted;
  disk.compat_flags = compat_flags;
  disk.compat_ro_flags = compat_ro_flags;
}

Result<void> MetadataCore::write_commit() {
  return tm->write_commit([this](MutableBytes bytes) { fill_superblock(bytes); });
}

void MetadataCore::finish_commit() {
  tm->finish_commit();
  superblock_changed = false;
}

Result<void> MetadataCore::reserve_snapshot() {
  ENGINE_CHECK(!changed(), "readers of the snapshot see only what is committed");
  ENGINE_TRY_ASSIGN(pdata::WriteRef ref, tm->new_block(pdata::kSuperblockValidator));
  fill_superblock(ref.bytes());
  auto& copy = view_as<SuperblockDisk>(ref.bytes());
  copy.held_root = 0;
  // The maps change from now on, so their roots would mislead a reader.
  SpaceMapRoot none;
  none.encode(copy.data_map.root);
  none.encode(copy.metadata_map.root);
  ENGINE_TRY(tm->inc(mapping_root));
  ENGINE_TRY(tm->inc(details_root));
  held_root = ref.block();
  superblock_changed = true;
  return {};
}

Result<void> MetadataCore::release_snapshot() {
  MetaBlock held_mappings;
  MetaBlock held_details;
  {
    ENGINE_TRY_ASSIGN(const pdata::ReadRef ref, tm->read(held_root, pdata::kSuperblockValidator));
    const auto& copy = view_as<SuperblockDisk>(ref.bytes());
    if (copy.magic.value() != kSuperblockMagic)
      return fail(Errc::corrupt, held_root.value(), "magic of the metadata snapshot");
    held_mappings = MetaBlock{copy.mapping_root.value()};
    held_details = MetaBlock{copy.details_root.value()};
  }
  // Whole trees, not just their roots: what was copied since belongs to the snapshot alone.
  ENGINE_TRY(devices.destroy(held_mappings));
  ENGINE_TRY(details.destroy(held_details));
  ENGINE_TRY(tm->dec(held_root));
  held_root = MetaBlock{0};
  superblock_changed = true;
  return {};
}

Result<std::optional<DeviceRecord>> MetadataCore::find_device(ThinId id) const {
  ENGINE_TRY_ASSIGN(const std::optional<DetailsDisk> disk,
                    details.lookup(details_root, id.value()));
  if (!disk) return std::optional<DeviceRecord>{};
  return std::optional<DeviceRecord>{
      DeviceRecord{.mapped_blocks = disk->mapped_blocks.value(),
                   .transaction_id = disk->transaction_id.value(),
                   .creation_time = disk->creation_time.value(),
                   .snapshotted_time = disk->snapshotted_time.value()}};
}

Result<void> MetadataCore::put_device(ThinId id, const DeviceRecord& record) {
  DetailsDisk disk{};
  disk.mapped_blocks = record.mapped_blocks;
  disk.transaction_id = record.transaction_id;
  disk.creation_time = record.creation_time;
  disk.snapshotted_time = record.snapshotted_time;
  ENGINE_TRY_ASSIGN(const auto inserted, details.insert(details_root, id.value(), disk));
  details_root = inserted.root;
  return {};
}

Result<MetaBlock> MetadataCore::find_root(ThinId id) const {
  ENGINE_TRY_ASSIGN(const std::optional<Le64> root, devices.lookup(mapping_root, id.value()));
  if (!root) return fail(Errc::corrupt, id.value(), "device without a mapping tree");
  return MetaBlock{root->value()};
}

Result<bool> MetadataCore::stays_in_place(MetaBlock root) const {
  if (!tm->metadata_space_map().new_in_transaction(root)) return false;
  ENGINE_TRY_ASSIGN(const bool shared, tm->is_shared(root));
  return !shared;
}

Result<MetadataCore::Changed> MetadataCore::insert_mapping(ThinId id, MetaBlock root,
                                                           VirtBlock block, DataBlock data) {
  const Le64 value = encode_block_time({.block = data, .time = time});
  ENGINE_TRY_ASSIGN(const bool in_place, stays_in_place(root));
  if (in_place) {
    ENGINE_TRY_ASSIGN(const auto inserted, mappings.insert(root, block.value(), value));
    ENGINE_CHECK(inserted.root == root);
    return Changed{root, inserted.added ? 1U : 0U};
  }
  // The upper level first: if its leaf is shared, copying it counts the roots in it once more, and
  // only then is it right to say whether ours is shared.
  ENGINE_TRY_ASSIGN(auto entry, devices.own(mapping_root, id.value()));
  mapping_root = entry.root();
  ENGINE_TRY_ASSIGN(const auto inserted, mappings.insert(root, block.value(), value));
  entry.value() = inserted.root.value();
  return Changed{inserted.root, inserted.added ? 1U : 0U};
}

Result<MetadataCore::Changed> MetadataCore::remove_mappings(ThinId id, MetaBlock root,
                                                            VirtBlock begin, VirtBlock end) {
  ENGINE_TRY_ASSIGN(const bool in_place, stays_in_place(root));
  if (in_place) {
    ENGINE_TRY_ASSIGN(const auto removed, mappings.remove_range(root, begin.value(), end.value()));
    ENGINE_CHECK(removed.root == root);
    return Changed{root, removed.count};
  }
  // Nothing there: nothing to copy.
  ENGINE_TRY_ASSIGN(const auto first, mappings.lookup_next(root, begin.value()));
  if (!first || first->key >= end.value()) return Changed{root, 0};
  ENGINE_TRY_ASSIGN(auto entry, devices.own(mapping_root, id.value()));
  mapping_root = entry.root();
  ENGINE_TRY_ASSIGN(const auto removed, mappings.remove_range(root, begin.value(), end.value()));
  entry.value() = removed.root.value();
  return Changed{removed.root, removed.count};
}

Result<Mapping> MetadataCore::interpret(const Le64& value, std::uint32_t snapshotted_time) const {
  const BlockTime mapped = decode_block_time(value);
  if (mapped.block.value() >= data_map->nr_blocks()) [[unlikely]]
    return fail(Errc::corrupt, mapped.block.value(), "mapped block beyond the data device");
  return Mapping{.block = mapped.block, .shared = mapped.time < snapshotted_time};
}

}   // namespace engine::thin
