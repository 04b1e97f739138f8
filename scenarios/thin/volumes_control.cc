// Control actions on a pool and its thins, and what is known of a thin afterwards.
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "scenarios/disks.h"
#include "scenarios/thin/options.h"
#include "scenarios/thin/volumes.h"

namespace scenarios::thin {

using engine::Errc;

engine::Result<void> Volumes::tell_pool(const std::string& text) {
  return control_.message(kPool, text);
}

Volumes::Exists Volumes::known_after(const engine::Result<void>& told, Exists wanted) const {
  if (told) return wanted;
  // Then the answer tells of a transaction that no longer comes to anything.
  if (bench_.world.power_is_cut()) return Exists::maybe;
  switch (told.error().code) {
    case Errc::exists:
      return Exists::yes;
    case Errc::not_found:
      return Exists::no;
    default:
      return Exists::maybe;
  }
}

void Volumes::create_thin(std::uint32_t id) {
  Thin& thin = thins_[id];
  const engine::MutexLock lock{thin.control};
  const auto told = tell_pool(fmt::format("create_thin {}", id));
  if (told) thin.undead = false;
  const bool reliable = !workload_.faults.may_roll_back();
  if (!told && told.error().code == Errc::exists && thin.exists == Exists::no && reliable)
    bench_.tell("thin exists that was deleted", fmt::format("create_thin {} says it exists", id));
  if (thin.exists == Exists::no) {
    if (thin.blocks == 0) thin.blocks = 4;
    bench_.changes();
    thin.exists = known_after(told, Exists::yes);
    // Even if it failed: the thin may be there after all, and is then empty.
    if (thin.exists != Exists::no && !thin.undead)
      bench_.oracle.create(id, sectors_of(thin), base_of(thin));
  } else if (told) {
    if (thin.exists == Exists::yes && reliable)
      bench_.tell("thin vanished", fmt::format("create_thin {} worked, but it existed", id));
    bench_.changes();
    thin.exists = Exists::yes;
    bench_.oracle.create(id, sectors_of(thin), base_of(thin));
  } else if (thin.exists == Exists::maybe && told.error().code == Errc::io_error) {
    // As it was, or deleted and made again: nobody can tell what it holds.
    bench_.oracle.remove(id);
  }
  activate(id);
}

void Volumes::create_snap(const Operation& operation) {
  if (operation.thin == operation.origin) return;
  Thin& snapshot = thins_[operation.thin];
  Thin& origin = thins_[operation.origin];
  const bool ordered = operation.thin < operation.origin;
  const engine::MutexLock first{ordered ? snapshot.control : origin.control};
  const engine::MutexLock second{ordered ? origin.control : snapshot.control};
  if (origin.exists == Exists::no || snapshot.exists != Exists::no) return;
  const std::string name = name_of(operation.origin);
  const bool active = is_active(operation.origin);
  const bool quiet = active && !operation.noflush;
  if (quiet) static_cast<void>(control_.suspend(name));
  bench_.changes();
  const bool lags = is_covered(operation.origin);
  const checkers::Moment begun = lags ? covered_since_ : bench_.oracle.begin_snapshot();
  const auto told = tell_pool(fmt::format("create_snap {} {}", operation.thin, operation.origin));
  bench_.changes();
  if (told) snapshot.undead = false;
  snapshot.exists = known_after(told, Exists::yes);
  if (snapshot.exists != Exists::no) {
    snapshot.blocks = origin.blocks;
    snapshot.external = origin.external;
    if (!snapshot.undead) bench_.oracle.snapshot(operation.thin, operation.origin, begun);
  }
  if (!lags) bench_.oracle.end_snapshot(begun);
  if (quiet) control_.resume(name);
  activate(operation.thin);
}

void Volumes::delete_thin(std::uint32_t id) {
  Thin& thin = thins_[id];
  const engine::MutexLock lock{thin.control};
  deactivate(id);
  const auto told = tell_pool(fmt::format("delete {}", id));
  if (!told && told.error().code == Errc::busy) return;
  if (!told && told.error().code == Errc::not_found && !bench_.world.power_is_cut()) {
    if (!bench_.system->info(kPool)) return;   // what it stands on was away when it was made again
    if (thin.exists == Exists::yes && !workload_.faults.may_roll_back())
      bench_.tell("thin vanished", fmt::format("delete {} does not find it", id));
  }
  bench_.changes();
  if (told) thin.undead = false;
  if (told || thin.exists != Exists::no) thin.exists = known_after(told, Exists::no);
  if (thin.exists == Exists::maybe) thin.undead = true;
  if (thin.exists == Exists::no) bench_.oracle.remove(id);
}

bool Volumes::is_active(std::uint32_t id) {
  return control_.is_active(name_of(id)) && control_.is_active(user_name_of(id));
}

std::string Volumes::table_of(std::uint32_t id) const {
  const Thin& thin = thins_[id];
  return fmt::format("0 {} thin {} {}{}{}", sectors_of(thin), kPool, id, thin.external ? " " : "",
                     thin.external ? kExternalOrigin : "");
}

void Volumes::load_thin(std::uint32_t id) {
  if (thins_[id].exists == Exists::no) return;
  static_cast<void>(bench_.system->load(name_of(id), table_of(id)));
}

void Volumes::activate(std::uint32_t id) {
  Thin& thin = thins_[id];
  if (thin.exists == Exists::no) return;
  if (!is_active(id)) deactivate(id);   // what an earlier activation left behind
  bench_.changes();
  thin.activating = true;
  static_cast<void>(bench_.system->create_with_table(name_of(id), table_of(id)));
  if (workload_.system.linear_above) {
    static_cast<void>(bench_.system->create_with_table(
        user_name_of(id), fmt::format("0 {} linear {} 0", sectors_of(thin), name_of(id))));
  }
  bench_.changes();
  thin.activating = false;
}

void Volumes::deactivate(std::uint32_t id) {
  if (workload_.system.linear_above) static_cast<void>(control_.remove(user_name_of(id)));
  const bool removed = control_.remove(name_of(id));
  bench_.changes();
  if (removed) bench_.oracle.closed(id);
}

// What is known of a thin does not depend on it, so somebody may do this who knows nothing of the
// others. But the oracle wants to know from when on nothing is lost any more, where anything may
// be.
void Volumes::meddle(std::uint32_t id, const Control::Action& action) {
  if (workload_.system.family == FamilyKind::thin && !workload_.faults.may_roll_back()) {
    action();
    return;
  }
  const engine::MutexLock lock{thins_[id].control};
  action();
}

// As monitors do: nobody is asked, and nobody waits.
void Volumes::look_around() {
  engine::dm::System& system = *bench_.system;
  for (const engine::dm::DeviceInfo& device : system.list()) {
    static_cast<void>(system.info(device.name));
    static_cast<void>(system.table(device.name));
    static_cast<void>(system.status(device.name));
  }
}

// Whatever the other layer has been told since may have come down, or may not have.
void Volumes::cover() {
  bench_.changes();
  covered_ = true;
  covered_since_ = bench_.oracle.begin_snapshot();
}

// A suspended pool refuses thins.
void Volumes::reactivate_first() {
  const engine::MutexLock lock{thins_[0].control};
  const engine::MutexLock pool{pool_control_};
  deactivate(0);
  activate(0);
}

void Volumes::remake() {
  std::array<std::optional<engine::MutexLock>, kIds> locks;
  for (std::uint32_t id = 0; id < kIds; ++id)
    locks[id].emplace(thins_[id].control);
  const engine::MutexLock pool{pool_control_};
  std::vector<std::uint32_t> gone;
  for (std::uint32_t id = 0; id < kIds; ++id) {
    if (!is_active(id)) continue;
    deactivate(id);
    gone.push_back(id);
  }
  control_.remove(kPool);
  if (!bench_.system->info(kPool)) {
    remade_ = true;
    const auto made = make_pool();
    // A cache below it may be away at the moment.
    if (bench_.calm && !made && made.error().code != Errc::not_found) {
      bench_.tell("pool does not open",
                  "it was removed, nothing failed, and it does not open again");
    }
  }
  for (const std::uint32_t id : gone)
    activate(id);
}

void Volumes::bounce_around(bool noflush, const Control::Action& meanwhile) {
  const engine::MutexLock lock{pool_control_};
  control_.bounce(kPool, noflush, below_.quiet, meanwhile);
}

void Volumes::load_pool() {
  static_cast<void>(
      bench_.system->load(kPool, pool_table(workload_.system, below_.data, data_blocks_)));
}

// The pool has to be in use for it.
void Volumes::contradict(Contradiction what) {
  SystemSpec other = workload_.system;
  std::string data = below_.data;
  switch (what) {
    case Contradiction::block_size:
      other.block_sectors *= 2;
      break;
    case Contradiction::discards:
      other.ignore_discard = !other.ignore_discard;
      break;
    case Contradiction::data_device:
      if (!other.spare_disk || other.family != FamilyKind::thin) return;
      data = kSpareDisk;
      break;
    case Contradiction::setting:
      return;   // a pool has none
  }
  // The length stays what it is: a pool may well be told of another.
  const std::uint64_t blocks = data_blocks_ * workload_.system.block_sectors / other.block_sectors;
  if (blocks == 0 || !control_.is_active(kPool)) return;
  const std::string table = pool_table(other, data, blocks);
  if (bench_.system->load(kPool, table) && !bench_.world.power_is_cut())
    bench_.tell("contradiction accepted",
                fmt::format("a table that contradicts the pool in use was loaded: {}", table));
}

void Volumes::reload_pool(bool noflush) {
  load_pool();
  control_.bounce(kPool, noflush, below_.quiet);
}

void Volumes::grow_data() {
  const engine::MutexLock lock{pool_control_};
  if (data_blocks_ >= workload_.system.data_device_blocks) return;
  ++data_blocks_;
  reload_pool(false);
}

void Volumes::grow_metadata() {
  const engine::MutexLock lock{pool_control_};
  if (metadata_blocks_ > 4 * workload_.system.metadata_blocks) return;
  metadata_blocks_ += workload_.system.metadata_growth_blocks;
  bench_.world.resize("metadata", metadata_blocks_ * engine::kMetaBlockSectors);
  control_.bounce(kPool, false, below_.quiet);
}

void Volumes::set_transaction() {
  const engine::MutexLock lock{pool_control_};
  if (tell_pool(fmt::format("set_transaction_id {} {}", transaction_, transaction_ + 1)))
    ++transaction_;
}

}   // namespace scenarios::thin
