// Control actions on a cached device, and which table is active afterwards.
#include <algorithm>

#include <fmt/format.h>

#include "scenarios/cache/volume.h"
#include "scenarios/cache/volume_name.h"

namespace scenarios::cache {

using engine::Errc;

void Volume::tell_unless_excused(std::string_view kind, std::string text) {
  if (bench_.world.power_is_cut()) return;
  if (workload_.may_need_check()) {
    bench_.changes();
    unusable_ = true;
    return;
  }
  bench_.tell(kind, std::move(text));
}

std::string Volume::table_of(const Table& table) const {
  return cache_table(workload_.system, around_, table.mode, table.policy);
}

void Volume::make() {
  bench_.changes();
  unready_ = true;
  const auto made = bench_.system->create_with_table(kName, table_of(active_));
  bench_.changes();
  unready_ = false;
  if (made || made.error().code == Errc::exists) return;
  // Refused, the device is gone again, unless somebody has it open.
  const bool there = bench_.system->info(kName).has_value();
  if (active_.mode == CacheIo::passthrough && made.error().code == Errc::busy) {
    // Something in it is dirty.
    active_.mode = CacheIo::writeback;
    if (there) {
      resumed(load(active_) && control_.resume(kName));
    } else {
      make();
    }
    return;
  }
  tell_unless_excused("the cache does not open",
                      fmt::format("{} at {}", made.error().what, made.error().where));
  if (there) give_up();   // whoever has it open waits for it
}

bool Volume::load(const Table& table) {
  const auto loaded = bench_.system->load(kName, table_of(table));
  if (loaded) {
    inactive_ = table;
    return true;
  }
  if (loaded.error().code != Errc::not_found && loaded.error().code != Errc::power_lost)
    tell_unless_excused("a table does not load", loaded.error().what);
  return false;
}

void Volume::resumed(bool worked) {
  if (worked) {
    if (inactive_) active_ = *inactive_;
    if (active_.mode != CacheIo::writethrough) always_writethrough_ = false;
    inactive_.reset();
    return;
  }
  const auto info = bench_.system->info(kName);
  if (!info) return;   // nothing was to be resumed
  if (bench_.world.power_is_cut()) {
    give_up();
    return;
  }
  // Once more as it is: what was in the way may have passed.
  const auto retried = bench_.system->resume(kName);
  if (retried) {
    resumed(true);
    return;
  }
  if (retried.error().code == Errc::exists) {
    bench_.tell("a resume that is tried again meets itself",
                fmt::format("{} at {}", retried.error().what, retried.error().where));
  }
  const bool may_refuse = inactive_ && inactive_->mode == CacheIo::passthrough;
  if (!may_refuse && inactive_ && *inactive_ == active_)
    tell_unless_excused("the cache does not resume", "with the table that it had");
  // What was refused gives way to what cannot be.
  active_.mode = active_.mode == CacheIo::passthrough ? CacheIo::writeback : active_.mode;
  always_writethrough_ = always_writethrough_ && active_.mode == CacheIo::writethrough;
  inactive_.reset();
  const bool again = load(active_) && control_.resume(kName);
  inactive_.reset();
  if (again) return;
  tell_unless_excused("the cache does not come back",
                      "a table was refused, and the one before it is, too");
  give_up();
}

// Whoever waits for the device gets an error.
void Volume::give_up() {
  bench_.changes();
  unready_ = true;
  static_cast<void>(
      bench_.system->load(kName, fmt::format("0 {} error", origin_sectors(workload_.system))));
  static_cast<void>(bench_.system->resume(kName));
}

void Volume::bounce(bool noflush, const Control::Action& meanwhile) {
  const auto before = bench_.system->info(kName);
  const bool in_service = before && before->has_live_table && !before->suspended;
  resumed(control_.bounce(kName, noflush, around_.quiet, [&] {
    if (in_service) judge_suspended();
    if (meanwhile) meanwhile();
  }));
}

void Volume::bounce_around(bool noflush, const Control::Action& meanwhile) {
  const engine::MutexLock lock{control_lock_};
  bounce(noflush, meanwhile);
}

void Volume::remake(const Control::Action& meanwhile) {
  const engine::MutexLock lock{control_lock_};
  control_.remove(kName);
  if (bench_.system->info(kName)) return;   // somebody has it open
  inactive_.reset();
  if (meanwhile) meanwhile();
  make();
}

void Volume::rival() {
  static constexpr const char* kRival = "rival";
  engine::dm::System& system = *bench_.system;
  if (!system.create(kRival)) return;   // there is one already
  const auto loaded = system.load(kRival, table_of({CacheIo::writeback, CachePolicy::direct}));
  if (loaded) {
    const engine::MutexLock lock{control_lock_};
    const auto info = system.info(kName);
    const bool in_use = info && info->has_live_table && !info->suspended && !unready_;
    if (in_use && system.resume(kRival)) {
      bench_.tell("two caches on one metadata device",
                  "a second device's table became active beside the first");
    }
  }
  static_cast<void>(system.remove(kRival));
}

// Whatever else is under way, such a table never becomes the inactive one.
void Volume::contradict(Contradiction what) {
  SystemSpec other = workload_.system;
  Around around = around_;
  std::string more;
  switch (what) {
    case Contradiction::block_size:
      if (!control_.is_active(kName) || unready_) return;   // it has to be in use for it
      other.block_sectors *= 2;
      other.cache.origin_blocks /= 2;
      if (other.cache.origin_blocks == 0) return;
      break;
    case Contradiction::data_device:
      around.origin = "fast";
      break;
    case Contradiction::setting:
      more = " no_such_setting 1";
      break;
    case Contradiction::discards:   // a cache lets its tables differ there
      return;
  }
  std::string table = cache_table(other, around, active_.mode, active_.policy);
  if (!more.empty()) {
    static constexpr std::string_view kCounted = " 2 migration_threshold";
    table.replace(table.find(kCounted), 2, " 4");
    table += more;
  }
  if (bench_.system->load(kName, table) && !bench_.world.power_is_cut())
    bench_.tell("contradiction accepted",
                fmt::format("a table that contradicts the cache was loaded: {}", table));
}

void Volume::set_fast_blocks(std::uint32_t blocks) {
  bench_.world.resize("fast", std::uint64_t{blocks} * workload_.system.block_sectors);
}

void Volume::resize(std::uint32_t blocks) {
  if (blocks == 0 || blocks > workload_.system.cache.blocks_max) return;
  if (!control_.suspend(kName)) return;
  set_fast_blocks(blocks);
  const bool worked = load(active_) && control_.resume(kName);
  if (worked) {
    fast_blocks_ = blocks;
    inactive_.reset();
    return;
  }
  // Smaller is refused where what would go is dirty.
  if (blocks >= fast_blocks_)
    tell_unless_excused("the cache does not grow", fmt::format("to {} blocks", blocks));
  set_fast_blocks(fast_blocks_);
  inactive_.reset();
  resumed(load(active_) && control_.resume(kName));
}

}   // namespace scenarios::cache
