// General traffic: whatever the engine can do, in swarms. Each workload leaves out some kinds of
// operations and faults, because a run that mixes everything rarely gets deep into anything
// (Groce et al., "Swarm Testing", 2012), and has its own weights for the others. It stays on few
// blocks of few thins, so that operations meet, and often starts from a pool that has been in use.
#include <algorithm>

#include "scenarios/limits.h"
#include "scenarios/phrases.h"
#include "scenarios/scenario.h"
#include "scenarios/thin/swarm.h"

namespace scenarios::thin {
namespace {

constexpr std::uint32_t kDeepOneIn = 5;
constexpr std::uint32_t kOperationsMost = 10;   // of one actor

// Few: space runs out, and what is freed is soon used again. In half of all pools a little less
// than the thins want, so that whatever is freed is wanted by somebody.
std::uint64_t draw_data_blocks(const Swarm& swarm, Draw& draw, std::uint64_t wanted) {
  const std::uint64_t few = draw.of<std::uint64_t>({1, 1, 2, 2, 3, 4, 6, 12});
  if (swarm.deep) return wanted + 2 * few;
  if (draw.one_in(2)) return few;
  return std::max<std::uint64_t>(
      draw.of<std::uint64_t>({wanted / 2, (wanted + 1) / 2, wanted - 1, wanted}), 1);
}

// Some or all thins over a read-only origin, which may end before they do, within a block too.
void draw_external(Draw& draw, SystemSpec& system) {
  const std::uint64_t block = system.block_sectors;
  const std::uint64_t thin = system.thins.front().blocks * block;
  system.external_sectors =
      draw.of<std::uint64_t>({thin, thin, thin + block, thin - 8, block / 2, block, 1});
  for (ThinSpec& each : system.thins)
    each.external = each.id == 0 || draw.one_in(2);
}

}   // namespace

Swarm draw_swarm(Draw& draw) {
  Swarm swarm;
  // What most of the engine is there for is left out less often than the rest.
  for (bool Swarm::* const each : {&Swarm::discards, &Swarm::snapshots, &Swarm::lifecycle})
    swarm.*each = !draw.one_in(3);
  for (bool Swarm::* const each :
       {&Swarm::bounces, &Swarm::pool_messages, &Swarm::time, &Swarm::growth, &Swarm::slow_disks})
    swarm.*each = draw.one_in(2);
  swarm.deep = draw.one_in(kDeepOneIn);
  if (draw.one_in(2)) return swarm;   // without any fault
  const std::uint32_t faults = draw.below(3);
  swarm.power_cut = faults != 0;
  swarm.io_errors = faults != 1;
  return swarm;
}

Weights draw_weights(const Swarm& swarm, Draw& draw) {
  Weights weights;
  const auto add = [&](bool in, Weights group) {
    const std::size_t factor = draw.of<std::size_t>({1, 1, 1, 2, 8});
    if (!in) return;
    for (auto& [weight, verb] : group)
      weights.emplace_back(weight * factor, verb);
  };
  add(true, {{30, Verb::write}, {2, Verb::write_zeroes}});
  add(!draw.one_in(3), {{14, Verb::read}});
  add(!draw.one_in(3), {{8, Verb::flush}});
  add(swarm.discards, {{16, Verb::discard}});
  add(swarm.snapshots, {{10, Verb::create_snap}, {3, Verb::delete_thin}});
  add(swarm.lifecycle, {{4, Verb::create_thin},
                        {4, Verb::delete_thin},
                        {6, Verb::activate},
                        {8, Verb::deactivate},
                        {5, Verb::status}});
  add(swarm.bounces, {{4, Verb::bounce_thin},
                      {4, Verb::bounce_pool},
                      {3, Verb::reload_pool},
                      {3, Verb::load_thin},
                      {1, Verb::clear_thin},
                      {2, Verb::load_pool},
                      {1, Verb::clear_pool},
                      {2, Verb::contradict}});
  add(swarm.pool_messages, {{3, Verb::set_transaction},
                            {4, Verb::reserve_snap},
                            {4, Verb::release_snap},
                            {3, Verb::status}});
  add(swarm.time, {{4, Verb::sleep}});
  add(swarm.growth, {{4, Verb::grow_data}, {2, Verb::grow_metadata}});
  return weights;
}

SystemSpec draw_system(const Swarm& swarm, Draw& draw) {
  SystemSpec system;
  const std::uint32_t thins = draw.of<std::uint32_t>({1, 1, 2, 2, 3, 3});
  const std::uint64_t blocks = swarm.deep ? draw.of<std::uint64_t>({7, 9, 14, 14, 24})
                                          : draw.of<std::uint64_t>({1, 1, 2, 2, 3, 4});
  for (std::uint32_t id = 0; id < thins; ++id)
    system.thins.push_back({id, blocks});
  system.data_blocks = draw_data_blocks(swarm, draw, thins * blocks);
  system.data_device_blocks = system.data_blocks + (swarm.growth ? 3 : 0);
  system.metadata_blocks = swarm.deep ? 96 : draw.of<std::uint64_t>({64, 64, 64, 64, 40, 24});
  system.low_water_blocks = draw.below(3);
  system.no_discard_passdown = draw.one_in(6);
  system.error_if_no_space = draw.one_in(2);
  system.skip_block_zeroing = draw.one_in(6);
  system.ignore_discard = draw.one_in(16);
  system.fan_out = swarm.deep || draw.one_in(2) ? kSmallFanOut : 0;
  system.cells = draw.one_in(3) ? 2 : 0;
  system.spare_disk = swarm.bounces && draw.one_in(2);
  system.discard_reads = draw.of(
      {DiscardReads::garbage, DiscardReads::garbage, DiscardReads::zeroes, DiscardReads::old_data});
  if (draw.one_in(4)) system.commit_interval_ms = 0;
  return system;
}

FaultSpec draw_faults(const Swarm& swarm, Draw& draw) {
  FaultSpec faults;
  if (swarm.slow_disks) {
    draw_latency(draw, faults);
  } else if (swarm.discards && draw.one_in(2)) {   // which many disks take their time with
    faults.data_latency_ms = 5;
    faults.slow_at = SlowAt::discards;
  }
  if (swarm.power_cut) faults.power_cuts = 1;
  if (!swarm.io_errors) return faults;
  // Two in a row as a matter of course: the failure path of the failure path.
  const std::uint32_t kinds = 1 + draw.below(2);
  for (std::uint32_t i = 0; i < kinds; ++i) {
    const std::uint32_t count = 1 + draw.below(2);
    switch (draw.below(5)) {
      case 0:
        faults.metadata_write_errors = count;
        break;
      case 1:
        faults.metadata_read_errors = count;
        break;
      case 2:
        faults.data_write_errors = count;
        break;
      case 3:
        faults.data_read_errors = count;
        break;
      default:
        faults.data_no_space = 2 * count;
        break;
    }
  }
  return faults;
}

// Block i of `blocks` is written as number i * stride, so that nodes of a tree are full, half full,
// or grow in the middle.
void draw_contents(const Swarm& swarm, Draw& draw, Workload& workload) {
  const SystemSpec& system = workload.system;
  const std::uint64_t blocks = system.thins.front().blocks;
  std::uint32_t used =
      draw.of<std::uint32_t>({0, 1, 1, static_cast<std::uint32_t>(system.thins.size())});
  if (swarm.deep) used = 1;
  const std::uint64_t stride = draw.of<std::uint64_t>({1, 1, blocks - 1, 5, 11});
  // Trees whose first key is not the first block are looked at from below it.
  const std::uint64_t first = swarm.deep ? draw.of<std::uint64_t>({0, 0, 1, 2}) : 0;
  // What is written in full is missed in full, whatever takes its place.
  const std::uint64_t sectors = draw.of<std::uint64_t>({1, system.block_sectors});
  for (std::uint32_t id = 0; id < used; ++id) {
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const std::uint64_t block = i * stride % blocks;
      if (block < first) continue;
      workload.setup.push_back({.verb = Verb::write,
                                .thin = id,
                                .sector = block * system.block_sectors,
                                .sectors = sectors});
    }
    // What a power cut may take anyway nobody misses.
    if (!draw.one_in(4)) workload.setup.push_back({.verb = Verb::flush, .thin = id});
  }
}

void draw_operations(const Swarm& swarm, Draw& draw, const Menu& menu, Workload& workload) {
  Phrases phrases{menu, draw};
  // What shapes a pool and needs nobody else at the same time.
  Weights past{{4, Verb::write}, {2, Verb::flush}};
  if (swarm.discards) past.emplace_back(8, Verb::discard);
  if (swarm.snapshots) past.emplace_back(6, Verb::create_snap);
  if (swarm.lifecycle) past.emplace_back(2, Verb::delete_thin);
  const std::uint32_t most = draw.of<std::uint32_t>({0, 2, 4, swarm.deep ? 8U : 4U});
  if (most != 0) {
    const std::vector<Operation> done = phrases.operations(past, most);
    workload.setup.insert(workload.setup.end(), done.begin(), done.end());
  }
  workload.actors = phrases.actors(menu.verbs, 2 + draw.below(3), kOperationsMost);
}

namespace {

Menu menu_of(const Swarm& swarm, const SystemSpec& system, Draw& draw) {
  Weights verbs = draw_weights(swarm, draw);
  if (swarm.lifecycle) verbs.emplace_back(3, Verb::remake_pool);
  return {.verbs = std::move(verbs),
          .thins = static_cast<std::uint32_t>(system.thins.size()),
          .more_thins = swarm.snapshots || swarm.lifecycle ? 1 + draw.below(2) : 0,
          .blocks = system.thins.front().blocks,
          .block_sectors = system.block_sectors};
}

Workload draw_workload(Draw& draw) {
  const Swarm swarm = draw_swarm(draw);
  Workload workload;
  workload.scenario = "thin-general";
  workload.system = draw_system(swarm, draw);
  if (draw.one_in(6)) draw_external(draw, workload.system);
  workload.system.linear_above = draw.one_in(8);
  workload.faults = draw_faults(swarm, draw);
  draw_contents(swarm, draw, workload);
  const Menu menu = menu_of(swarm, workload.system, draw);
  draw_operations(swarm, draw, menu, workload);
  if (!workload.system.error_if_no_space && draw.one_in(4))
    workload.system.no_space_timeout_ms = 0;   // as long as it takes
  return workload;
}

}   // namespace

rc::Gen<Workload> general() {
  return drawn_by(&draw_workload);
}

}   // namespace scenarios::thin
