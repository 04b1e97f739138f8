// Metadata that is nearly full. What comes next just fits, does not fit, or fits and leaves nothing
// beyond the reserve: then nothing can be changed any more until the device has grown. The pieces:
// small nodes, somebody who makes thins and snapshots until no more fit and then has the device
// grown, others who go on writing, and discards that are under way all the while.
#include "scenarios/limits.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"
#include "scenarios/thin/aimed.h"

namespace scenarios::thin {
namespace {

// Thin 0 has so many blocks, which take so many nodes beside its root. A new pool takes nine blocks
// of metadata, and each thin one more.
struct Size {
  std::uint64_t blocks;
  std::uint64_t nodes;
};
constexpr std::uint64_t kNewPoolBlocks = 9;

// Messages take less than the writes of others, and a metadata snapshot least of all.
std::vector<Operation> draw_filling(std::uint32_t first_id, Draw& draw) {
  std::vector<Operation> filling;
  std::uint32_t id = first_id;
  const std::uint32_t count = 2 + draw.below(9);
  for (std::uint32_t i = 0; i < count; ++i) {
    switch (draw.below(10)) {
      case 0:
      case 1:
        filling.push_back({.verb = Verb::reserve_snap});
        break;
      case 2:
        filling.push_back({.verb = Verb::create_snap, .thin = id++});
        break;
      case 3:
        filling.push_back({.verb = Verb::write,
                           .sector = draw.below(12) * std::uint64_t{kAimedBlockSectors},
                           .sectors = 1});
        break;
      default:
        filling.push_back({.verb = Verb::create_thin, .thin = id++});
        break;
    }
  }
  return filling;
}

Workload draw_full_metadata(Draw& draw) {
  Workload workload;
  workload.scenario = "thin-full-metadata";
  SystemSpec& system = workload.system;
  const Size size = draw.of<Size>({{12, 3}, {24, 5}, {36, 9}, {48, 12}});
  const std::uint64_t blocks = size.blocks;
  const std::uint32_t thins = 1 + draw.below(4);
  for (std::uint32_t id = 0; id < thins; ++id)
    system.thins.push_back({id, blocks});
  system.data_blocks = system.data_device_blocks = blocks + 16;
  system.fan_out = kSmallFanOut;
  system.metadata_blocks = kNewPoolBlocks + thins + size.nodes + 6 + draw.below(12);
  system.metadata_growth_blocks = draw.one_in(4) ? 8 : 64;
  if (draw.one_in(2)) system.commit_interval_ms = 0;
  if (!draw.one_in(4)) {
    workload.faults.data_latency_ms = draw.of<std::uint32_t>({5, 600});
    workload.faults.slow_at = SlowAt::discards;
  }
  workload.setup = {{.verb = Verb::write, .sectors = blocks * kAimedBlockSectors},
                    {.verb = Verb::flush}};
  std::vector<Operation> filling = draw_filling(thins, draw);
  if (!draw.one_in(4)) filling.push_back({.verb = Verb::grow_metadata});
  const Menu menu{.verbs = {}, .thins = thins, .blocks = blocks};
  Phrases phrases{menu, draw};
  const Weights writing{{4, Verb::write}, {1, Verb::flush}, {1, Verb::create_snap}};
  const std::vector<Operation> after = phrases.operations(writing, 3);
  filling.insert(filling.end(), after.begin(), after.end());
  const Weights discarding{{5, Verb::discard}, {1, Verb::flush}, {1, Verb::write}};
  workload.actors = {{"filler", filling}, {"discarder", phrases.operations(discarding, 3)}};
  if (draw.one_in(2)) {
    const Weights others{{3, Verb::write}, {1, Verb::grow_metadata}, {1, Verb::status}};
    workload.actors.push_back({"other", phrases.operations(others, 3)});
  }
  return workload;
}

}   // namespace

rc::Gen<Workload> full_metadata() {
  return drawn_by(&draw_full_metadata);
}

}   // namespace scenarios::thin
