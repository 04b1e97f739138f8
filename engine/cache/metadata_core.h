// The open transaction of a cache's metadata: arrays, bitsets, and the superblock's fields as they
// will be committed. Thrown away and loaded again by an abort. Internal to cache::Metadata.
//
// Callers hold cache.metadata: for writing whenever something changes, else for reading.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/cache/metadata.h"
#include "engine/cache/superblock_format.h"
#include "engine/pdata/array.h"
#include "engine/pdata/bitset.h"
#include "engine/pdata/transaction_manager.h"

namespace engine::cache {

struct StoredPolicy {
  std::array<char, 16> name{};
  std::array<std::uint32_t, 3> version{};
  std::uint32_t hint_size = 0;
};

struct MetadataCore {
  // Suspends. A blank device: builds a cache without mappings and commits it.
  static Result<std::unique_ptr<MetadataCore>> format(pdata::BlockManager& blocks,
                                                      const MetadataOptions& options);
  // Suspends. `superblock` is block 0 as read; its checksum, fields and geometry are checked.
  static Result<std::unique_ptr<MetadataCore>> load(pdata::BlockManager& blocks,
                                                    ConstBytes superblock,
                                                    const MetadataOptions& options);
  MetadataCore(std::unique_ptr<pdata::TransactionManager> manager, const MetadataOptions& options);

  // Suspends. Can the arrays that the superblock names be read? One path of each.
  [[nodiscard]] Result<void> check_roots() const;

  void fill_superblock(MutableBytes bytes, bool clean_shutdown) const noexcept;
  [[nodiscard]] bool changed() const noexcept { return superblock_changed || tm->changed(); }
  // Suspends.
  Result<void> commit(bool clean_shutdown);

  // All suspend; metadata_arrays.cc.
  [[nodiscard]] Result<MappingEntry> mapping(CacheBlock block) const;
  [[nodiscard]] Result<bool> any_dirty_from(std::uint32_t first) const;
  Result<void> resize(std::uint32_t cache_blocks_next);
  Result<void> insert(CacheBlock block, OriginBlock origin);
  Result<void> remove(CacheBlock block);
  [[nodiscard]] Result<std::vector<StoredMapping>> load_mappings(const PolicyIdentity& policy,
                                                                 std::uint64_t origin_blocks) const;
  [[nodiscard]] Result<std::vector<DiscardRange>> load_discards(
      const DiscardGeometry& geometry) const;
  Result<void> store(const CleanState& state);

  std::unique_ptr<pdata::TransactionManager> tm;
  pdata::Array<Le64> mappings;   // by cache block
  pdata::Array<Le32> hints;      // by cache block
  pdata::Bitset dirty;           // by cache block; version 2
  pdata::Bitset discards;        // by discard block

  // Fields of the superblock.
  std::array<std::uint8_t, 16> uuid{};
  std::uint32_t version = kVersionMin;
  StoredPolicy policy;
  MetaBlock mapping_root{0};
  MetaBlock hint_root{0};   // 0: none
  MetaBlock discard_root{0};
  MetaBlock dirty_root{0};
  DiscardGeometry discard_stored;
  std::uint32_t data_block_sectors = 0;
  std::uint32_t cache_blocks = 0;
  std::uint32_t compat_flags = 0;
  std::uint32_t compat_ro_flags = 0;
  Statistics statistics;
  bool needs_check = false;
  bool marked_clean = false;   // on the device: the last commit was that of a clean shutdown
  // Dirty bits, hints and discards can be trusted: it is so marked, and no mapping has changed.
  bool clean = false;

  bool superblock_changed = false;   // a field that no space map tells of
  // A change was made by half: only an abort helps.
  std::optional<Error> broken;

 private:
  [[nodiscard]] bool has_dirty_bits() const noexcept { return version >= 2; }
  [[nodiscard]] bool hints_of(const PolicyIdentity& reader) const noexcept;
  Result<void> drop_hints();
  Result<void> store_dirty(const std::function<bool(CacheBlock)>& is_dirty);
  Result<void> store_discards(const CleanState& state);
  Result<void> store_hints(const CleanState& state);
};

}   // namespace engine::cache
