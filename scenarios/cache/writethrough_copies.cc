// Seed 003: a write in writethrough mode goes to both disks, or to one, as its block is cached or
// not, clean or dirty; and the block comes, goes and is cleaned meanwhile. The pieces: one place,
// two blocks, writethrough over what writeback left dirty, reads that promote and replace.
#include "scenarios/cache/aimed.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {

rc::Gen<Workload> writethrough_copies() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu writing{.verbs = {{4, Verb::write}, {1, Verb::read}, {1, Verb::flush}},
                     .blocks = 1,
                     .block_sectors = kAimedBlockSectors};
  const Menu moving{.verbs = {{4, Verb::read}, {1, Verb::write}, {1, Verb::sleep}},
                    .blocks = 2,
                    .block_sectors = kAimedBlockSectors};
  return rc::gen::map(rc::gen::tuple(draw(0, 24), operations(writing, 2), operations(moving, 2),
                                     operations(writing, 2)),
                      [](const auto& drawn) {
                        const auto& [options, first, second, third] = drawn;
                        Workload workload = aimed("cache-writethrough-copies", 1, 2);
                        workload.system.cache.io_mode = CacheIo::writethrough;
                        if (options % 2 == 1) workload.system.cache.policy = CachePolicy::direct;
                        if (options / 2 % 3 == 1) {   // dirty blocks, left over from another mode
                          workload.system.cache.io_mode = CacheIo::writeback;
                          workload.setup = {write_of(0, kAimedBlockSectors),
                                            {.verb = Verb::reload_cache,
                                             .io_mode = CacheIo::writethrough,
                                             .policy = workload.system.cache.policy}};
                        } else if (options / 2 % 3 == 2) {
                          workload.setup = {read_of(0)};
                        }
                        if (options / 6 == 3) workload.faults.data_write_errors = 1;
                        workload.actors = {{"writer", first}, {"mover", second}};
                        if (options / 6 % 2 == 1) workload.actors.push_back({"other", third});
                        return workload;
                      });
}

}   // namespace scenarios::cache
