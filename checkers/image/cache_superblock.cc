// Rules 1 and 2 for caches: what a superblock alone can break.
#include <algorithm>

#include <fmt/format.h>

#include "checkers/image/cache_check.h"
#include "checkers/image/cache_format.h"

namespace checkers::image {

using thin_format::at;
using thin_format::load32;
using thin_format::load64;

CacheSuperblock parse_cache_superblock(const std::byte* bytes) {
  constexpr auto& kFields = cache_format::kSuperblockFields;
  CacheSuperblock super;
  const auto* name = reinterpret_cast<const char*>(bytes + at(kFields, "policy_name"));
  const auto* end = std::find(name, name + cache_format::kPolicyNameSize, '\0');
  super.policy_name.assign(name, end);
  super.policy_name_terminated = name[cache_format::kPolicyNameSize - 1] == '\0';
  super.magic = load64(bytes, at(kFields, "magic"));
  super.flags = load32(bytes, at(kFields, "flags"));
  super.version = load32(bytes, at(kFields, "version"));
  super.policy_hint_size = load32(bytes, at(kFields, "policy_hint_size"));
  for (std::size_t i = 0; i < super.policy_version.size(); ++i)
    super.policy_version[i] = load32(bytes, at(kFields, "policy_version") + 4 * i);
  super.metadata_map = parse_map_root(bytes + at(kFields, "metadata_space_map_root"));
  super.mapping_root = load64(bytes, at(kFields, "mapping_root"));
  super.hint_root = load64(bytes, at(kFields, "hint_root"));
  super.discard_root = load64(bytes, at(kFields, "discard_root"));
  super.dirty_root = load64(bytes, at(kFields, "dirty_root"));
  super.discard_block_size = load64(bytes, at(kFields, "discard_block_size"));
  super.discard_nr_blocks = load64(bytes, at(kFields, "discard_nr_blocks"));
  super.data_block_size = load32(bytes, at(kFields, "data_block_size"));
  super.metadata_block_size = load32(bytes, at(kFields, "metadata_block_size"));
  super.cache_blocks = load32(bytes, at(kFields, "cache_blocks"));
  super.compat_flags = load32(bytes, at(kFields, "compat_flags"));
  super.compat_ro_flags = load32(bytes, at(kFields, "compat_ro_flags"));
  super.incompat_flags = load32(bytes, at(kFields, "incompat_flags"));
  super.read_hits = load32(bytes, at(kFields, "read_hits"));
  super.read_misses = load32(bytes, at(kFields, "read_misses"));
  super.write_hits = load32(bytes, at(kFields, "write_hits"));
  super.write_misses = load32(bytes, at(kFields, "write_misses"));
  return super;
}

bool check_cache_superblock(const CacheSuperblock& super, const std::byte* bytes,
                            std::uint64_t device_blocks, Findings& findings) {
  const auto say = [&](Severity severity, const char* field, std::uint64_t found,
                       std::string expected) {
    findings.add(Rule::superblock_fields, severity, 0, field, fmt::format("{}", found),
                 std::move(expected));
  };
  if (super.magic != cache_format::kMagic) {
    say(Severity::fatal, "magic", super.magic, fmt::format("{}", cache_format::kMagic));
    return false;
  }
  if (super.version != 1 && super.version != 2) {
    // Nothing behind it need mean what it means in those.
    say(Severity::fatal, "version", super.version, "1 or 2");
    return false;
  }
  constexpr std::uint32_t kFlags = cache_format::kFlagClean | cache_format::kFlagNeedsCheck;
  if ((super.flags & ~kFlags) != 0)
    say(Severity::fatal, "flags", super.flags, "only bits 0 (clean) and 1 (needs_check)");
  if (super.metadata_block_size != thin_format::kMetadataBlockSectors)
    say(Severity::fatal, "metadata_block_size", super.metadata_block_size, "8");
  const std::uint32_t size = super.data_block_size;
  if (size < cache_format::kDataBlockSectorsLeast || size > cache_format::kDataBlockSectorsMost ||
      size % cache_format::kDataBlockSectorsLeast != 0)
    say(Severity::fatal, "data_block_size", size, "a multiple of 64 from 64 to 2097152");
  if (super.compat_flags != 0) say(Severity::fatal, "compat_flags", super.compat_flags, "0");
  if (super.compat_ro_flags != 0)
    say(Severity::fatal, "compat_ro_flags", super.compat_ro_flags, "0");
  if (super.incompat_flags != 0) say(Severity::fatal, "incompat_flags", super.incompat_flags, "0");
  if (!super.policy_name_terminated)
    findings.add(Rule::superblock_fields, Severity::fatal, 0, "policy_name", "16 characters",
                 "at most 15 and a zero");
  if (super.cache_blocks == 0) {
    say(Severity::repairable, "cache_blocks", 0, "at least 1: the cache has never been activated");
  }
  constexpr auto& kFields = cache_format::kSuperblockFields;
  for (std::size_t i = 0; i < 16; i += 8) {
    if (load64(bytes, at(kFields, "uuid") + i) == 0) continue;
    findings.add(Rule::superblock_fields, Severity::warn, 0, "uuid", "not 0", "0: nobody uses it");
    break;
  }
  const std::size_t used =
      super.version == 1 ? cache_format::kSuperblockUsed1 : cache_format::kSuperblockUsed2;
  for (std::size_t i = used; i < kImageBlockSize; i += 4) {
    if (load32(bytes, i) == 0) continue;
    findings.add(Rule::superblock_fields, Severity::warn, 0, fmt::format("bytes from {}", i),
                 "not 0", "0 to the end of the block");
    break;
  }
  const std::uint64_t blocks = super.metadata_map.nr_blocks;
  const std::uint64_t most = std::min(device_blocks, thin_format::kMetadataBlocksMax);
  if (blocks == 0 || blocks > most) {
    findings.add(Rule::block_identity, Severity::fatal, 0, "metadata_space_map_root.nr_blocks",
                 fmt::format("{}", blocks), fmt::format("from 1 to {}", most));
  }
  return true;
}

}   // namespace checkers::image
