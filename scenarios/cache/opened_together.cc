// Two tables open the same metadata at the same moment, of which one may take very long. The
// pieces: a cache that is removed and made again, a rival who comes meanwhile, a metadata disk that
// is slow at times; writes that are flushed, and a power cut.
#include "scenarios/cache/aimed.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {
namespace {

Workload draw_opened_together(Draw& draw) {
  const std::uint32_t places = 1 + draw.below(2);
  const std::uint64_t blocks = places + draw.below(2);
  Workload workload = aimed("cache-opened-together", places, blocks);
  workload.system.cache.policy = draw.one_in(4) ? CachePolicy::adversary : CachePolicy::direct;
  workload.system.cache.metadata2 = draw.one_in(2);
  if (!draw.one_in(4)) workload.faults.power_cuts = 1;
  if (!draw.one_in(4)) {
    workload.faults.slow_at = draw.of({SlowAt::all, SlowAt::reads, SlowAt::writes});
    workload.faults.metadata_latency_ms = draw.of<std::uint32_t>({0, 0, 5});
    workload.faults.stalls = 1 + draw.below(2);
    workload.faults.stall_ms = 2000;
  }
  const Menu menu{.verbs = {}, .blocks = blocks, .block_sectors = kAimedBlockSectors};
  Phrases phrases{menu, draw};
  const Weights controlling{{4, Verb::remake_cache}, {1, Verb::bounce_cache}, {1, Verb::write}};
  const Weights coming{{4, Verb::rival}, {1, Verb::status}};
  const Weights writing{{5, Verb::write}, {3, Verb::flush}, {1, Verb::read}};
  workload.actors = {{"control", phrases.operations(controlling, 3)},
                     {"rival", phrases.operations(coming, 4)},
                     {"writer", phrases.operations(writing, 4)}};
  return workload;
}

}   // namespace

rc::Gen<Workload> opened_together() {
  return drawn_by(&draw_opened_together);
}

}   // namespace scenarios::cache
