#include "scenarios/thin/volumes.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "checkers/stamp.h"
#include "engine/env/buffer.h"
#include "engine/fiber/timer.h"
#include "engine/thin/pool.h"
#include "scenarios/disks.h"
#include "scenarios/thin/options.h"

namespace scenarios::thin {

using engine::Errc;

Volumes::Volumes(Kit& kit, const Workload& workload, Below below)
    : bench_{kit.bench},
      requests_{kit.requests},
      control_{kit.control},
      workload_{workload},
      below_{std::move(below)},
      mode_judge_{mode_options(workload)},
      data_blocks_{workload.system.data_blocks},
      metadata_blocks_{workload.system.metadata_blocks} {}

std::string Volumes::name_of(std::uint32_t id) {
  return fmt::format("thin{}", id);
}

std::string Volumes::user_name_of(std::uint32_t id) const {
  return workload_.system.linear_above ? fmt::format("user{}", id) : name_of(id);
}

checkers::DataOracle::Base Volumes::base_of(const Thin& thin) const {
  if (!thin.external) return {};
  return {external_write_, workload_.system.external_sectors};
}

// As somebody else left it, long ago.
void Volumes::fill_external_origin() {
  const auto found = bench_.world.env().devices.find(kExternalOrigin);
  if (!found) return;   // this world or family has none
  external_write_ = bench_.oracle.new_write_id();
  engine::BlockDevice& disk = **found;
  const std::uint64_t size = workload_.system.external_sectors;
  const std::uint64_t step = workload_.system.block_sectors;
  for (std::uint64_t sector = 0; sector < size; sector += step) {
    engine::Bio bio;
    bio.op = engine::BioOp::write;
    bio.sector = engine::Sector{sector};
    bio.sectors = std::min(step, size - sector);
    engine::AlignedBuffer buffer{bio.size_bytes()};
    checkers::fill_stamped(buffer.bytes(), external_write_, sector);
    bio.data = buffer.data();
    static_cast<void>(engine::submit_and_wait(disk, bio));
  }
  engine::Bio flush;
  flush.op = engine::BioOp::flush;
  static_cast<void>(engine::submit_and_wait(disk, flush));
}

Target Volumes::target(std::uint32_t id) const {
  const Thin& thin = thins_[id];
  bench_.begins();
  return {.device = user_name_of(id),
          .volume = id,
          .unready = &thin.activating,
          .may_go = thin.exists == Exists::maybe};
}

std::uint64_t Volumes::sectors_of(const Thin& thin) const {
  return thin.blocks * workload_.system.block_sectors;
}

void Volumes::make_targets() {
  targets_ = std::make_unique<engine::thin::ThinTargets>(pool_options(workload_.system));
  if (workload_.system.no_space_timeout_ms == 0) bench_.world.on_standstill(this);
}

void Volumes::add_targets(engine::io::TargetRegistry& registry) {
  targets_->add_to(registry);
}

engine::Result<void> Volumes::make_pool() {
  bench_.world.pool_opens();
  mode_judge_.begin_anew();
  return bench_.system->create_with_table(kPool,
                                          pool_table(workload_.system, below_.data, data_blocks_));
}

void Volumes::bring_up() {
  const auto made = make_pool();
  if (made && bench_.power_cut) {
    for (std::uint32_t id = 0; id < kIds; ++id)
      activate(id);
  }
  // Metadata too small for a pool is a workload's right; after a cut the pool must come back.
  if (made || made.error().code == Errc::power_lost || !bench_.power_cut) return;
  // A cache below it may have stayed away, as its metadata wants checking.
  if (below_.data != "data" && !control_.is_active(below_.data)) return;
  bench_.tell("pool does not open",
              fmt::format("after a power cut the pool does not open: {} at {}", made.error().what,
                          made.error().where));
}

void Volumes::make_volumes() {
  if (workload_.system.external_sectors != 0) fill_external_origin();
  for (const ThinSpec& thin : workload_.system.thins) {
    if (thin.id >= kIds) continue;
    thins_[thin.id].blocks = thin.blocks;
    thins_[thin.id].external = thin.external && external_write_ != 0;
    create_thin(thin.id);
  }
}

// A full pool that was told to wait for ever does, and somebody has to end it: the operator, after
// all.
bool Volumes::waits_as_told() {
  engine::thin::Pool* const pool = targets_->pools().find(kPool);
  return pool != nullptr && engine::thin::PoolView{*pool}.waits_only_for_space();
}

void Volumes::end_waiting() {
  mode_judge_.queueing_stopped();
  bench_.world.queueing_stopped();
  targets_->pools().find(kPool)->stop_queueing();
}

void Volumes::end_system() {
  bench_.world.on_standstill(nullptr);
  const std::size_t pools = targets_->pools().open_pools();
  if (pools != 0)
    bench_.tell("pool leaked", fmt::format("{} pools open after all tables are gone", pools));
  targets_.reset();
}

void Volumes::perform(const Operation& operation) {
  if (operation.thin >= kIds || operation.origin >= kIds) return;
  const bool is_life = operation.verb == Verb::create_thin || operation.verb == Verb::delete_thin ||
                       operation.verb == Verb::activate || operation.verb == Verb::deactivate;
  if (is_life && is_covered(operation.thin)) return;
  const std::uint32_t id = operation.thin;
  switch (operation.verb) {
    case Verb::write:
    case Verb::write_zeroes:
    case Verb::read:
    case Verb::discard:
    case Verb::flush:
      requests_.issue(target(id), operation);
      break;
    case Verb::create_thin:
      create_thin(id);
      break;
    case Verb::create_snap:
      create_snap(operation);
      break;
    case Verb::delete_thin:
      delete_thin(id);
      break;
    case Verb::activate: {
      const engine::MutexLock lock{thins_[id].control};
      activate(id);
      break;
    }
    case Verb::deactivate:
      meddle(id, [&] { deactivate(id); });
      break;
    case Verb::set_transaction:
      set_transaction();
      break;
    case Verb::reserve_snap:
      static_cast<void>(tell_pool("reserve_metadata_snap"));
      break;
    case Verb::release_snap:
      static_cast<void>(tell_pool("release_metadata_snap"));
      break;
    case Verb::bounce_thin:
      meddle(id, [&] { control_.bounce(name_of(id), operation.noflush, {}); });
      break;
    case Verb::bounce_pool:
      bounce_around(operation.noflush, {});
      break;
    case Verb::reload_pool: {
      const engine::MutexLock lock{pool_control_};
      reload_pool(operation.noflush);
      break;
    }
    case Verb::remake_pool:
      remake();
      break;
    case Verb::load_thin: {
      const engine::MutexLock lock{thins_[id].control};
      load_thin(id);
      break;
    }
    case Verb::clear_thin:
      meddle(id, [&] { static_cast<void>(bench_.system->clear(name_of(id))); });
      break;
    case Verb::load_pool: {
      const engine::MutexLock lock{pool_control_};
      load_pool();
      break;
    }
    case Verb::clear_pool: {
      const engine::MutexLock lock{pool_control_};
      static_cast<void>(bench_.system->clear(kPool));
      break;
    }
    case Verb::contradict: {
      const engine::MutexLock lock{pool_control_};
      contradict(operation.contradiction);
      break;
    }
    case Verb::grow_data:
      grow_data();
      break;
    case Verb::grow_metadata:
      grow_metadata();
      break;
    case Verb::status:
      look_around();
      break;
    case Verb::sleep:
      engine::sleep_for(std::chrono::milliseconds{operation.sectors});
      break;
    case Verb::meet:   // the lab's affair
    case Verb::bounce_cache:
    case Verb::load_cache:
    case Verb::clear_cache:
    case Verb::reload_cache:
    case Verb::remake_cache:
    case Verb::resize_cache:
    case Verb::invalidate:
    case Verb::threshold:
    case Verb::rival:
    case Verb::bounce_stack:
    case Verb::bounce_linear:
    case Verb::remake_stack:
      break;   // there is none here
  }
}

}   // namespace scenarios::thin
