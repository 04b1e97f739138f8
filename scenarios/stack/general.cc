// General traffic on stacks: what thin pools and caches do, drawn as where they stand alone, and
// what goes through all layers. Sizes stay small, so that one write may promote, provision, break
// sharing and throw a block out all at once.
#include <algorithm>

#include "scenarios/cache/swarm.h"
#include "scenarios/scenario.h"
#include "scenarios/thin/swarm.h"

namespace scenarios::stack {
namespace {

constexpr std::uint32_t kDeepOneIn = 2;

SystemSpec draw_system(const thin::Swarm& pool, const cache::Swarm& cached, std::uint32_t ids,
                       Draw& draw) {
  SystemSpec system = thin::draw_system(pool, draw);
  system.family = FamilyKind::stack;
  system.cache = cache::draw_system(cached, draw).cache;
  system.cache.origin_blocks = CacheSpec{}.origin_blocks;   // the stack says what it stands on
  StackSpec& stack = system.stack;
  stack.shape = draw.of({StackShape::cache_over_thin, StackShape::pool_over_cache});
  stack.cache_block_sectors = draw.of<std::uint32_t>({64, 64, 128, 256});
  stack.linear_below = draw.one_in(3);
  stack.linear_between = draw.one_in(3);
  stack.linear_above = draw.one_in(3);
  const bool cache_on_top = stack.shape == StackShape::cache_over_thin;
  // Whole blocks of both kinds.
  std::uint64_t& blocks = system.thins.front().blocks;
  if (cache_on_top && stack.cache_block_sectors > system.block_sectors) blocks += blocks % 2;
  // A cache on a pool without space waits as long as the pool lets it, so there it has space, or is
  // told at once that there is none.
  if (cache_on_top && (!system.error_if_no_space || draw.one_in(2))) {
    const std::uint64_t growth = system.data_device_blocks - system.data_blocks;
    for (ThinSpec& thin : system.thins)
      thin.blocks = blocks;
    system.data_blocks = 2 * ids * blocks + 2;
    system.data_device_blocks = system.data_blocks + growth;
  }
  if (!cache_on_top) system.data_device_blocks += system.data_device_blocks % 2;
  return system;
}

Menu menu_of(const thin::Swarm& pool, const cache::Swarm& cached, const SystemSpec& system,
             std::uint32_t more_thins, Draw& draw) {
  Menu menu{.verbs = thin::draw_weights(pool, draw),
            .thins = static_cast<std::uint32_t>(system.thins.size()),
            .more_thins = more_thins,
            .blocks = system.thins.front().blocks,
            .block_sectors = system.block_sectors};
  const Weights more = cache::draw_weights(cached, draw);
  menu.verbs.insert(menu.verbs.end(), more.begin(), more.end());
  if (pool.bounces || cached.bounces) {
    menu.verbs.emplace_back(4, Verb::bounce_stack);
    menu.verbs.emplace_back(3, Verb::bounce_linear);
  }
  if (cached.lifecycle) menu.verbs.emplace_back(6, Verb::remake_stack);
  cache::offer_tables(system.cache, menu);
  return menu;
}

Workload draw_workload(Draw& draw) {
  thin::Swarm pool = thin::draw_swarm(draw);
  const cache::Swarm cached = cache::draw_swarm(draw);
  pool.deep = pool.deep && draw.one_in(kDeepOneIn);   // they cost several times what others do
  constexpr std::uint32_t kThinsMost = 3;
  const std::uint32_t more = pool.snapshots || pool.lifecycle ? 1 + draw.below(2) : 0;
  Workload workload;
  workload.scenario = "stack-general";
  workload.system = draw_system(pool, cached, kThinsMost + more, draw);
  workload.faults = thin::draw_faults(pool, draw);
  thin::draw_contents(pool, draw, workload);
  const Menu menu = menu_of(pool, cached, workload.system, more, draw);
  thin::draw_operations(pool, draw, menu, workload);
  return workload;
}

}   // namespace

rc::Gen<Workload> general() {
  return drawn_by(&draw_workload);
}

}   // namespace scenarios::stack
