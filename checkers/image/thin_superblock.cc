#include "checkers/image/thin_superblock.h"

#include <algorithm>

#include <fmt/format.h>

#include "checkers/image/thin_format.h"

namespace checkers::image {
namespace {

// The fields that block 0 and the held copy have in common, reported under `rule`.
bool check_common(const Superblock& super, const std::byte* bytes, Rule rule, Findings& findings) {
  const auto wrong = [&](const char* field, std::uint64_t found, std::string expected) {
    findings.add(rule, Severity::fatal, super.block, field, fmt::format("{}", found),
                 std::move(expected));
  };
  if (super.magic != thin_format::kMagic) {
    wrong("magic", super.magic, fmt::format("{}", thin_format::kMagic));
    return false;
  }
  if (super.metadata_block_size != thin_format::kMetadataBlockSectors) {
    wrong("metadata_block_size", super.metadata_block_size, "8");
  }
  const std::uint32_t size = super.data_block_size;
  if (size < thin_format::kDataBlockSectorsLeast || size > thin_format::kDataBlockSectorsMost ||
      size % thin_format::kDataBlockSectorsLeast != 0) {
    wrong("data_block_size", size, "a multiple of 128 from 128 to 2097152");
  }
  if ((super.flags & ~thin_format::kFlagNeedsCheck) != 0) {
    wrong("flags", super.flags, "0 or 1 (needs_check)");
  }
  if (super.compat_flags != 0) wrong("compat_flags", super.compat_flags, "0");
  if (super.compat_ro_flags != 0) wrong("compat_ro_flags", super.compat_ro_flags, "0");
  if (super.incompat_flags != 0) wrong("incompat_flags", super.incompat_flags, "0");
  if (super.version != 1 && super.version != 2) {
    findings.add(rule, Severity::warn, super.block, "version", fmt::format("{}", super.version),
                 "1 or 2");
  }
  if (super.time >= thin_format::kTimeEnd) {
    findings.add(Rule::times, Severity::fatal, super.block, "time", fmt::format("{}", super.time),
                 fmt::format("below {}", thin_format::kTimeEnd));
  }
  for (std::size_t at = thin_format::kSuperblockUsed; at < kImageBlockSize; at += 4) {
    if (thin_format::load32(bytes, at) == 0) continue;
    findings.add(rule, Severity::warn, super.block, fmt::format("bytes from {}", at), "not 0",
                 "0 to the end of the block");
    break;
  }
  return true;
}

}   // namespace

bool check_superblock(const Superblock& super, const std::byte* bytes, std::uint64_t device_blocks,
                      Findings& findings) {
  if (!check_common(super, bytes, Rule::superblock_fields, findings)) return false;
  const std::uint64_t blocks = super.metadata_map.nr_blocks;
  const std::uint64_t most = std::min(device_blocks, thin_format::kMetadataBlocksMax);
  if (blocks == 0 || blocks > most) {
    findings.add(Rule::block_identity, Severity::fatal, 0, "metadata_space_map_root.nr_blocks",
                 fmt::format("{}", blocks), fmt::format("from 1 to {}", most));
  }
  if (super.metadata_nr_blocks > blocks) {
    findings.add(Rule::superblock_fields, Severity::warn, 0, "metadata_nr_blocks",
                 fmt::format("{}", super.metadata_nr_blocks),
                 fmt::format("at most {}, as the space map says", blocks));
  }
  return true;
}

bool check_held(const Superblock& held, const std::byte* bytes, const Superblock& super,
                Findings& findings) {
  if (!check_common(held, bytes, Rule::held_root, findings)) return false;
  const auto wrong = [&](const char* field, std::uint64_t found, std::string expected) {
    findings.add(Rule::held_root, Severity::fatal, held.block, field, fmt::format("{}", found),
                 std::move(expected));
  };
  if (held.held_root != 0) wrong("held_root", held.held_root, "0 in the held copy");
  constexpr auto& kFields = thin_format::kSuperblockFields;
  for (const char* name : {"data_space_map_root", "metadata_space_map_root"}) {
    const auto field =
        std::find_if(kFields.begin(), kFields.end(), [&](const auto& f) { return f.name == name; });
    for (std::size_t i = 0; i < 32; i += 8) {
      const std::uint64_t word = thin_format::load64(bytes, field->offset + i);
      if (word == 0) continue;
      wrong(name, word, "32 zero bytes in the held copy");
      break;
    }
  }
  if (held.data_block_size != super.data_block_size) {
    wrong("data_block_size", held.data_block_size,
          fmt::format("{}, as in the superblock", super.data_block_size));
  }
  if (held.time > super.time) {
    wrong("time", held.time, fmt::format("at most {}, as in the superblock", super.time));
  }
  return true;
}

}   // namespace checkers::image
