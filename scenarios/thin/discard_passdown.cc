// Seed 002: a passdown discard is still on its way to the disk when its block is given to somebody
// else. The pieces: a pool so small that freed blocks are used at once, one writer that discards,
// others that provision and read back.
#include "scenarios/generate.h"
#include "scenarios/scenario.h"

namespace scenarios::thin {

rc::Gen<Workload> discard_passdown() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu discarding{.verbs = {{2, Verb::discard}, {1, Verb::flush}}, .blocks = 2};
  const Menu writing{
      .verbs = {{4, Verb::write}, {2, Verb::read}, {1, Verb::flush}, {1, Verb::create_snap}},
      .thins = 2,
      .blocks = 3};
  return rc::gen::map(rc::gen::tuple(draw(1, 3), draw(0, 8), operations(discarding, 2),
                                     operations(writing, 3), operations(writing, 2)),
                      [](const auto& drawn) {
                        const auto& [data_blocks, options, first, second, third] = drawn;
                        Workload workload;
                        workload.scenario = "thin-discard-passdown";
                        workload.system.data_blocks = data_blocks;
                        workload.system.data_device_blocks = data_blocks;
                        workload.system.thins = {{0, 4}};
                        workload.system.discard_reads = static_cast<DiscardReads>(options % 3);
                        workload.setup = {{.verb = Verb::write, .sector = 0, .sectors = 128}};
                        workload.actors = {{"discarder", first}, {"writer", second}};
                        if (options >= 4) workload.actors.push_back({"other", third});
                        return workload;
                      });
}

}   // namespace scenarios::thin
