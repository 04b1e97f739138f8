// How much a pool may have in flight, and its two timers. Defaults are the kernel's where it has
// them; the tank makes the numbers small, so that everything runs out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/units.h"
#include "engine/io/copier.h"

namespace engine::thin {

struct PoolOptions {
  // Changes are committed at the latest this long after the commit before them. 0: only when
  // somebody asks: a flush, a message, a status, a suspend.
  Nanos commit_interval = std::chrono::seconds{1};
  // How long bios wait for space before the pool errors them. 0: for ever.
  Nanos no_space_timeout = std::chrono::seconds{60};

  std::size_t mappings_max = 1024;    // blocks being provisioned or copied
  std::size_t passdowns_max = 1024;   // runs of blocks being discarded on the data device
  std::size_t discards_max = 256;     // discards being worked on
  // Cells that map() may hold; without one a bio goes to the worker.
  std::size_t caller_cells_max = 4096;
  // The longest virtual range one cell covers; longer discards are done piece by piece. A power of
  // two.
  std::uint64_t cell_blocks_max = 1024;
  io::CopierOptions copier{};

  // See MetadataOptions.
  std::uint32_t metadata_fan_out = 0;
  std::size_t metadata_cache_blocks = 0;
};

}   // namespace engine::thin
