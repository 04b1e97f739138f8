// General traffic on a cache: whatever the engine can do with it, in swarms. The cache is much
// smaller than what is asked for, and its policy mostly one that throws blocks out all the time, so
// that most requests meet a block on the move.
#include "scenarios/cache/swarm.h"
#include "scenarios/limits.h"
#include "scenarios/scenario.h"

namespace scenarios::cache {
namespace {

constexpr std::uint32_t kGeneralBlockSectors = 64;
constexpr std::uint64_t kCleaningMs = 5000;   // enough for a cleaner, if nobody else is there

}   // namespace

Swarm draw_swarm(Draw& draw) {
  Swarm swarm;
  for (bool Swarm::* const each :
       {&Swarm::discards, &Swarm::bounces, &Swarm::reloads, &Swarm::loads, &Swarm::growth,
        &Swarm::messages, &Swarm::time, &Swarm::power_cut, &Swarm::io_errors})
    swarm.*each = draw.one_in(2);
  swarm.lifecycle = draw.one_in(3);
  swarm.slow_disks = draw.one_in(4);
  if (draw.one_in(2)) swarm.power_cut = swarm.io_errors = false;   // half of all without any fault
  return swarm;
}

Weights draw_weights(const Swarm& swarm, Draw& draw) {
  Weights weights;
  const auto add = [&](bool in, const Weights& group) {
    const std::size_t factor = draw.of<std::size_t>({1, 1, 1, 4});
    if (!in) return;
    for (const auto& [weight, verb] : group)
      weights.emplace_back(weight * factor, verb);
  };
  // Where the power may go, there should be something that it must not take.
  add(true, {{30, Verb::write}, {20, Verb::read}, {swarm.power_cut ? 14 : 6, Verb::flush}});
  add(swarm.discards, {{12, Verb::discard}});
  add(swarm.bounces, {{6, Verb::bounce_cache}});
  add(swarm.reloads, {{8, Verb::reload_cache}});
  add(swarm.loads, {{4, Verb::load_cache}, {1, Verb::clear_cache}, {1, Verb::contradict}});
  add(swarm.lifecycle, {{4, Verb::remake_cache}, {4, Verb::rival}});
  add(swarm.growth, {{4, Verb::resize_cache}});
  add(swarm.messages, {{5, Verb::invalidate}, {2, Verb::threshold}, {2, Verb::status}});
  add(swarm.time, {{5, Verb::sleep}});
  return weights;
}

SystemSpec draw_system(const Swarm& swarm, Draw& draw) {
  SystemSpec system;
  system.family = FamilyKind::cache;
  system.block_sectors = kGeneralBlockSectors;
  system.metadata_blocks = draw.of<std::uint64_t>({64, 64, 64, 32});
  system.fan_out = draw.one_in(3) ? kSmallFanOut : 0;
  system.cells = draw.one_in(3) ? 2 : 0;
  system.discard_reads = draw.of(
      {DiscardReads::garbage, DiscardReads::garbage, DiscardReads::zeroes, DiscardReads::old_data});
  system.no_discard_passdown = draw.one_in(4);
  if (draw.one_in(4)) system.commit_interval_ms = 0;
  CacheSpec& cache = system.cache;
  cache.blocks = draw.of<std::uint32_t>({1, 1, 2, 2, 3, 8});
  cache.blocks_max = cache.blocks + (swarm.growth ? draw.of<std::uint32_t>({1, 2, 8}) : 0);
  cache.origin_blocks = cache.blocks + draw.of<std::uint64_t>({1, 2, 3});
  cache.io_mode = draw.of({CacheIo::writeback, CacheIo::writeback, CacheIo::writeback,
                           CacheIo::writethrough, CacheIo::writethrough, CacheIo::passthrough});
  cache.policy = draw.of({CachePolicy::adversary, CachePolicy::adversary, CachePolicy::adversary,
                          CachePolicy::adversary, CachePolicy::direct, CachePolicy::direct,
                          CachePolicy::smq, CachePolicy::cleaner});
  cache.metadata2 = draw.one_in(2);
  cache.threshold = draw.of<std::uint64_t>({2048, 2048, 128, 0});
  return system;
}

void offer_tables(const CacheSpec& cache, Menu& menu) {
  menu.cache_blocks = cache.blocks_max;
  menu.io_modes = {CacheIo::writeback, CacheIo::writethrough, CacheIo::writeback,
                   CacheIo::passthrough};
  menu.policies = {CachePolicy::adversary, CachePolicy::adversary, CachePolicy::cleaner,
                   CachePolicy::smq,       CachePolicy::mq,        CachePolicy::direct};
}

namespace {

FaultSpec draw_faults(const Swarm& swarm, Draw& draw) {
  FaultSpec faults;
  if (swarm.slow_disks) draw_latency(draw, faults);
  if (swarm.power_cut) faults.power_cuts = 1;
  if (!swarm.io_errors) return faults;
  // Two in a row as a matter of course: the failure path of the failure path.
  switch (draw.below(7)) {
    case 0:
      faults.metadata_write_errors = 1 + draw.below(2);
      break;
    case 1:
      faults.metadata_read_errors = 1 + draw.below(2);
      break;
    case 2:
      faults.data_write_errors = 1 + draw.below(2);
      break;
    case 3:
      faults.data_read_errors = 1 + draw.below(2);
      break;
    case 4:
      faults.data_read_errors = 1;
      faults.metadata_write_errors = 1;
      break;
    case 5:
      faults.data_write_errors = 1;
      faults.metadata_read_errors = 1;
      break;
    default:
      faults.data_write_errors = 1;
      faults.metadata_write_errors = 1;
      break;
  }
  return faults;
}

// A cache that has been in use: full, partly dirty, perhaps by a table of another mode and policy,
// and cleaned since. Where nothing enters by itself it must have been; and in passthrough mode,
// which takes nothing dirty, it should be clean.
std::vector<Operation> draw_setup(const CacheSpec& cache, Draw& draw) {
  std::vector<Operation> setup;
  const bool passes = cache.io_mode == CacheIo::passthrough;
  const bool lives_on_the_past = passes || cache.policy == CachePolicy::cleaner;
  if (!lives_on_the_past && draw.one_in(2)) return setup;
  const bool by_another = lives_on_the_past || draw.one_in(2);
  const CacheIo past = passes ? draw.of({CacheIo::writethrough, CacheIo::writethrough,
                                         CacheIo::writethrough, CacheIo::writeback})
                              : draw.of({CacheIo::writethrough, CacheIo::writeback});
  if (by_another) {
    setup.push_back({.verb = Verb::reload_cache,
                     .io_mode = past,
                     .policy = draw.of({CachePolicy::adversary, CachePolicy::direct})});
  }
  for (std::uint64_t block = 0; block < cache.origin_blocks; ++block) {
    if (!draw.one_in(3)) {
      setup.push_back({.verb = Verb::write,
                       .sector = block * kGeneralBlockSectors,
                       .sectors = draw.one_in(2) ? kGeneralBlockSectors : 1});
    }
  }
  if (draw.one_in(3)) setup.push_back({.verb = Verb::bounce_cache});
  if (!by_another) return setup;
  if (passes ? past == CacheIo::writeback : draw.one_in(2)) {
    setup.push_back({.verb = Verb::reload_cache, .policy = CachePolicy::cleaner});
    setup.push_back({.verb = Verb::sleep, .sectors = kCleaningMs});
  }
  setup.push_back({.verb = Verb::reload_cache, .io_mode = cache.io_mode, .policy = cache.policy});
  return setup;
}

}   // namespace

rc::Gen<Workload> general() {
  auto seed = rc::gen::noShrink(rc::gen::arbitrary<std::uint64_t>());
  return rc::gen::mapcat(std::move(seed), [](std::uint64_t drawn) {
    Draw draw{drawn};
    const Swarm swarm = draw_swarm(draw);
    Workload base;
    base.scenario = "cache-general";
    base.system = draw_system(swarm, draw);
    base.faults = draw_faults(swarm, draw);
    base.setup = draw_setup(base.system.cache, draw);
    Menu menu{.verbs = draw_weights(swarm, draw),
              .blocks = base.system.cache.origin_blocks,
              .block_sectors = kGeneralBlockSectors};
    offer_tables(base.system.cache, menu);
    menu.contradictions = {Contradiction::block_size, Contradiction::data_device,
                           Contradiction::setting};
    return rc::gen::map(actors(menu, 2, 4, 7), [base](std::vector<Actor> made) {
      Workload workload = base;
      workload.actors = std::move(made);
      return workload;
    });
  });
}

}   // namespace scenarios::cache
