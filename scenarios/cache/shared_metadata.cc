// Seed 001: a table is loaded beside the active one, on the same metadata device; what the active
// one does meanwhile must be known to the other when its turn comes. The order of the operations is
// the race; a power cut may add to it, and so may a second control program.
#include "scenarios/cache/aimed.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {

rc::Gen<Workload> shared_metadata() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu controlling{.verbs = {{3, Verb::load_cache},
                                   {3, Verb::bounce_cache},
                                   {1, Verb::clear_cache},
                                   {2, Verb::remake_cache}},
                         .blocks = 2,
                         .block_sectors = kAimedBlockSectors,
                         .policies = {CachePolicy::direct, CachePolicy::adversary}};
  const Menu writing{.verbs = {{4, Verb::write}, {3, Verb::read}, {2, Verb::flush}},
                     .blocks = 3,
                     .block_sectors = kAimedBlockSectors};
  const Menu others{.verbs = {{2, Verb::write}, {2, Verb::read}, {2, Verb::rival}},
                    .blocks = 3,
                    .block_sectors = kAimedBlockSectors};
  return rc::gen::map(rc::gen::tuple(draw(0, 12), operations(controlling, 4),
                                     operations(writing, 4), operations(others, 3)),
                      [](const auto& drawn) {
                        const auto& [options, first, second, third] = drawn;
                        Workload workload = aimed("cache-shared-metadata", 2, 3);
                        workload.system.cache.policy = CachePolicy::direct;
                        workload.system.cache.metadata2 = options % 2 == 1;
                        if (options % 3 == 1) workload.faults.power_cuts = 1;
                        if (options % 3 == 2) workload.faults.metadata_read_errors = 1;
                        workload.actors = {{"control", first}, {"other", third}};
                        // Two control programs alone are sooner in each other's way.
                        if (options % 4 != 0) workload.actors.push_back({"writer", second});
                        return workload;
                      });
}

}   // namespace scenarios::cache
