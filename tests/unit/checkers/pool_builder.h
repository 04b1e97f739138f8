// Builds pools block by block, for images that no tool makes: small fan-outs, shared subtrees, held
// copies, and trees that are wrong on purpose. Counts references as it writes pointers, each child
// once for each node that points at it; finish() turns the counts into space maps.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/unit/checkers/test_image.h"

namespace checkers::image::test {

struct Mapping {
  std::uint64_t virtual_block;
  std::uint64_t data_block;
  std::uint32_t time{0};
};

struct Child {
  std::uint64_t key;
  std::uint64_t block;
};

struct DeviceRecord {
  std::uint64_t id;
  std::uint64_t root;
  std::uint64_t mapped;
  std::uint64_t transaction{0};
  std::uint32_t created{0};
  std::uint32_t snapshotted{0};
};

class PoolBuilder {
 public:
  static constexpr std::uint64_t kIndex = 1;
  static constexpr std::uint64_t kMetadataOverflow = 2;
  static constexpr std::uint64_t kMetadataBitmap = 3;
  static constexpr std::uint64_t kDataIndex = 4;
  static constexpr std::uint64_t kDataOverflow = 5;
  static constexpr std::uint64_t kDataBitmap = 6;
  static constexpr std::uint64_t kFirst = 7;   // the first that allocate() gives

  PoolBuilder(std::uint64_t metadata_blocks, std::uint64_t data_blocks);

  std::uint64_t allocate() { return next_++; }
  void set_time(std::uint32_t time) { time_ = time; }

  // Nodes of mapping trees; each returns the block that it wrote.
  std::uint64_t leaf(const std::vector<Mapping>& mappings, std::uint32_t max = 252);
  std::uint64_t inner(const std::vector<Child>& children, std::uint32_t max = 252);
  // The same into a block given, for cycles.
  void inner_at(std::uint64_t block, const std::vector<Child>& children, std::uint32_t max = 252);
  // A tree over `mappings` with so many entries a leaf and children a node.
  std::uint64_t tree(const std::vector<Mapping>& mappings, std::uint32_t max, std::uint32_t fill);

  // Writes device tree and top mapping tree; returns {details root, mapping root}.
  std::pair<std::uint64_t, std::uint64_t> devices(const std::vector<DeviceRecord>& records);
  // Makes the metadata snapshot of these two roots.
  std::uint64_t hold(std::pair<std::uint64_t, std::uint64_t> roots, std::uint32_t time);

  TestImage finish(std::pair<std::uint64_t, std::uint64_t> roots);

  std::uint64_t& metadata_refs(std::uint64_t block) { return metadata_refs_[block]; }
  std::uint64_t& data_refs(std::uint64_t block) { return data_refs_[block]; }
  TestImage& image() { return image_; }

 private:
  void header(std::uint64_t block, std::uint32_t flags, std::uint64_t nr, std::uint32_t max,
              std::uint32_t value_size);
  void space_map(std::uint64_t bitmap, std::uint64_t overflow,
                 const std::vector<std::uint64_t>& refs);
  void superblock(std::uint64_t block, std::pair<std::uint64_t, std::uint64_t> roots,
                  std::uint32_t time);

  TestImage image_;
  std::uint64_t next_{kFirst};
  std::uint64_t held_{0};
  std::uint32_t time_{0};
  std::vector<std::uint64_t> metadata_refs_;
  std::vector<std::uint64_t> data_refs_;
};

}   // namespace checkers::image::test
