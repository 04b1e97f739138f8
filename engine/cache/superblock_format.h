// The superblock, block 0 of a cache's metadata device, and the entries of its mapping array.
// docs/format/cache-superblock.md. All of a superblock lies in its first 512 bytes; the rest is
// zero, so a disk with atomic sectors replaces it atomically.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/units.h"
#include "engine/cache/blocks.h"
#include "engine/pdata/space_map_format.h"
#include "engine/pdata/validator.h"

namespace engine::cache {

inline constexpr std::uint64_t kSuperblockMagic = 06142003;   // octal, as in Linux
inline constexpr std::uint32_t kVersionMin = 1;
inline constexpr std::uint32_t kVersionMax = 2;
inline constexpr std::uint32_t kFlagClean = 1;
inline constexpr std::uint32_t kFlagNeedsCheck = 2;
inline constexpr MetaBlock kSuperblockPlace{0};

inline constexpr std::uint32_t kCacheSuperblockSalt = 9031977;
inline constexpr pdata::Validator kCacheSuperblockValidator{"cache superblock",
                                                            kCacheSuperblockSalt};

struct SuperblockDisk {
  Le32 checksum;
  Le32 flags;
  Le64 block;
  std::array<std::uint8_t, 16> uuid;
  Le64 magic;
  Le32 version;
  std::array<char, 16> policy_name;   // terminated
  Le32 policy_hint_size;              // 0 without hints; some tools mean 4 by it
  pdata::SpaceMapRootDisk metadata_map;
  std::array<std::uint8_t, 96> metadata_map_padding;
  Le64 mapping_root;
  Le64 hint_root;   // 0: none
  Le64 discard_root;
  Le64 discard_block_sectors;
  Le64 discard_nr_blocks;
  Le32 data_block_sectors;
  Le32 metadata_block_sectors;
  Le32 cache_blocks;
  Le32 compat_flags;
  Le32 compat_ro_flags;
  Le32 incompat_flags;
  Le32 read_hits;
  Le32 read_misses;
  Le32 write_hits;
  Le32 write_misses;
  std::array<Le32, 3> policy_version;
  Le64 dirty_root;   // version 2
};
static_assert(sizeof(SuperblockDisk) == 292 && alignof(SuperblockDisk) == 1);
static_assert(offsetof(SuperblockDisk, magic) == 32 && offsetof(SuperblockDisk, version) == 40);
static_assert(offsetof(SuperblockDisk, metadata_map) == 64);
static_assert(offsetof(SuperblockDisk, mapping_root) == 192);
static_assert(offsetof(SuperblockDisk, discard_nr_blocks) == 224);
static_assert(offsetof(SuperblockDisk, cache_blocks) == 240);
static_assert(offsetof(SuperblockDisk, read_hits) == 256);
static_assert(offsetof(SuperblockDisk, dirty_root) == 284);

// An entry of the mapping array; an unmapped block's is zero.
inline constexpr std::uint64_t kMappingValid = 1;
inline constexpr std::uint64_t kMappingDirty = 2;   // version 1
inline constexpr std::uint32_t kMappingFlagBits = 16;

struct MappingEntry {
  OriginBlock origin;
  std::uint64_t flags = 0;
  [[nodiscard]] bool valid() const noexcept { return (flags & kMappingValid) != 0; }
};
[[nodiscard]] inline MappingEntry decode_mapping(const Le64& disk) noexcept {
  return {.origin = OriginBlock{disk.value() >> kMappingFlagBits},
          .flags = disk.value() & ((std::uint64_t{1} << kMappingFlagBits) - 1)};
}
[[nodiscard]] inline Le64 encode_mapping(MappingEntry entry) noexcept {
  Le64 disk;
  disk = entry.origin.value() << kMappingFlagBits | entry.flags;
  return disk;
}

}   // namespace engine::cache
