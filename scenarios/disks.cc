#include "scenarios/disks.h"

#include <algorithm>

#include "engine/base/units.h"

namespace scenarios {
namespace {

// Room for what scenarios grow metadata by.
constexpr std::uint64_t kMetadataGrowthBlocks = 1024;

}   // namespace

std::vector<DiskSpec> disks_of(const SystemSpec& system) {
  const std::uint64_t metadata = system.metadata_blocks * engine::kMetaBlockSectors;
  std::vector<DiskSpec> disks{{"metadata", DiskRole::metadata, metadata,
                               metadata + kMetadataGrowthBlocks * engine::kMetaBlockSectors}};
  const auto add = [&](const char* name, std::uint64_t blocks, std::uint64_t blocks_max) {
    disks.push_back({name, DiskRole::data, blocks * system.block_sectors,
                     std::max(blocks, blocks_max) * system.block_sectors});
  };
  switch (system.family) {
    case FamilyKind::thin:
      add("data", system.data_device_blocks, 0);
      break;
    case FamilyKind::cache:
      add("fast", system.cache.blocks, system.cache.blocks_max);
      add("origin", system.cache.origin_blocks, 0);
      break;
  }
  return disks;
}

}   // namespace scenarios
