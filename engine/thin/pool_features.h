// What a pool's table line asks for.
#pragma once

#include <cstdint>

namespace engine::thin {

enum class DiscardPolicy : std::uint8_t {
  ignore,        // discards are refused
  no_passdown,   // blocks are unmapped; the data device is not told
  passdown,      // and the data device is told
};

struct PoolFeatures {
  bool zero_new_blocks = true;
  DiscardPolicy discard = DiscardPolicy::passdown;
  bool says_no_passdown = false;   // which means nothing beside `ignore`, but is in the table
  bool read_only = false;
  bool error_if_no_space = false;

  friend bool operator==(const PoolFeatures&, const PoolFeatures&) = default;
};

struct PoolConfig {
  PoolFeatures features;
  std::uint64_t low_water_blocks = 0;
  std::uint64_t data_blocks = 0;   // the length of the table
  std::uint64_t table = 0;         // tells tables apart: binding one twice is a plain resume
};

}   // namespace engine::thin
