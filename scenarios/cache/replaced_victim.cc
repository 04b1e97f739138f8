// Seed 000: a block is thrown out of the cache for another while somebody is about to use it. The
// pieces: one place, two blocks, a policy that replaces whatever is there, dirty or not; where
// there is a fault, a writeback that fails, after which policy and cache may disagree about
// dirtiness.
#include "scenarios/cache/aimed.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {

rc::Gen<Workload> replaced_victim() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu menu{.verbs = {{4, Verb::write}, {3, Verb::read}},
                  .blocks = 2,
                  .block_sectors = kAimedBlockSectors};
  return rc::gen::map(
      rc::gen::tuple(draw(0, 16), operations(menu, 2), operations(menu, 2), operations(menu, 1)),
      [](const auto& drawn) {
        const auto& [options, first, second, third] = drawn;
        Workload workload = aimed("cache-replaced-victim", 1, 2);
        if (options % 2 == 1) workload.system.cache.policy = CachePolicy::direct;
        if (options % 4 == 2) workload.faults.data_write_errors = 1;
        // Block 0 is there, dirty, or clean after a restart.
        workload.setup = {write_of(0, kAimedBlockSectors)};
        if (options / 4 % 2 == 1) workload.setup.push_back({.verb = Verb::sleep, .sectors = 3000});
        workload.actors = {{"writer", first}, {"rival", second}};
        if (options / 8 == 1) workload.actors.push_back({"other", third});
        return workload;
      });
}

}   // namespace scenarios::cache
