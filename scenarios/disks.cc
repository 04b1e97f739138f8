#include "scenarios/disks.h"

#include <algorithm>

#include "engine/base/units.h"
#include "scenarios/stack/parts.h"

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
      if (system.external_sectors != 0) {
        disks.push_back(
            {kExternalOrigin, DiskRole::data, system.external_sectors, system.external_sectors});
      }
      if (system.spare_disk) add(kSpareDisk, system.data_device_blocks, 0);
      add("data", system.data_device_blocks, 0);
      break;
    case FamilyKind::cache:
      add("fast", system.cache.blocks, system.cache.blocks_max);
      add("origin", system.cache.origin_blocks, 0);
      disks.back().sectors += system.cache.tail_sectors;
      disks.back().sectors_max += system.cache.tail_sectors;
      break;
    case FamilyKind::stack: {
      disks.push_back(disks.front());
      disks.back().name = stack::kCacheMetadata;
      const std::uint64_t block = system.stack.cache_block_sectors;
      disks.push_back({"fast", DiskRole::data, system.cache.blocks * block,
                       std::max(system.cache.blocks, system.cache.blocks_max) * block});
      const std::uint64_t data =
          stack::kLinearOffset + system.data_device_blocks * system.block_sectors;
      disks.push_back({"data", DiskRole::data, data, data});
      break;
    }
  }
  return disks;
}

SystemSpec shape_of(const SystemSpec& system) {
  SystemSpec shape;
  shape.family = system.family;
  shape.metadata_blocks = system.metadata_blocks;
  shape.block_sectors = system.block_sectors;
  shape.fan_out = system.fan_out;
  if (system.family != FamilyKind::cache) {
    shape.data_blocks = system.data_blocks;
    shape.data_device_blocks = system.data_device_blocks;
  }
  if (system.family != FamilyKind::thin) {
    shape.cache = system.cache;
    shape.cache.threshold = CacheSpec{}.threshold;
    shape.cache.drained = CacheSpec{}.drained;
  }
  if (system.family == FamilyKind::stack) shape.stack = system.stack;
  return shape;
}

}   // namespace scenarios
