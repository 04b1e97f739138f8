// The bytes of dm-cache metadata as the checker reads them, where they differ from those of a thin
// pool (thin_format.h): superblock, blocks of arrays. Written from the format alone and shared with
// no writer of it; docs/format/cache.md holds the same tables and a test compares the two.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "checkers/image/thin_format.h"

namespace checkers::image::cache_format {

using thin_format::Field;

inline constexpr std::uint32_t kSuperblockSalt = 9031977;
inline constexpr std::uint32_t kArraySalt = 595846735;
inline constexpr std::uint64_t kMagic = 0x18c403;
inline constexpr std::uint32_t kFlagClean = 1;
inline constexpr std::uint32_t kFlagNeedsCheck = 2;
inline constexpr std::size_t kSuperblockUsed1 = 284;   // zero from here on in version 1
inline constexpr std::size_t kSuperblockUsed2 = 292;   // and from here in version 2
inline constexpr std::size_t kPolicyNameSize = 16;

inline constexpr std::array kSuperblockFields{
    Field{"csum", 0, 4},
    Field{"flags", 4, 4},
    Field{"blocknr", 8, 8},
    Field{"uuid", 16, 16},
    Field{"magic", 32, 8},
    Field{"version", 40, 4},
    Field{"policy_name", 44, 16},
    Field{"policy_hint_size", 60, 4},
    Field{"metadata_space_map_root", 64, 128},
    Field{"mapping_root", 192, 8},
    Field{"hint_root", 200, 8},
    Field{"discard_root", 208, 8},
    Field{"discard_block_size", 216, 8},
    Field{"discard_nr_blocks", 224, 8},
    Field{"data_block_size", 232, 4},
    Field{"metadata_block_size", 236, 4},
    Field{"cache_blocks", 240, 4},
    Field{"compat_flags", 244, 4},
    Field{"compat_ro_flags", 248, 4},
    Field{"incompat_flags", 252, 4},
    Field{"read_hits", 256, 4},
    Field{"read_misses", 260, 4},
    Field{"write_hits", 264, 4},
    Field{"write_misses", 268, 4},
    Field{"policy_version", 272, 12},
    Field{"dirty_root", 284, 8},
};

inline constexpr std::array kArrayFields{
    Field{"csum", 0, 4},        Field{"max_entries", 4, 4}, Field{"nr_entries", 8, 4},
    Field{"value_size", 12, 4}, Field{"blocknr", 16, 8},
};
inline constexpr std::size_t kArrayHeader = 24;
inline constexpr std::size_t kArrayNumberOffset = 16;

// How many values a full block of an array holds.
constexpr std::uint32_t array_entries(std::uint32_t value_size) {
  return (4096 - static_cast<std::uint32_t>(kArrayHeader)) / value_size;
}

inline constexpr std::uint64_t kMappingValid = 1;
inline constexpr std::uint64_t kMappingDirty = 2;   // version 1
inline constexpr unsigned kMappingFlagBits = 16;

inline constexpr std::uint32_t kDataBlockSectorsLeast = 64;
inline constexpr std::uint32_t kDataBlockSectorsMost = 2097152;
inline constexpr std::uint64_t kDiscardBlocksMost = 16384 + 1;   // with a part of one at the end

}   // namespace checkers::image::cache_format
