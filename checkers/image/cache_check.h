// The offline checker of dm-cache metadata: every rule of docs/format/cache-checker.md, on a
// committed image, hostile or not. It reads and reports; it shares no code with what writes
// metadata.
//
// Not checked: the data on either device; that what a clean shutdown stored is what was true then;
// statistics, hints' values and uuid, which may be anything.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkers/image/block_source.h"
#include "checkers/image/findings.h"
#include "checkers/image/thin_check.h"

namespace checkers::image {

struct CacheCheckOptions {
  // Size of the origin in data blocks. Without it what a clean shutdown stored of the discard
  // bitset bounds it.
  std::optional<std::uint64_t> origin_blocks;
  // Entries of a full array block; 0: Linux's. Only the tank makes other ones.
  std::uint32_t array_entries{0};
  std::size_t findings_per_rule{20};
};

struct CacheSuperblock {
  std::uint64_t magic{0};
  std::uint32_t flags{0};
  std::uint32_t version{0};
  std::string policy_name;
  bool policy_name_terminated{false};
  std::uint32_t policy_hint_size{0};
  std::array<std::uint32_t, 3> policy_version{};
  SpaceMapRoot metadata_map;
  std::uint64_t mapping_root{0};
  std::uint64_t hint_root{0};
  std::uint64_t discard_root{0};
  std::uint64_t dirty_root{0};
  std::uint64_t discard_block_size{0};
  std::uint64_t discard_nr_blocks{0};
  std::uint32_t data_block_size{0};
  std::uint32_t metadata_block_size{0};
  std::uint32_t cache_blocks{0};
  std::uint32_t compat_flags{0};
  std::uint32_t compat_ro_flags{0};
  std::uint32_t incompat_flags{0};
  std::uint32_t read_hits{0};
  std::uint32_t read_misses{0};
  std::uint32_t write_hits{0};
  std::uint32_t write_misses{0};

  [[nodiscard]] bool clean() const { return (flags & 1U) != 0; }
  [[nodiscard]] bool needs_check() const { return (flags & 2U) != 0; }
};
[[nodiscard]] CacheSuperblock parse_cache_superblock(const std::byte* bytes);
// Checks the fields of block 0. False when nothing behind it can be walked.
[[nodiscard]] bool check_cache_superblock(const CacheSuperblock& super, const std::byte* bytes,
                                          std::uint64_t device_blocks, Findings& findings);

struct CacheMapping {
  std::uint32_t cache_block{0};
  std::uint64_t origin_block{0};
  bool dirty{false};   // as stored: means something only after a clean shutdown
  std::uint32_t hint{0};
  friend bool operator==(const CacheMapping&, const CacheMapping&) = default;
};

struct CacheReport {
  Findings findings;
  bool readable{false};   // the superblock could be made sense of; else nothing below is filled
  CacheSuperblock superblock;
  bool complete{false};   // every reachable block was read: counts are exact
  std::uint64_t metadata_allocated{0};
  std::uint64_t blocks_read{0};
  std::vector<CacheMapping> mappings;     // by cache block
  std::vector<std::uint64_t> discarded;   // discard blocks whose bit is set

  [[nodiscard]] CheckOutcome outcome() const { return outcome_of(findings); }
  // 0 clean (warnings are no damage), 1 leaks only, 2 damaged.
  [[nodiscard]] int exit_code() const { return static_cast<int>(outcome()); }
};

[[nodiscard]] CacheReport check_cache(BlockSource& source, const CacheCheckOptions& options = {});

}   // namespace checkers::image
