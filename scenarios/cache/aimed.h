// What the aimed scenarios of caches have in common: one or two places, and blocks that fight for
// them.
#pragma once

#include <cstdint>
#include <string>

#include "scenarios/generate.h"

namespace scenarios::cache {

inline constexpr std::uint32_t kAimedBlockSectors = 64;

[[nodiscard]] inline Workload aimed(std::string scenario, std::uint32_t places,
                                    std::uint64_t blocks) {
  Workload workload;
  workload.scenario = std::move(scenario);
  workload.system.family = FamilyKind::cache;
  workload.system.block_sectors = kAimedBlockSectors;
  workload.system.cache.blocks = places;
  workload.system.cache.blocks_max = places;
  workload.system.cache.origin_blocks = blocks;
  return workload;
}

// Of one block.
[[nodiscard]] inline Operation write_of(std::uint64_t block, std::uint64_t sectors = 1) {
  return {.verb = Verb::write, .sector = block * kAimedBlockSectors, .sectors = sectors};
}
[[nodiscard]] inline Operation read_of(std::uint64_t block) {
  return {.verb = Verb::read, .sector = block * kAimedBlockSectors, .sectors = 1};
}

}   // namespace scenarios::cache
