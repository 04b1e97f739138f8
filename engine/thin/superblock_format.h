// The superblock, block 0 of a pool's metadata device, and the records of the pool's trees.
// docs/format/thin.md. All of a superblock lies in its first 512 bytes; the rest is zero, so a disk
// with atomic sectors replaces it atomically.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/units.h"
#include "engine/pdata/space_map_format.h"

namespace engine::thin {

inline constexpr std::uint64_t kSuperblockMagic = 27022010;
inline constexpr std::uint32_t kSuperblockVersion = 2;
inline constexpr std::uint32_t kFlagNeedsCheck = 1;
inline constexpr MetaBlock kSuperblockPlace{0};

// A space map's root in its 128 bytes. Linux leaves the padding uninitialised: it is ignored when
// read and written as zeroes.
struct PaddedMapRootDisk {
  pdata::SpaceMapRootDisk root;
  std::array<std::uint8_t, 96> padding;
};

struct SuperblockDisk {
  Le32 checksum;
  Le32 flags;
  Le64 block;
  std::array<std::uint8_t, 16> uuid;
  Le64 magic;
  Le32 version;   // thin_restore may write 1
  Le32 time;
  Le64 transaction_id;
  Le64 held_root;   // block of the metadata snapshot, 0: none
  PaddedMapRootDisk data_map;
  PaddedMapRootDisk metadata_map;
  Le64 mapping_root;
  Le64 details_root;
  Le32 data_block_sectors;
  Le32 metadata_block_sectors;
  Le64 metadata_blocks;   // when it was formatted: the metadata map knows the present size
  Le32 compat_flags;
  Le32 compat_ro_flags;
  Le32 incompat_flags;
};
static_assert(sizeof(SuperblockDisk) == 364 && alignof(SuperblockDisk) == 1);
static_assert(offsetof(SuperblockDisk, magic) == 32 && offsetof(SuperblockDisk, held_root) == 56);
static_assert(offsetof(SuperblockDisk, data_map) == 64);
static_assert(offsetof(SuperblockDisk, metadata_map) == 192);
static_assert(offsetof(SuperblockDisk, mapping_root) == 320);
static_assert(offsetof(SuperblockDisk, incompat_flags) == 360);

// Device tree: thin id -> this.
struct DetailsDisk {
  Le64 mapped_blocks;
  Le64 transaction_id;   // the pool's when the device was made
  Le32 creation_time;
  Le32 snapshotted_time;
};
static_assert(sizeof(DetailsDisk) == 24 && alignof(DetailsDisk) == 1);

// Mapping tree, lower level: virtual block -> data block and the time it was mapped at.
inline constexpr std::uint32_t kTimeBits = 24;

struct BlockTime {
  DataBlock block;
  std::uint32_t time = 0;
};
[[nodiscard]] inline BlockTime decode_block_time(const Le64& value) noexcept {
  return {.block = DataBlock{value.value() >> kTimeBits},
          .time = static_cast<std::uint32_t>(value.value() & ((1U << kTimeBits) - 1))};
}
[[nodiscard]] inline Le64 encode_block_time(BlockTime value) noexcept {
  Le64 disk;
  disk = value.block.value() << kTimeBits | value.time;
  return disk;
}

}   // namespace engine::thin
