// A resume takes the mark of a clean shutdown away, which may fail half-way: the superblock is in
// the disk's volatile cache, and whoever looks finds it there. It is tried again, writes come, and
// the power goes. The pieces: blocks that are all in the cache, so that nothing else is committed;
// suspends and resumes; a metadata disk that fails; writes and flushes.
#include "scenarios/cache/aimed.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {
namespace {

Workload draw_failed_resume(Draw& draw) {
  const std::uint32_t blocks = 1 + draw.below(2);
  Workload workload = aimed("cache-failed-resume", blocks, blocks);
  CacheSpec& cache = workload.system.cache;
  cache.policy = CachePolicy::direct;
  cache.metadata2 = draw.one_in(2);
  if (draw.one_in(2)) workload.system.commit_interval_ms = 0;
  workload.faults.power_cuts = 1;
  workload.faults.metadata_write_errors = 1 + draw.below(2);
  for (std::uint32_t block = 0; block < blocks; ++block)
    workload.setup.push_back(draw.one_in(2) ? read_of(block) : write_of(block));
  const Menu menu{.verbs = {}, .blocks = blocks, .block_sectors = kAimedBlockSectors};
  Phrases phrases{menu, draw};
  const Weights controlling{{5, Verb::bounce_cache},
                            {2, Verb::remake_cache},
                            {1, Verb::reload_cache},
                            {1, Verb::write},
                            {1, Verb::sleep}};
  const Weights writing{{6, Verb::write}, {4, Verb::flush}, {1, Verb::read}};
  workload.actors = {{"control", phrases.operations(controlling, 3)},
                     {"writer", phrases.operations(writing, 5)}};
  return workload;
}

}   // namespace

rc::Gen<Workload> failed_resume() {
  return drawn_by(&draw_failed_resume);
}

}   // namespace scenarios::cache
