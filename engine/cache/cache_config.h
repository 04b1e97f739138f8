// What a cache's table line asks for, and the modes that a cache may be in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace engine::cache {

// Where a write goes, and when it ends.
enum class IoMode : std::uint8_t {
  writeback,      // to the fast device, if the block is there
  writethrough,   // to the origin, then to the fast device: both always hold the same
  passthrough,    // to the origin alone: a cached block that is written leaves the cache
};

[[nodiscard]] constexpr const char* to_string(IoMode mode) noexcept {
  switch (mode) {
    case IoMode::writeback:
      return "writeback";
    case IoMode::writethrough:
      return "writethrough";
    case IoMode::passthrough:
      return "passthrough";
  }
  return "?";
}

// In the order in which a cache degrades; it never comes back in one activation.
enum class CacheMode : std::uint8_t {
  write,
  read_only,   // a change of the metadata failed: nothing moves any more, I/O goes on
  fail,        // not even that could be recorded
};

[[nodiscard]] constexpr const char* to_string(CacheMode mode) noexcept {
  switch (mode) {
    case CacheMode::write:
      return "write";
    case CacheMode::read_only:
      return "read_only";
    case CacheMode::fail:
      return "fail";
  }
  return "?";
}

inline constexpr std::uint64_t kMigrationThresholdDefault = 2048;   // sectors

struct CacheConfig {
  std::uint64_t sectors = 0;   // of the target
  std::uint32_t block_sectors = 0;
  IoMode io_mode = IoMode::writeback;
  bool metadata2 = false;
  bool no_discard_passdown = false;
  std::string policy;
  std::vector<std::pair<std::string, std::uint64_t>> settings;   // for the policy
  std::uint64_t migration_threshold = kMigrationThresholdDefault;
  std::string words;   // of the table, after the devices, as they were given
};

}   // namespace engine::cache
