#include "checkers/image/thin_image.h"

#include <algorithm>

#include <fmt/format.h>

#include "checkers/image/cache_format.h"

namespace checkers::image {
namespace {

std::uint32_t salt_of(BlockType type) {
  switch (type) {
    case BlockType::superblock:
    case BlockType::held_superblock:
      return thin_format::kSuperblockSalt;
    case BlockType::cache_superblock:
      return cache_format::kSuperblockSalt;
    case BlockType::metadata_index:
      return thin_format::kIndexSalt;
    case BlockType::metadata_bitmap:
    case BlockType::data_bitmap:
      return thin_format::kBitmapSalt;
    case BlockType::none:
    case BlockType::metadata_overflow:
    case BlockType::data_overflow:
    case BlockType::data_index:
    case BlockType::device_tree:
    case BlockType::top_mapping:
    case BlockType::device_mapping:
    case BlockType::mapping_tree:
    case BlockType::hint_tree:
    case BlockType::dirty_tree:
    case BlockType::discard_tree:
      return thin_format::kNodeSalt;
    case BlockType::mapping_array:
    case BlockType::hint_array:
    case BlockType::dirty_array:
    case BlockType::discard_array:
      return cache_format::kArraySalt;
  }
  return thin_format::kNodeSalt;
}

std::size_t number_offset_of(BlockType type) {
  return salt_of(type) == cache_format::kArraySalt ? cache_format::kArrayNumberOffset
                                                   : thin_format::kBlockNumberOffset;
}

bool is_superblock(BlockType type) {
  return type == BlockType::superblock || type == BlockType::cache_superblock;
}

}   // namespace

SpaceMapRoot parse_map_root(const std::byte* bytes) {
  constexpr auto& kFields = thin_format::kSpaceMapRootFields;
  return {.nr_blocks = thin_format::load64(bytes, thin_format::at(kFields, "nr_blocks")),
          .nr_allocated = thin_format::load64(bytes, thin_format::at(kFields, "nr_allocated")),
          .bitmap_root = thin_format::load64(bytes, thin_format::at(kFields, "bitmap_root")),
          .ref_count_root = thin_format::load64(bytes, thin_format::at(kFields, "ref_count_root"))};
}

const char* block_type_name(BlockType type) {
  switch (type) {
    case BlockType::none:
      return "nothing";
    case BlockType::superblock:
      return "the superblock";
    case BlockType::held_superblock:
      return "the held copy of the superblock";
    case BlockType::metadata_index:
      return "the metadata index block";
    case BlockType::metadata_bitmap:
      return "a bitmap of the metadata space map";
    case BlockType::data_bitmap:
      return "a bitmap of the data space map";
    case BlockType::metadata_overflow:
      return "a node of the metadata overflow tree";
    case BlockType::data_overflow:
      return "a node of the data overflow tree";
    case BlockType::data_index:
      return "a node of the data index tree";
    case BlockType::device_tree:
      return "a node of the device tree";
    case BlockType::top_mapping:
      return "a node of the top mapping tree";
    case BlockType::device_mapping:
      return "a node of a device's mapping tree";
    case BlockType::cache_superblock:
      return "the superblock";
    case BlockType::mapping_tree:
      return "a node of the mapping array";
    case BlockType::mapping_array:
      return "a block of the mapping array";
    case BlockType::hint_tree:
      return "a node of the hint array";
    case BlockType::hint_array:
      return "a block of the hint array";
    case BlockType::dirty_tree:
      return "a node of the dirty bitset";
    case BlockType::dirty_array:
      return "a block of the dirty bitset";
    case BlockType::discard_tree:
      return "a node of the discard bitset";
    case BlockType::discard_array:
      return "a block of the discard bitset";
  }
  return "unknown";
}

Superblock parse_superblock(const std::byte* bytes, std::uint64_t block) {
  constexpr auto& kFields = thin_format::kSuperblockFields;
  using thin_format::at;
  using thin_format::load32;
  using thin_format::load64;
  Superblock super;
  super.block = block;
  super.flags = load32(bytes, at(kFields, "flags"));
  super.magic = load64(bytes, at(kFields, "magic"));
  super.version = load32(bytes, at(kFields, "version"));
  super.time = load32(bytes, at(kFields, "time"));
  super.trans_id = load64(bytes, at(kFields, "trans_id"));
  super.held_root = load64(bytes, at(kFields, "held_root"));
  super.data_map = parse_map_root(bytes + at(kFields, "data_space_map_root"));
  super.metadata_map = parse_map_root(bytes + at(kFields, "metadata_space_map_root"));
  super.data_mapping_root = load64(bytes, at(kFields, "data_mapping_root"));
  super.device_details_root = load64(bytes, at(kFields, "device_details_root"));
  super.data_block_size = load32(bytes, at(kFields, "data_block_size"));
  super.metadata_block_size = load32(bytes, at(kFields, "metadata_block_size"));
  super.metadata_nr_blocks = load64(bytes, at(kFields, "metadata_nr_blocks"));
  super.compat_flags = load32(bytes, at(kFields, "compat_flags"));
  super.compat_ro_flags = load32(bytes, at(kFields, "compat_ro_flags"));
  super.incompat_flags = load32(bytes, at(kFields, "incompat_flags"));
  return super;
}

std::string Pointer::text() const {
  return index == kNoIndex ? std::string{field} : fmt::format("{}[{}]", field, index);
}

void ThinImage::reset(BlockSource& source, Findings& findings) {
  source_ = &source;
  findings_ = &findings;
  complete_ = true;
  blocks_read_ = 0;
  set_nr_blocks(0);
}

void ThinImage::set_nr_blocks(std::uint64_t nr_blocks) {
  const std::uint64_t size =
      std::min({nr_blocks, source_->nr_blocks(), thin_format::kMetadataBlocksMax});
  refs_.assign(size, 0);
  types_.assign(size, BlockType::none);
  node_slots_.assign(size, 0);
}

ThinImage::Entry ThinImage::enter(std::uint64_t block, BlockType type, const Pointer& from,
                                  Counted counted) {
  if (block >= refs_.size()) {
    findings_->add(Rule::block_identity, Severity::fatal, from.block, from.text(),
                   fmt::format("block {}", block),
                   fmt::format("{}, below {}", block_type_name(type), refs_.size()));
    complete_ = false;
    return Entry::refused;
  }
  if (counted == Counted::yes) ++refs_[block];   // 4161600 blocks hold too few slots to overflow it
  const BlockType was = types_[block];
  if (was == BlockType::none) {
    types_[block] = type;
    return Entry::first;
  }
  if (was == type) return Entry::again;
  findings_->add(Rule::block_identity, Severity::fatal, from.block, from.text(),
                 fmt::format("block {}, which is also {}", block, block_type_name(was)),
                 block_type_name(type));
  complete_ = false;
  return Entry::refused;
}

const std::byte* ThinImage::load_raw(std::uint64_t block, unsigned slot) {
  ++blocks_read_;
  if (block < source_->nr_blocks()) {
    if (const std::byte* bytes = source_->peek(block)) return bytes;
  }
  while (buffers_.size() <= slot) {
    buffers_.push_back(std::make_unique_for_overwrite<std::byte[]>(kImageBlockSize));
  }
  std::byte* buffer = buffers_[slot].get();
  return source_->read(block, BlockBytes{buffer, kImageBlockSize}) ? buffer : nullptr;
}

const std::byte* ThinImage::load(std::uint64_t block, BlockType type, unsigned slot) {
  const std::byte* bytes = load_raw(block, slot);
  if (bytes == nullptr) {
    findings_->add(Rule::unreadable, Severity::fatal, block, "block", "a read error",
                   block_type_name(type));
    complete_ = false;
    return nullptr;
  }
  const std::uint32_t stored = thin_format::load32(bytes, thin_format::kChecksumOffset);
  const std::uint32_t computed = thin_format::checksum(bytes, salt_of(type));
  if (stored != computed) {
    const bool super = is_superblock(type);
    findings_->add(super ? Rule::superblock_checksum : Rule::block_identity, Severity::fatal, block,
                   "csum", fmt::format("{:#010x}", stored),
                   fmt::format("{:#010x} for {}", computed, block_type_name(type)));
    complete_ = false;
    return nullptr;
  }
  const std::uint64_t number = thin_format::load64(bytes, number_offset_of(type));
  if (number != block) {
    const bool super = is_superblock(type);
    findings_->add(super ? Rule::superblock_fields : Rule::block_identity, Severity::fatal, block,
                   "blocknr", fmt::format("{}", number), fmt::format("{}", block));
    complete_ = false;
    return nullptr;
  }
  return bytes;
}

}   // namespace checkers::image
