// The open transaction of a pool's metadata: trees, space maps, and the superblock's fields as they
// will be committed. Thrown away and loaded again by an abort. Internal to thin::Metadata.
//
// Callers hold thin.metadata: for writing whenever something changes, else for reading; and
// write_commit() alone with thin.metadata.change.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/buffer.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/space_map_disk.h"
#include "engine/pdata/transaction_manager.h"
#include "engine/thin/metadata.h"
#include "engine/thin/superblock_format.h"

namespace engine::thin {

// Leaves of mapping trees refer to data blocks.
class MappingCounts final : public pdata::ValueCounts {
 public:
  explicit MappingCounts(pdata::SpaceMapDisk& data_map) noexcept : data_map_{data_map} {}
  Result<void> inc(ConstBytes values) override;
  Result<void> dec(ConstBytes values) override;
  // The time does not matter.
  [[nodiscard]] bool equal(ConstBytes a, ConstBytes b) const noexcept override;

 private:
  pdata::SpaceMapDisk& data_map_;
};

// Leaves of the upper level refer to the devices' mapping trees.
class SubtreeCounts final : public pdata::ValueCounts {
 public:
  SubtreeCounts(pdata::TransactionManager& tm, pdata::Btree<Le64>& mappings) noexcept
      : tm_{tm}, mappings_{mappings} {}
  Result<void> inc(ConstBytes values) override;
  Result<void> dec(ConstBytes values) override;
  [[nodiscard]] bool equal(ConstBytes a, ConstBytes b) const noexcept override;

 private:
  pdata::TransactionManager& tm_;
  pdata::Btree<Le64>& mappings_;
};

struct DeviceRecord {
  std::uint64_t mapped_blocks = 0;
  std::uint64_t transaction_id = 0;
  std::uint32_t creation_time = 0;
  std::uint32_t snapshotted_time = 0;
};

struct MetadataCore {
  // Suspends. A blank device: builds empty trees and commits them.
  static Result<std::unique_ptr<MetadataCore>> format(pdata::BlockManager& blocks,
                                                      const MetadataOptions& options);
  // Suspends. `superblock` is block 0 as read; its checksum, fields and geometry are checked.
  static Result<std::unique_ptr<MetadataCore>> load(pdata::BlockManager& blocks,
                                                    ConstBytes superblock,
                                                    const MetadataOptions& options);
  MetadataCore(std::unique_ptr<pdata::TransactionManager> manager,
               std::unique_ptr<pdata::SpaceMapDisk> data, std::uint32_t fan_out) noexcept;

  // Suspends. Can the trees that the superblock names be read? One path of each.
  [[nodiscard]] Result<void> check_roots() const;

  // --- The superblock.
  void fill_superblock(MutableBytes bytes) const noexcept;
  [[nodiscard]] bool changed() const noexcept { return superblock_changed || tm->changed(); }
  // The three steps of a commit, as the transaction manager's. All trees must be final.
  Result<void> prepare_commit() { return tm->prepare_commit(); }
  Result<void> write_commit();
  void finish_commit();
  // Suspends. Refusals are the caller's affair.
  Result<void> reserve_snapshot();
  Result<void> release_snapshot();

  // --- Devices.
  [[nodiscard]] Result<std::optional<DeviceRecord>> find_device(ThinId id) const;
  Result<void> put_device(ThinId id, const DeviceRecord& record);
  // Errors: corrupt when a device has a record and no tree.
  [[nodiscard]] Result<MetaBlock> find_root(ThinId id) const;

  // --- One device's tree. `root` is where it is now; these keep the upper level in step.
  struct Changed {
    MetaBlock root;
    std::uint64_t count = 0;   // of keys added or removed
  };
  Result<Changed> insert_mapping(ThinId id, MetaBlock root, VirtBlock block, DataBlock data);
  Result<Changed> remove_mappings(ThinId id, MetaBlock root, VirtBlock begin, VirtBlock end);
  // A mapping as the device sees it. Errors: corrupt for a block beyond the data device.
  [[nodiscard]] Result<Mapping> interpret(const Le64& value, std::uint32_t snapshotted_time) const;

  std::unique_ptr<pdata::TransactionManager> tm;
  std::unique_ptr<pdata::SpaceMapDisk> data_map;   // after tm: must go first
  MappingCounts mapping_counts;
  pdata::Btree<Le64> mappings;   // one device: virtual block -> block and time
  SubtreeCounts subtree_counts;
  pdata::Btree<Le64> devices;   // thin id -> root of its mapping tree
  pdata::Btree<DetailsDisk> details;

  // Fields of the superblock.
  std::array<std::uint8_t, 16> uuid{};
  std::uint32_t flags = 0;
  std::uint32_t version = kSuperblockVersion;
  std::uint32_t time = 0;
  std::uint64_t transaction_id = 0;
  MetaBlock held_root{0};
  MetaBlock mapping_root{0};
  MetaBlock details_root{0};
  std::uint32_t data_block_sectors = 0;
  std::uint64_t metadata_blocks_formatted = 0;
  std::uint32_t compat_flags = 0;
  std::uint32_t compat_ro_flags = 0;

  bool superblock_changed = false;   // a field that no space map tells of
  // Something has changed since the metadata was opened; from then on commits flush data.
  bool in_service = false;
  // A change was made by half: only an abort helps.
  std::optional<Error> broken;

 private:
  // A subtree root that is new in this transaction and not shared stays where it is under every
  // change, and the upper level already points there.
  [[nodiscard]] Result<bool> stays_in_place(MetaBlock root) const;
};

}   // namespace engine::thin
