// The bytes of dm-thin metadata as the checker reads them: offsets, sizes, limits. Written from the
// format alone and shared with no writer of it; docs/format/ holds the same tables and a test
// compares the two. All integers are little-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace checkers::image::thin_format {

struct Field {
  std::string_view name;
  std::size_t offset;
  std::size_t size;
};

// Checksums: CRC-32C over bytes 4..4095, register preset to ones, not inverted at the end, xored
// with a constant of the block's type.
inline constexpr std::uint32_t kSuperblockSalt = 160774;
inline constexpr std::uint32_t kNodeSalt = 121107;
inline constexpr std::uint32_t kIndexSalt = 160478;
inline constexpr std::uint32_t kBitmapSalt = 240779;
inline constexpr std::size_t kChecksumOffset = 0;
inline constexpr std::size_t kBlockNumberOffset = 8;   // in every type of block but arrays'

inline constexpr std::uint64_t kMagic = 27022010;
inline constexpr std::uint32_t kFlagNeedsCheck = 1;
inline constexpr std::size_t kSuperblockUsed = 364;   // zero from here to the block's end

inline constexpr std::array kSuperblockFields{
    Field{"csum", 0, 4},
    Field{"flags", 4, 4},
    Field{"blocknr", 8, 8},
    Field{"uuid", 16, 16},
    Field{"magic", 32, 8},
    Field{"version", 40, 4},
    Field{"time", 44, 4},
    Field{"trans_id", 48, 8},
    Field{"held_root", 56, 8},
    Field{"data_space_map_root", 64, 128},
    Field{"metadata_space_map_root", 192, 128},
    Field{"data_mapping_root", 320, 8},
    Field{"device_details_root", 328, 8},
    Field{"data_block_size", 336, 4},
    Field{"metadata_block_size", 340, 4},
    Field{"metadata_nr_blocks", 344, 8},
    Field{"compat_flags", 352, 4},
    Field{"compat_ro_flags", 356, 4},
    Field{"incompat_flags", 360, 4},
};
inline constexpr std::array kSpaceMapRootFields{
    Field{"nr_blocks", 0, 8},
    Field{"nr_allocated", 8, 8},
    Field{"bitmap_root", 16, 8},
    Field{"ref_count_root", 24, 8},
};
inline constexpr std::array kNodeFields{
    Field{"csum", 0, 4},        Field{"flags", 4, 4},        Field{"blocknr", 8, 8},
    Field{"nr_entries", 16, 4}, Field{"max_entries", 20, 4}, Field{"value_size", 24, 4},
    Field{"padding", 28, 4},
};
inline constexpr std::array kBitmapFields{Field{"csum", 0, 4}, Field{"unused", 4, 4},
                                          Field{"blocknr", 8, 8}, Field{"pairs", 16, 4080}};
inline constexpr std::array kIndexBlockFields{Field{"csum", 0, 4}, Field{"padding", 4, 4},
                                              Field{"blocknr", 8, 8}, Field{"index", 16, 4080}};
inline constexpr std::array kIndexEntryFields{Field{"bitmap", 0, 8}, Field{"nr_free", 8, 4},
                                              Field{"none_free_before", 12, 4}};
inline constexpr std::array kDetailsFields{
    Field{"mapped_blocks", 0, 8}, Field{"transaction_id", 8, 8}, Field{"creation_time", 16, 4},
    Field{"snapshotted_time", 20, 4}};

// Offset of a field by name; a name that is not there does not compile.
template <std::size_t N>
consteval std::size_t at(const std::array<Field, N>& fields, std::string_view name) {
  for (const Field& field : fields) {
    if (field.name == name) return field.offset;
  }
  throw "no such field";
}

inline constexpr std::uint32_t kInternal = 1;
inline constexpr std::uint32_t kLeaf = 2;
inline constexpr std::size_t kNodeHeader = 32;
inline constexpr std::uint32_t kMaxEntriesLeast = 6;   // two thirds-full siblings hold 2 each
inline constexpr std::uint32_t kInternalValueSize = 8;

inline constexpr std::uint64_t kEntriesPerBitmap = 16320;
inline constexpr std::uint64_t kMetadataIndexEntries = 255;
inline constexpr std::uint64_t kMetadataBlocksMax = kMetadataIndexEntries * kEntriesPerBitmap;
inline constexpr std::uint32_t kOverflowLeast = 3;

inline constexpr std::uint64_t kDeviceIdEnd = std::uint64_t{1} << 24;
inline constexpr std::uint32_t kTimeEnd = std::uint32_t{1} << 24;
inline constexpr unsigned kTimeBits = 24;
inline constexpr std::uint32_t kMetadataBlockSectors = 8;
inline constexpr std::uint32_t kDataBlockSectorsLeast = 128;
inline constexpr std::uint32_t kDataBlockSectorsMost = 2097152;

// The most entries that a node holds, given the size of its values.
constexpr std::uint32_t max_entries(std::uint32_t value_size) {
  return (4096 - static_cast<std::uint32_t>(kNodeHeader)) / (8 + value_size) / 3 * 3;
}

template <typename T>
[[nodiscard]] inline T load(const std::byte* bytes, std::size_t offset) {
  static_assert(std::endian::native == std::endian::little, "loads are plain copies");
  T value{};
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
}
[[nodiscard]] inline std::uint32_t load32(const std::byte* bytes, std::size_t offset) {
  return load<std::uint32_t>(bytes, offset);
}
[[nodiscard]] inline std::uint64_t load64(const std::byte* bytes, std::size_t offset) {
  return load<std::uint64_t>(bytes, offset);
}

// What the checksum field of a block must hold.
[[nodiscard]] std::uint32_t checksum(const std::byte* block, std::uint32_t salt);

// Reference count that a bitmap stores for its entry `index`; 3 stands for "see the overflow tree".
// The lower bit of a pair is the twos bit.
[[nodiscard]] inline unsigned pair_at(const std::byte* bitmap, std::uint64_t index) {
  const auto byte = std::to_integer<unsigned>(bitmap[16 + index / 4]);
  const unsigned pair = byte >> (2 * (index % 4));
  return ((pair & 1U) << 1U) | ((pair >> 1U) & 1U);
}

}   // namespace checkers::image::thin_format
