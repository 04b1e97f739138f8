// A discarded block that is written again enters the cache without a copy of what the origin holds:
// nobody misses that. Somebody does as soon as another write has been to the origin. The pieces:
// blocks that are discarded again and again, several who write them at the same time, and so few
// cells that most have to wait for one.
#include "scenarios/cache/aimed.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {
namespace {

Workload draw_discarded_blocks(Draw& draw) {
  const std::uint32_t places = 1 + draw.below(2);
  const std::uint64_t blocks = places + draw.below(2);
  Workload workload = aimed("cache-discarded-blocks", places, blocks);
  SystemSpec& system = workload.system;
  system.cells = draw.of<std::uint32_t>({1, 1, 1, 2, 0});
  system.no_discard_passdown = draw.one_in(4);
  system.discard_reads =
      draw.of({DiscardReads::garbage, DiscardReads::zeroes, DiscardReads::old_data});
  system.cache.policy = draw.of({CachePolicy::adversary, CachePolicy::adversary,
                                 CachePolicy::adversary, CachePolicy::direct, CachePolicy::smq});
  if (draw.one_in(4)) workload.faults.power_cuts = 1;
  if (draw.one_in(3)) {
    workload.faults.data_latency_ms = 5;
    workload.faults.slow_at = draw.of({SlowAt::all, SlowAt::discards});
  }
  for (std::uint64_t block = 0; block < blocks; ++block) {
    if (draw.one_in(2)) workload.setup.push_back(write_of(block, kAimedBlockSectors));
  }
  workload.setup.push_back({.verb = Verb::discard, .sectors = blocks * kAimedBlockSectors});
  const Menu menu{.verbs = {}, .blocks = blocks, .block_sectors = kAimedBlockSectors};
  const Weights verbs{{8, Verb::write}, {3, Verb::read}, {3, Verb::discard}, {1, Verb::flush}};
  workload.actors = Phrases{menu, draw}.actors(verbs, 3 + draw.below(2), 3);
  return workload;
}

}   // namespace

rc::Gen<Workload> discarded_blocks() {
  return drawn_by(&draw_discarded_blocks);
}

}   // namespace scenarios::cache
