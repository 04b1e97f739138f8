// Space maps on disk: reference counts in bitmap blocks of two bits an entry, index entries that
// point at the bitmaps, and an overflow tree (key = block, value = u32) for counts of 3 and more.
// Byte tables: docs/format/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/base/units.h"

namespace engine::pdata {

inline constexpr std::size_t kBlockHeaderSize = 16;   // checksum, four bytes, block number
inline constexpr std::uint64_t kEntriesPerBitmap = (kMetaBlockSize - kBlockHeaderSize) * 4;
inline constexpr std::size_t kMetadataBitmapsMax = 255;
inline constexpr std::uint64_t kMetadataBlocksMax = kMetadataBitmapsMax * kEntriesPerBitmap;
static_assert(kEntriesPerBitmap == 16320 && kMetadataBlocksMax == 4161600);

// 32 of the 128 bytes that a superblock has for each map; the rest is zero.
struct SpaceMapRootDisk {
  Le64 nr_blocks;
  Le64 nr_allocated;   // entries with a count above zero
  Le64 bitmap_root;    // data: root of the index tree; metadata: the index block
  Le64 ref_count_root;
};
static_assert(sizeof(SpaceMapRootDisk) == 32 && alignof(SpaceMapRootDisk) == 1);

// The same as values.
struct SpaceMapRoot {
  std::uint64_t nr_blocks = 0;
  std::uint64_t nr_allocated = 0;
  MetaBlock bitmap_root{0};
  MetaBlock ref_count_root{0};

  [[nodiscard]] static SpaceMapRoot decode(const SpaceMapRootDisk& disk) noexcept {
    return {.nr_blocks = disk.nr_blocks.value(),
            .nr_allocated = disk.nr_allocated.value(),
            .bitmap_root = MetaBlock{disk.bitmap_root.value()},
            .ref_count_root = MetaBlock{disk.ref_count_root.value()}};
  }
  void encode(SpaceMapRootDisk& disk) const noexcept {
    disk.nr_blocks = nr_blocks;
    disk.nr_allocated = nr_allocated;
    disk.bitmap_root = bitmap_root.value();
    disk.ref_count_root = ref_count_root.value();
  }
  friend bool operator==(const SpaceMapRoot&, const SpaceMapRoot&) noexcept = default;
};

struct IndexEntryDisk {
  Le64 bitmap_block;
  Le32 nr_free;            // kEntriesPerBitmap - entries in use, also in a last, partial bitmap
  Le32 none_free_before;   // no entry below this one is free
};
static_assert(sizeof(IndexEntryDisk) == 16 && alignof(IndexEntryDisk) == 1);

struct MetadataIndexDisk {
  Le32 checksum;
  Le32 padding;
  Le64 block;
  std::array<IndexEntryDisk, kMetadataBitmapsMax> entries;
};
static_assert(sizeof(MetadataIndexDisk) == kMetaBlockSize && alignof(MetadataIndexDisk) == 1);

}   // namespace engine::pdata
