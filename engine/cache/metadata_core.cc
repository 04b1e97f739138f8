// Formatting, loading and committing.
#include "engine/cache/metadata_core.h"

#include <algorithm>

#include "engine/pdata/block_manager.h"

namespace engine::cache {

using pdata::SpaceMapRoot;
using pdata::TransactionManager;

namespace {

// What can be said of the fields without reading anything else.
Result<void> check_superblock(const SuperblockDisk& disk, const MetadataOptions& options) {
  if (disk.magic.value() != kSuperblockMagic)
    return fail(Errc::corrupt, disk.magic.value(), "superblock magic");
  if (disk.version.value() < kVersionMin || disk.version.value() > kVersionMax)
    return fail(Errc::invalid, disk.version.value(), "superblock version");
  if (disk.incompat_flags.value() != 0)
    return fail(Errc::invalid, disk.incompat_flags.value(), "incompatible features");
  if (disk.compat_ro_flags.value() != 0)
    return fail(Errc::invalid, disk.compat_ro_flags.value(), "read-only compatible features");
  if ((disk.flags.value() & ~(kFlagClean | kFlagNeedsCheck)) != 0)
    return fail(Errc::corrupt, disk.flags.value(), "superblock flags");
  if (disk.metadata_block_sectors.value() != kMetaBlockSectors)
    return fail(Errc::corrupt, disk.metadata_block_sectors.value(), "metadata block size");
  if (disk.data_block_sectors.value() != options.data_block_sectors)
    return fail(Errc::invalid, disk.data_block_sectors.value(), "not the recorded data block size");
  if (disk.policy_name.back() != '\0') return fail(Errc::corrupt, 0, "policy name");
  return {};
}

pdata::ArrayOptions array_options(const MetadataOptions& options) noexcept {
  return {.fan_out = options.fan_out, .entries = options.array_entries};
}

// An array of this many entries, and perhaps stale ones behind them.
Result<void> check_array(const auto& array, MetaBlock root, std::uint64_t size, const char* what) {
  ENGINE_TRY_ASSIGN(const std::uint64_t stored, array.stored_size(root));
  if (stored < size) return fail(Errc::corrupt, root.value(), what);
  return {};
}

}   // namespace

MetadataCore::MetadataCore(std::unique_ptr<TransactionManager> manager,
                           const MetadataOptions& options)
    : tm{std::move(manager)},
      mappings{*tm, array_options(options)},
      hints{*tm, array_options(options)},
      dirty{*tm, array_options(options)},
      discards{*tm, array_options(options)} {}

Result<std::unique_ptr<MetadataCore>> MetadataCore::format(pdata::BlockManager& blocks,
                                                           const MetadataOptions& options) {
  if (options.cache_blocks == 0) return fail(Errc::invalid, 0, "cache without blocks");
  const std::uint64_t usable = std::min(blocks.nr_blocks(), pdata::kMetadataBlocksMax);
  // The trees in Linux's order, and at once what Linux leaves to the first resume: the entries.
  ENGINE_TRY_ASSIGN(auto tm, TransactionManager::create(blocks, usable, options.fan_out));
  auto core = std::make_unique<MetadataCore>(std::move(tm), options);
  core->version = options.version;
  core->data_block_sectors = options.data_block_sectors;
  ENGINE_TRY_ASSIGN(core->mapping_root, core->mappings.make_empty());
  if (core->has_dirty_bits()) {
    ENGINE_TRY_ASSIGN(core->dirty_root, core->dirty.make_empty());
  }
  ENGINE_TRY_ASSIGN(core->discard_root, core->discards.make_empty());
  ENGINE_TRY(core->resize(options.cache_blocks));
  ENGINE_TRY(core->commit(false));
  return core;
}

Result<std::unique_ptr<MetadataCore>> MetadataCore::load(pdata::BlockManager& blocks,
                                                         ConstBytes superblock,
                                                         const MetadataOptions& options) {
  ENGINE_TRY(kCacheSuperblockValidator.check(kSuperblockPlace, superblock));
  const auto& disk = view_as<SuperblockDisk>(superblock);
  ENGINE_TRY(check_superblock(disk, options));
  const SpaceMapRoot map_root = SpaceMapRoot::decode(disk.metadata_map);
  if (map_root.nr_blocks > blocks.nr_blocks())
    return fail(Errc::invalid, map_root.nr_blocks, "metadata device smaller than recorded");
  ENGINE_TRY_ASSIGN(auto tm, TransactionManager::open(blocks, map_root, options.fan_out));
  auto core = std::make_unique<MetadataCore>(std::move(tm), options);
  core->uuid = disk.uuid;
  core->version = disk.version.value();
  core->policy = {.name = disk.policy_name,
                  .version = {disk.policy_version[0].value(), disk.policy_version[1].value(),
                              disk.policy_version[2].value()},
                  .hint_size = disk.policy_hint_size.value()};
  core->mapping_root = MetaBlock{disk.mapping_root.value()};
  core->hint_root = MetaBlock{disk.hint_root.value()};
  core->discard_root = MetaBlock{disk.discard_root.value()};
  if (core->has_dirty_bits()) core->dirty_root = MetaBlock{disk.dirty_root.value()};
  core->discard_stored = {.block_sectors = disk.discard_block_sectors.value(),
                          .nr_blocks = disk.discard_nr_blocks.value()};
  core->data_block_sectors = disk.data_block_sectors.value();
  core->cache_blocks = disk.cache_blocks.value();
  core->compat_flags = disk.compat_flags.value();
  core->compat_ro_flags = disk.compat_ro_flags.value();
  core->statistics = {.read_hits = disk.read_hits.value(),
                      .read_misses = disk.read_misses.value(),
                      .write_hits = disk.write_hits.value(),
                      .write_misses = disk.write_misses.value()};
  core->needs_check = (disk.flags.value() & kFlagNeedsCheck) != 0;
  core->marked_clean = (disk.flags.value() & kFlagClean) != 0;
  core->clean = core->marked_clean;
  return core;
}

Result<void> MetadataCore::check_roots() const {
  ENGINE_TRY(check_array(mappings, mapping_root, cache_blocks, "mapping array too short"));
  if (has_dirty_bits())
    ENGINE_TRY(check_array(dirty, dirty_root, cache_blocks, "dirty bitset too short"));
  // Kernels of old leave it short when a cache has grown and crashed; it is rebuilt anyway.
  if (hint_root != MetaBlock{0}) ENGINE_TRY(hints.stored_size(hint_root));
  return check_array(discards, discard_root, discard_stored.nr_blocks, "discard bitset too short");
}

void MetadataCore::fill_superblock(MutableBytes bytes, bool clean_shutdown) const noexcept {
  auto& disk = view_as<SuperblockDisk>(bytes);
  disk.flags = (clean_shutdown ? kFlagClean : 0) | (needs_check ? kFlagNeedsCheck : 0);
  disk.uuid = uuid;
  disk.magic = kSuperblockMagic;
  disk.version = version;
  disk.policy_name = policy.name;
  disk.policy_hint_size = policy.hint_size;
  tm->metadata_space_map().root().encode(disk.metadata_map);
  disk.mapping_root = mapping_root.value();
  disk.hint_root = hint_root.value();
  disk.discard_root = discard_root.value();
  disk.discard_block_sectors = discard_stored.block_sectors;
  disk.discard_nr_blocks = discard_stored.nr_blocks;
  disk.data_block_sectors = data_block_sectors;
  disk.metadata_block_sectors = kMetaBlockSectors;
  disk.cache_blocks = cache_blocks;
  disk.compat_flags = compat_flags;
  disk.compat_ro_flags = compat_ro_flags;
  disk.incompat_flags = 0;
  disk.read_hits = statistics.read_hits;
  disk.read_misses = statistics.read_misses;
  disk.write_hits = statistics.write_hits;
  disk.write_misses = statistics.write_misses;
  for (std::size_t i = 0; i < policy.version.size(); ++i)
    disk.policy_version[i] = policy.version[i];
  disk.dirty_root = dirty_root.value();
}

Result<void> MetadataCore::commit(bool clean_shutdown) {
  if (has_dirty_bits()) {
    ENGINE_TRY_ASSIGN(dirty_root, dirty.flush(dirty_root));
  }
  ENGINE_TRY_ASSIGN(discard_root, discards.flush(discard_root));
  // The map's root is read in `fill`, after the transaction manager has written the map back.
  ENGINE_TRY(tm->commit([&](MutableBytes bytes) { fill_superblock(bytes, clean_shutdown); }));
  superblock_changed = false;
  marked_clean = clean_shutdown;
  clean = clean_shutdown;
  return {};
}

}   // namespace engine::cache
