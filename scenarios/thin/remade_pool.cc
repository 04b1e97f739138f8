// A pool whose last commit did not end well is removed and made again: what it opens may be in the
// metadata disk's volatile cache alone. The pieces: a metadata disk that fails more than once,
// pools that come and go, writes to what is mapped already and flushes, and a power cut.
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"
#include "scenarios/thin/aimed.h"

namespace scenarios::thin {
namespace {

// A block is written, and once more when the pool is there again.
void add_life(std::uint64_t blocks, Draw& draw, std::vector<Operation>& operations) {
  const std::uint64_t sector = draw.below(static_cast<std::uint32_t>(blocks)) * kAimedBlockSectors;
  operations.push_back({.verb = Verb::write, .sector = sector, .sectors = 1});
  if (draw.one_in(2)) operations.push_back({.verb = Verb::flush});
  if (draw.one_in(6)) operations.push_back({.verb = Verb::create_snap, .thin = 1 + draw.below(3)});
  operations.push_back({.verb = Verb::remake_pool});
  if (!draw.one_in(4))
    operations.push_back({.verb = Verb::write, .sector = sector, .sectors = 1 + draw.below(2)});
  if (!draw.one_in(4)) operations.push_back({.verb = Verb::flush});
}

Workload draw_remade_pool(Draw& draw) {
  Workload workload;
  workload.scenario = "thin-remade-pool";
  SystemSpec& system = workload.system;
  const std::uint64_t blocks = 1 + draw.below(3);
  system.thins = {{0, blocks}};
  system.data_blocks = system.data_device_blocks = 3 * blocks;
  system.fan_out = draw.one_in(4) ? 6 : 0;
  if (draw.one_in(2)) system.commit_interval_ms = 0;
  workload.faults.power_cuts = 1;
  workload.faults.metadata_write_errors = 1 + draw.below(3);
  // What could not be flushed is committed once more when the pool closes.
  if (draw.one_in(3)) workload.faults.data_write_errors = 1;
  std::vector<Operation> lives;
  const std::uint32_t count = 1 + draw.below(3);
  for (std::uint32_t i = 0; i < count; ++i)
    add_life(blocks, draw, lives);
  workload.actors = {{"operator", lives}};
  if (draw.one_in(3)) {
    const Menu menu{.verbs = {}, .more_thins = 1, .blocks = blocks};
    const Weights others{{4, Verb::write}, {2, Verb::flush}, {1, Verb::discard}, {1, Verb::status}};
    workload.actors.push_back({"other", Phrases{menu, draw}.operations(others, 3)});
  }
  return workload;
}

}   // namespace

rc::Gen<Workload> remade_pool() {
  return drawn_by(&draw_remade_pool);
}

}   // namespace scenarios::thin
