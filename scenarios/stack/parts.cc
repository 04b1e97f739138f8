#include "scenarios/stack/parts.h"

#include <algorithm>

namespace scenarios::stack {

Parts::Parts(const Workload& whole) : thin{whole}, cache{whole} {
  SystemSpec& cached = cache.system;
  const SystemSpec& system = whole.system;
  // A block size of 0 is refused by the table.
  const std::uint64_t block = std::max(system.stack.cache_block_sectors, 1U);
  std::uint64_t blocks = system.data_device_blocks;
  if (system.stack.shape == StackShape::cache_over_thin)
    blocks = system.thins.empty() ? 0 : system.thins.front().blocks;
  cached.block_sectors = system.stack.cache_block_sectors;
  cached.cache.origin_blocks = blocks * system.block_sectors / block;
  // Only volume 0 is a cache's, and discards that reach it go no further.
  thin.system.family = FamilyKind::thin;
  cached.family = FamilyKind::cache;
}

}   // namespace scenarios::stack
