// A metadata device in the tank, and a pool of the simplest kind on it: empty mapping and device
// trees, the two space maps, and a superblock that checkers accept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "checkers/image/block_source.h"
#include "checkers/image/thin_check.h"
#include "engine/pdata/block_manager.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/space_map_disk.h"
#include "engine/pdata/transaction_manager.h"
#include "sim/execution.h"
#include "sim/sim_device.h"

namespace engine::pdata {

// The value of something that must not fail here; else the execution ends with a finding.
template <typename T>
T must(Result<T> result, std::source_location where = std::source_location::current()) {
  if (!result) {
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line()))
        << to_string(result.error().code) << " " << result.error().where << " "
        << result.error().what;
    ENGINE_CHECK(false, "unexpected failure: {}", result.error().what);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

template <typename T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

// Runs `body(device)` on a fiber of a world of its own. Returns the device's image afterwards: what
// the power cut left, if there was one.
struct TankOptions {
  std::uint64_t seed = 0;
  std::uint64_t blocks = 0;   // of the device; 0: as many as the image has, or else 64
  sim::DiskImageRef image{};
  sim::FaultPlan faults{};
};
template <typename Body>
sim::DiskImageRef in_tank(const TankOptions& options, Body&& body) {
  sim::Execution execution{{.seed = options.seed}};
  sim::DiskImageRef left;
  {
    const std::uint64_t blocks = options.blocks == 0 && !options.image ? 64 : options.blocks;
    sim::SimDevice device{
        execution,
        "metadata",
        {.sectors = blocks * kMetaBlockSectors, .image = options.image, .faults = options.faults}};
    const sim::Outcome& outcome = execution.run([&] { body(device); });
    if (outcome.finding) {
      ADD_FAILURE() << "seed " << options.seed << ": " << outcome.finding->place << ": "
                    << outcome.finding->message << "\n"
                    << outcome.finding->detail;
    }
    left = device.powered() ? device.snapshot() : device.crash_image();
  }
  return left;
}

// As in docs/format/thin-superblock.md; tests alone write it this way.
struct TestSuperblock {
  Le32 checksum;
  Le32 flags;
  Le64 block;
  std::array<std::uint8_t, 16> uuid;
  Le64 magic;
  Le32 version;
  Le32 time;
  Le64 trans_id;
  Le64 held_root;
  SpaceMapRootDisk data_map;
  std::array<std::uint8_t, 96> data_map_padding;
  SpaceMapRootDisk metadata_map;
  std::array<std::uint8_t, 96> metadata_map_padding;
  Le64 mapping_root;
  Le64 details_root;
  Le32 data_block_sectors;
  Le32 metadata_block_sectors;
  Le64 metadata_nr_blocks;
};
static_assert(offsetof(TestSuperblock, metadata_map) == 192 && sizeof(TestSuperblock) == 352);

struct TestDetails {
  Le64 mapped_blocks;
  Le64 transaction_id;
  Le32 creation_time;
  Le32 snapshotted_time;
};
static_assert(sizeof(TestDetails) == 24);

class TestPool {
 public:
  // Not committed yet.
  static Result<std::unique_ptr<TestPool>> create(BlockManager& blocks, std::uint32_t fan_out = 0) {
    std::unique_ptr<TestPool> pool{new TestPool};
    ENGINE_TRY_ASSIGN(pool->tm_owned,
                      TransactionManager::create(blocks, blocks.nr_blocks(), fan_out));
    ENGINE_TRY_ASSIGN(pool->data_owned, SpaceMapDisk::create(pool->tm()));
    ENGINE_TRY_ASSIGN(pool->mapping_root, Btree<Le64>{pool->tm()}.make_empty());
    ENGINE_TRY_ASSIGN(pool->details_root, Btree<TestDetails>{pool->tm()}.make_empty());
    return pool;
  }
  static Result<std::unique_ptr<TestPool>> open(BlockManager& blocks, std::uint32_t fan_out = 0) {
    std::unique_ptr<TestPool> pool{new TestPool};
    ENGINE_TRY_ASSIGN(const ReadRef ref, blocks.read(MetaBlock{0}, kSuperblockValidator));
    const auto& super = view_as<TestSuperblock>(ref.bytes());
    pool->trans_id = super.trans_id.value();
    pool->mapping_root = MetaBlock{super.mapping_root.value()};
    pool->details_root = MetaBlock{super.details_root.value()};
    ENGINE_TRY_ASSIGN(
        pool->tm_owned,
        TransactionManager::open(blocks, SpaceMapRoot::decode(super.metadata_map), fan_out));
    ENGINE_TRY_ASSIGN(pool->data_owned,
                      SpaceMapDisk::open(pool->tm(), SpaceMapRoot::decode(super.data_map)));
    return pool;
  }

  Result<void> commit() {
    ++trans_id;
    return tm().commit([this](MutableBytes bytes) { fill(view_as<TestSuperblock>(bytes)); });
  }

  [[nodiscard]] TransactionManager& tm() { return *tm_owned; }
  [[nodiscard]] SpaceMapMetadata& metadata_map() { return tm_owned->metadata_space_map(); }
  [[nodiscard]] SpaceMapDisk& data_map() { return *data_owned; }

  // `count` devices with ids from `first`, all sharing one empty mapping tree: its root's count.
  Result<void> add_sharing_devices(std::uint64_t first, std::uint64_t count) {
    Btree<Le64> mappings{tm()};
    Btree<TestDetails> details{tm()};
    ENGINE_TRY_ASSIGN(const MetaBlock shared, mappings.make_empty());
    for (std::uint64_t id = first; id < first + count; ++id) {
      if (id != first) ENGINE_TRY(tm().inc(shared));
      Le64 value;
      value = shared.value();
      ENGINE_TRY_ASSIGN(const auto inserted, mappings.insert(mapping_root, id, value));
      mapping_root = inserted.root;
      ENGINE_TRY_ASSIGN(const auto recorded, details.insert(details_root, id, TestDetails{}));
      details_root = recorded.root;
    }
    return {};
  }
  // Deletes them again.
  Result<void> remove_devices(std::uint64_t first, std::uint64_t count) {
    Btree<Le64> mappings{tm()};
    Btree<TestDetails> details{tm()};
    for (std::uint64_t id = first; id < first + count; ++id) {
      ENGINE_TRY_ASSIGN(const auto root, mappings.lookup(mapping_root, id));
      ENGINE_CHECK(root.has_value());
      ENGINE_TRY_ASSIGN(mapping_root, mappings.remove(mapping_root, id));
      ENGINE_TRY_ASSIGN(details_root, details.remove(details_root, id));
      ENGINE_TRY(tm().dec(MetaBlock{root->value()}));
    }
    return {};
  }

  std::uint64_t trans_id = 0;
  MetaBlock mapping_root{0};
  MetaBlock details_root{0};
  std::unique_ptr<TransactionManager> tm_owned;
  std::unique_ptr<SpaceMapDisk> data_owned;   // goes first

 private:
  TestPool() = default;
  void fill(TestSuperblock& super) {
    super.magic = 27022010;
    super.version = 2;
    super.trans_id = trans_id;
    data_map().root().encode(super.data_map);
    metadata_map().root().encode(super.metadata_map);
    super.mapping_root = mapping_root.value();
    super.details_root = details_root.value();
    super.data_block_sectors = 128;
    super.metadata_block_sectors = kMetaBlockSectors;
    super.metadata_nr_blocks = metadata_map().nr_blocks();
  }
};

// A simulated disk's contents for the checkers.
class ImageSource final : public checkers::image::BlockSource {
 public:
  explicit ImageSource(const sim::DiskImage& image) : image_{image} {}
  bool read(std::uint64_t block, checkers::image::BlockBytes out) override {
    if (block >= nr_blocks()) return false;
    image_.read(first_sector(MetaBlock{block}), out);
    return true;
  }
  [[nodiscard]] std::uint64_t nr_blocks() const override {
    return image_.sectors() / kMetaBlockSectors;
  }

 private:
  const sim::DiskImage& image_;
};

// A data block, with nothing that refers to it.
inline Result<DataBlock> allocate(SpaceMapDisk& map) {
  ENGINE_TRY_ASSIGN(const DataBlock block, map.stage());
  map.take_staged(block);
  return block;
}

// Metadata counts exact and all else in order; data blocks may be counted without being mapped,
// since these pools map none.
inline void expect_sound(const sim::DiskImage& image) {
  ImageSource source{image};
  const checkers::image::ThinReport report = checkers::image::check_thin(source);
  EXPECT_TRUE(report.readable);
  for (const auto& finding : report.findings.kept()) {
    if (finding.rule != checkers::image::Rule::data_count_high)
      ADD_FAILURE() << checkers::image::to_text(finding);
  }
}

inline std::vector<std::byte> block_bytes(const sim::DiskImage& image, std::uint64_t block) {
  std::vector<std::byte> bytes(kMetaBlockSize);
  image.read(first_sector(MetaBlock{block}), bytes);
  return bytes;
}

}   // namespace engine::pdata
