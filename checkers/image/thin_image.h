// The blocks of one metadata image while it is being checked: each is entered by what points at it,
// as the type that the pointer implies; entering counts the reference and refuses what cannot be.
// Nothing here believes a byte: a number from the image is compared with a limit before it is used,
// and what is allocated depends on the image's size alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers/image/block_source.h"
#include "checkers/image/findings.h"
#include "checkers/image/thin_format.h"

namespace checkers::image {

enum class BlockType : std::uint8_t {
  none,
  superblock,
  held_superblock,
  metadata_index,
  metadata_bitmap,
  data_bitmap,
  metadata_overflow,
  data_overflow,
  data_index,
  device_tree,
  top_mapping,
  device_mapping,
  // Of caches.
  cache_superblock,
  mapping_tree,
  mapping_array,
  hint_tree,
  hint_array,
  dirty_tree,
  dirty_array,
  discard_tree,
  discard_array,
};
[[nodiscard]] const char* block_type_name(BlockType type);

struct SpaceMapRoot {
  std::uint64_t nr_blocks{0};
  std::uint64_t nr_allocated{0};
  std::uint64_t bitmap_root{0};
  std::uint64_t ref_count_root{0};
};

struct Superblock {
  std::uint64_t block{0};   // where it was read
  std::uint32_t flags{0};
  std::uint32_t version{0};
  std::uint32_t time{0};
  std::uint64_t trans_id{0};
  std::uint64_t held_root{0};
  SpaceMapRoot data_map;
  SpaceMapRoot metadata_map;
  std::uint64_t data_mapping_root{0};
  std::uint64_t device_details_root{0};
  std::uint32_t data_block_size{0};
  std::uint32_t metadata_block_size{0};
  std::uint64_t metadata_nr_blocks{0};
  std::uint32_t compat_flags{0};
  std::uint32_t compat_ro_flags{0};
  std::uint32_t incompat_flags{0};
  std::uint64_t magic{0};
};
[[nodiscard]] Superblock parse_superblock(const std::byte* bytes, std::uint64_t block);
[[nodiscard]] SpaceMapRoot parse_map_root(const std::byte* bytes);

// Where a block number was read: a field, or entry `index` of one.
struct Pointer {
  static constexpr std::uint64_t kNoIndex = ~std::uint64_t{0};
  std::uint64_t block{0};
  const char* field{""};
  std::uint64_t index{kNoIndex};

  [[nodiscard]] std::string text() const;
};

class ThinImage {
 public:
  enum class Entry : std::uint8_t { first, again, refused };
  enum class Counted : bool { no, yes };

  // Starts anew on another image; keeps the memory of the last.
  void reset(BlockSource& source, Findings& findings);

  // Sizes the tables: block numbers from `nr_blocks` on are refused from now on.
  void set_nr_blocks(std::uint64_t nr_blocks);
  [[nodiscard]] std::uint64_t nr_blocks() const { return refs_.size(); }

  // Follows a pointer to `block`, which is to be of `type`.
  Entry enter(std::uint64_t block, BlockType type, const Pointer& from, Counted counted);

  // Reads a block and verifies checksum and block number; null after a finding. The bytes stay
  // until the next load into the same slot; slots are one per level of a walk.
  [[nodiscard]] const std::byte* load(std::uint64_t block, BlockType type, unsigned slot);
  // As load, without any verification; null when the source cannot read it.
  [[nodiscard]] const std::byte* load_raw(std::uint64_t block, unsigned slot);

  [[nodiscard]] std::uint32_t refs(std::uint64_t block) const { return refs_[block]; }
  [[nodiscard]] BlockType type(std::uint64_t block) const { return types_[block]; }
  [[nodiscard]] Findings& findings() { return *findings_; }
  [[nodiscard]] std::uint64_t blocks_read() const { return blocks_read_; }

  // Whether everything reachable has been reached, so that counts are exact and not just bounds.
  [[nodiscard]] bool complete() const { return complete_; }
  void set_complete(bool complete) { complete_ = complete; }

  // A B-tree's memory of each node: index into the walker's table plus one, 0 for none.
  [[nodiscard]] std::uint32_t& node_slot(std::uint64_t block) { return node_slots_[block]; }

 private:
  BlockSource* source_{nullptr};
  Findings* findings_{nullptr};
  bool complete_{true};
  std::uint64_t blocks_read_{0};
  std::vector<std::uint32_t> refs_;
  std::vector<BlockType> types_;
  std::vector<std::uint32_t> node_slots_;
  std::vector<std::unique_ptr<std::byte[]>> buffers_;
};

}   // namespace checkers::image
