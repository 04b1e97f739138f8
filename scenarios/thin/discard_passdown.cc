// Seed 002: a passdown discard is still on its way to the disk when its block is given to somebody
// else. The pieces: a full pool, so that freed blocks are used at once; a disk that takes its time
// with discards; somebody who discards what is there; others who want blocks for what is not, and
// read it back.
#include "scenarios/generate.h"
#include "scenarios/scenario.h"
#include "scenarios/thin/aimed.h"

namespace scenarios::thin {
namespace {

constexpr std::uint64_t kBlocks = 4;   // of the thin

}   // namespace

rc::Gen<Workload> discard_passdown() {
  const auto draw = [](std::uint32_t least, std::uint32_t most) {
    return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(least, most));
  };
  const Menu discarding{.verbs = {{3, Verb::discard}, {1, Verb::flush}, {1, Verb::write}},
                        .blocks = 2};
  const Menu writing{
      .verbs = {{6, Verb::write}, {2, Verb::read}, {1, Verb::flush}, {1, Verb::create_snap}},
      .more_thins = 1,
      .blocks = kBlocks};
  return rc::gen::map(rc::gen::tuple(draw(1, 3), draw(0, 24), operations(discarding, 2),
                                     operations(writing, 3), operations(writing, 2)),
                      [](const auto& drawn) {
                        const auto& [data_blocks, options, first, second, third] = drawn;
                        Workload workload;
                        workload.scenario = "thin-discard-passdown";
                        workload.system.data_blocks = data_blocks;
                        workload.system.data_device_blocks = data_blocks;
                        workload.system.thins = {{0, kBlocks}};
                        workload.system.discard_reads = static_cast<DiscardReads>(options % 3);
                        if (options % 8 != 0) {
                          workload.faults.data_latency_ms = 5;
                          workload.faults.slow_at = SlowAt::discards;
                        }
                        for (std::uint64_t block = 0; block < data_blocks; ++block) {
                          workload.setup.push_back({.verb = Verb::write,
                                                    .sector = block * kAimedBlockSectors,
                                                    .sectors = kAimedBlockSectors});
                        }
                        workload.actors = {{"discarder", first}, {"writer", second}};
                        if (options >= 12) workload.actors.push_back({"other", third});
                        return workload;
                      });
}

}   // namespace scenarios::thin
