// How much a cache may have in flight, and its timer. Defaults suit a server; the tank makes the
// numbers small, so that everything runs out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/units.h"
#include "engine/io/copier.h"

namespace engine::cache {

struct CacheOptions {
  // How often the policy ages and is asked for blocks to write back. 0: never by itself.
  Nanos tick_interval = std::chrono::seconds{1};
  std::size_t migrations_max = 1024;   // blocks being promoted, demoted, written back, invalidated
  std::size_t discards_max = 64;       // discards being worked on
  // Cells that map() may hold; without one a bio goes to the worker.
  std::size_t caller_cells_max = 4096;
  // Origin blocks that one cell covers at most; longer discards are done piece by piece. A power of
  // two. Raised to one discard block where that is more.
  std::uint64_t cell_blocks_max = 256;
  io::CopierOptions copier{};

  // See MetadataOptions.
  std::uint32_t metadata_fan_out = 0;
  std::uint32_t metadata_array_entries = 0;
  std::size_t metadata_memory_blocks = 0;
};

}   // namespace engine::cache
