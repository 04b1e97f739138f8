// The modes of a pool, in the order in which it degrades.
#pragma once

#include <cstdint>

namespace engine::thin {

class Pool;
class ThinDevice;
struct PoolCell;
struct DiscardChunk;
struct NewMapping;
struct Passdown;

enum class PoolMode : std::uint8_t {
  write,
  out_of_data_space,       // writes that need a block wait or fail; metadata is written as ever
  out_of_metadata_space,   // nothing is changed until the metadata device has grown
  read_only,
  fail,   // every bio fails, until the pool is destroyed
};

[[nodiscard]] constexpr const char* to_string(PoolMode mode) noexcept {
  switch (mode) {
    case PoolMode::write:
      return "write";
    case PoolMode::out_of_data_space:
      return "out_of_data_space";
    case PoolMode::out_of_metadata_space:
      return "out_of_metadata_space";
    case PoolMode::read_only:
      return "read_only";
    case PoolMode::fail:
      return "fail";
  }
  return "?";
}

// May metadata change in this mode?
[[nodiscard]] constexpr bool changes_metadata(PoolMode mode) noexcept {
  return mode <= PoolMode::out_of_data_space;
}

}   // namespace engine::thin
