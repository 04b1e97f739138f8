// An origin that ends within a block. What lies behind its last whole block goes past the cache,
// and so do parts of requests that begin in front of it. The pieces: few places, requests that end
// where the origin does, in every mode, and what waits for requests that are under way.
#include <algorithm>
#include <array>

#include "scenarios/cache/aimed.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {
namespace {

// Of the volume, that is: shorter, or somewhere else in the part behind the last block.
void fit(Operation& operation, std::uint64_t volume_sectors, Draw& draw) {
  if (!is_transfer(operation.verb) || operation.sector + operation.sectors <= volume_sectors)
    return;
  if (operation.sector >= volume_sectors) operation.sector = volume_sectors - 1;
  const auto left = static_cast<std::uint32_t>(volume_sectors - operation.sector);
  operation.sectors = draw.one_in(2) ? left : 1 + draw.below(left);
}

Workload draw_partial_block(Draw& draw) {
  const std::uint32_t places = 1 + draw.below(2);
  const std::uint64_t blocks = places + draw.below(2);
  Workload workload = aimed("cache-partial-block", places, blocks);
  CacheSpec& cache = workload.system.cache;
  cache.tail_sectors = draw.of<std::uint64_t>({1, 8, 33, 63});
  cache.io_mode = draw.of(
      {CacheIo::writeback, CacheIo::writeback, CacheIo::writethrough, CacheIo::passthrough});
  cache.policy = draw.of(
      {CachePolicy::adversary, CachePolicy::adversary, CachePolicy::direct, CachePolicy::smq});
  workload.system.cells = draw.one_in(3) ? 2 : 0;
  if (draw.one_in(3)) workload.faults.power_cuts = 1;
  if (draw.one_in(4)) workload.faults.data_write_errors = 1;
  const std::uint64_t volume = blocks * kAimedBlockSectors + cache.tail_sectors;
  const Menu menu{.verbs = {},
                  .blocks = blocks + 1,
                  .block_sectors = kAimedBlockSectors,
                  .io_modes = {CacheIo::writeback, CacheIo::writethrough, CacheIo::passthrough},
                  .policies = {CachePolicy::adversary, CachePolicy::direct, CachePolicy::cleaner}};
  const Weights verbs{{8, Verb::write},        {5, Verb::read},         {3, Verb::discard},
                      {2, Verb::flush},        {1, Verb::bounce_cache}, {1, Verb::reload_cache},
                      {1, Verb::remake_cache}, {1, Verb::invalidate}};
  workload.actors = Phrases{menu, draw}.actors(verbs, 2 + draw.below(2), 5);
  for (Actor& actor : workload.actors)
    for (Operation& operation : actor.operations)
      fit(operation, volume, draw);
  return workload;
}

}   // namespace

rc::Gen<Workload> partial_block() {
  return drawn_by(&draw_partial_block);
}

}   // namespace scenarios::cache
