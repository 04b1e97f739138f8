#include "scenarios/cache/volume.h"

#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "engine/fiber/timer.h"
#include "scenarios/cache/volume_name.h"

namespace scenarios::cache {

using engine::Errc;

Volume::Volume(Kit& kit, const Workload& workload, Around around)
    : bench_{kit.bench},
      requests_{kit.requests},
      control_{kit.control},
      workload_{workload},
      around_{std::move(around)},
      policies_{std::make_unique<Policies>(bench_, workload_.system)},
      active_{workload.system.cache.io_mode, workload.system.cache.policy},
      fast_blocks_{workload.system.cache.blocks},
      always_writethrough_{active_.mode == CacheIo::writethrough} {}

void Volume::make_targets() {
  targets_ = std::make_unique<engine::cache::CacheTargets>(cache_options(workload_.system));
  policies_->add_to(targets_->policies());
}

void Volume::add_targets(engine::io::TargetRegistry& registry) {
  targets_->add_to(registry);
}

void Volume::bring_up() {
  if (bench_.power_cut) {
    policies_->forget_cells();
    // Whoever starts it again may like another mode better. After a crash all is dirty, which
    // passthrough does not take: make() sees to that.
    static constexpr std::array kModes{CacheIo::writeback, CacheIo::passthrough,
                                       CacheIo::writethrough};
    active_.mode = kModes[bench_.world.choose("mode after the cut", kModes.size())];
    always_writethrough_ = false;
    inactive_.reset();
    // Which size the metadata speaks of depends on when the power went.
    fast_blocks_ = workload_.system.cache.blocks_max;
    set_fast_blocks(fast_blocks_);
  }
  // A pool below that runs out of metadata makes what a cache stores fail, before a cut and after
  // it.
  counts_all_ = bench_.calm || (bench_.power_cut && !workload_.may_need_check());
  // Before the cut nobody has asked it for anything.
  const checkers::image::CacheSuperblock stored =
      bench_.power_cut ? check_metadata().superblock : checkers::image::CacheSuperblock{};
  start_counting({.read_hits = stored.read_hits,
                  .read_misses = stored.read_misses,
                  .write_hits = stored.write_hits,
                  .write_misses = stored.write_misses});
  make();
}

void Volume::make_volumes() {
  if (!around_.read_back) bench_.oracle.create(kVolume, origin_sectors(workload_.system));
}

void Volume::end_system() {
  const std::size_t open = targets_->metadata().open_metadata();
  if (open != 0)
    bench_.tell("metadata leaked", fmt::format("{} open after all tables are gone", open));
  targets_.reset();
}

void Volume::perform(const Operation& operation) {
  if (is_request(operation.verb)) {
    if (operation.thin == kVolume)
      requests_.issue({.device = kName, .volume = kVolume, .unready = &unready_}, operation);
    return;
  }
  switch (operation.verb) {
    case Verb::status:
      for (const engine::dm::DeviceInfo& device : bench_.system->list())
        static_cast<void>(bench_.system->status(device.name));
      return;
    case Verb::sleep:
      engine::sleep_for(std::chrono::milliseconds{operation.sectors});
      return;
    case Verb::invalidate:
      static_cast<void>(
          control_.message(kName, fmt::format("invalidate_cblocks {}-{}", operation.sector,
                                              operation.sector + operation.sectors)));
      return;
    case Verb::threshold:
      static_cast<void>(
          control_.message(kName, fmt::format("migration_threshold {}", operation.sectors)));
      return;
    case Verb::rival:
      rival();
      return;
    case Verb::remake_cache:
      remake();
      return;
    default:
      break;
  }
  const engine::MutexLock lock{control_lock_};
  switch (operation.verb) {
    case Verb::bounce_cache:
      bounce(operation.noflush);
      break;
    case Verb::load_cache:
      static_cast<void>(load({operation.io_mode, operation.policy}));
      break;
    case Verb::clear_cache:
      static_cast<void>(bench_.system->clear(kName));
      inactive_.reset();
      break;
    case Verb::reload_cache:
      if (load({operation.io_mode, operation.policy})) bounce(operation.noflush);
      break;
    case Verb::contradict:
      contradict(operation.contradiction);
      break;
    case Verb::resize_cache:
      resize(static_cast<std::uint32_t>(operation.sectors));
      break;
    default:
      break;   // there is nothing of the kind here
  }
}

}   // namespace scenarios::cache
