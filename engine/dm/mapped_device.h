// A device whose sectors are mapped by a table of targets. It is a block device itself, so mapped
// devices stack.
//
// Submission takes no lock and allocates nothing once warm: a bio counts itself into the gate,
// which keeps the active table in place, is cut into pieces, and counts itself out when it has
// ended. While the gate is closed bios wait on the deferred list.
//
// Keep:
//   - the active table changes, and its targets' postsuspend and preresume run, only while the gate
//     is closed and has drained;
//   - a bio leaves the gate last of all, when its pieces are back in the table's pools and its
//     submitter has been told: after that neither the table nor the device need exist;
//   - suspending, resuming and tearing down, internally too, exclude each other (suspend_lock_);
//   - lock order: suspend_lock_, table_lock_, deferred_lock_.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/dm/device_name.h"
#include "engine/dm/event_counter.h"
#include "engine/dm/making_way.h"
#include "engine/dm/table.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "engine/io/bio_list.h"
#include "engine/io/gate.h"

namespace engine::dm {

// The name comes first: traces know the device by it.
class MappedDevice final : private DeviceName,
                           public BlockDevice,
                           public io::OwnerDevice,
                           private io::MappedBioCore {
 public:
  // Has no table and fails every bio until resume() gives it one.
  explicit MappedDevice(std::string name);
  // shut_down() came before.
  ~MappedDevice() override;

  // --- Control. All suspend; any of them may be called at any time from several fibers. ---

  // Returns when nothing is in flight and nothing will be until resume(). With `flush` it waits for
  // bios that the targets keep waiting; with `noflush` those come back to the deferred list and go
  // on after resume, and so they do when another device suspends this one meanwhile (MakingWay).
  // Does nothing when suspended already.
  void suspend(io::SuspendKind kind);
  // Makes `next`, if there is one, the active table (suspending first where that has not been
  // done, in the way of `kind`), then resumes. On return `next` is the table that was replaced, to
  // be destroyed by the caller, in worker context. Errors: invalid when there is no table, or the
  // old table's type cannot be replaced (nothing changed); a target's preresume failure, which
  // leaves the device suspended with the new table.
  Result<void> resume(std::unique_ptr<Table>& next, io::SuspendKind kind);
  // Tells the targets of the active table (io::Target::stop_queueing).
  void stop_queueing();
  // What is deferred ends with io_error, and so does from now on what would wait for a resume.
  void refuse_waiting();
  // Quiesces for good: what is deferred and what still comes ends with io_error. Returns the active
  // table for the caller to destroy.
  [[nodiscard]] std::unique_ptr<Table> shut_down();

  // To the target at `sector`. Errors: invalid, or the target's.
  Result<std::string> message(Sector sector, std::span<const std::string_view> args);
  // In a trace it keeps the name it was made with. Calls exclude each other.
  void rename(std::string name) { DeviceName::set(std::move(name)); }
  // Of the active table; empty without one. While suspended nothing is committed.
  [[nodiscard]] std::string status(io::StatusCommit commit);
  [[nodiscard]] std::string table_text();
  // Whether a table of this immutable type ("": none) may follow the active one.
  [[nodiscard]] bool may_follow(std::string_view immutable_type);

  // --- io::OwnerDevice ---
  [[nodiscard]] std::string_view device_name() const noexcept override { return DeviceName::get(); }
  [[nodiscard]] BlockDevice& block_device() noexcept override { return *this; }
  void event() override { events_.add(); }
  [[nodiscard]] bool suspended() const noexcept override {
    return suspended_.load(std::memory_order_acquire);
  }
  void internal_suspend_noflush() override;
  void internal_resume() override;
  [[nodiscard]] std::size_t depth_over(const io::OwnerDevice& base) override;

  // --- BlockDevice ---
  [[nodiscard]] DeviceLimits limits() const noexcept override;

  [[nodiscard]] EventCounter& events() noexcept { return events_; }
  [[nodiscard]] bool user_suspended() const noexcept {
    return user_suspended_shown_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool has_table() const noexcept {
    return has_table_.load(std::memory_order_acquire);
  }
  // Bios between submission and end, without those that are deferred. For reports.
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return gate_.inside(); }

 private:
  // --- The way of a bio (mapped_device_io.cc). ---
  void do_submit(Bio& bio) override;
  [[nodiscard]] bool ranges_checked() const noexcept override { return false; }
  void submit_closed(Bio& bio);
  void dispatch(Bio& bio);
  void map_piece(const Table::Row& row, BioOp op, std::uint64_t done, std::uint64_t sectors,
                 Bio& parent, SplitBio* split);
  void begin_split(Bio& bio);
  void map_flushes(SplitBio& split);
  void map_data(SplitBio& split);
  void piece_ended(SplitBio& split, Errc status);
  static void clone_ended(Bio& bio);
  void end_mapped(io::MappedBio& bio, Errc status) override;
  void finish(Bio& bio, Errc status);
  void hand_back(Bio& bio);

  // --- Control. ---
  void quiesce(io::SuspendKind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(suspend_lock_);
  void drain(io::SuspendKind kind, std::source_location where = std::source_location::current())
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(suspend_lock_);
  void have_bios_handed_back();
  Mutex& lock_to_suspend_internally() ABSL_LOCK_RETURNED(suspend_lock_);
  std::uint32_t one_more_internal_suspend() ABSL_EXCLUSIVE_LOCKS_REQUIRED(suspend_lock_);
  void reopen() ABSL_EXCLUSIVE_LOCKS_REQUIRED(suspend_lock_);
  void install(std::unique_ptr<Table>& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(suspend_lock_);

  io::Gate gate_{"mapped.gate"};
  // Read inside the gate; changed when that has drained, under both locks.
  std::unique_ptr<Table> active_;

  Mutex suspend_lock_{"mapped.suspend"};
  bool user_suspended_ ABSL_GUARDED_BY(suspend_lock_) = true;
  bool resume_owed_ ABSL_GUARDED_BY(suspend_lock_) = false;   // targets: preresume without resume
  bool shut_down_ ABSL_GUARDED_BY(suspend_lock_) = false;
  std::uint32_t internal_suspends_ ABSL_GUARDED_BY(suspend_lock_) = 0;

  MakingWay making_way_;

  RwLock table_lock_{"mapped.table"};   // control actions that look at active_

  SpinLock deferred_lock_{"mapped.deferred"};   // the gate opens and closes under it
  io::BioList deferred_ ABSL_GUARDED_BY(deferred_lock_);
  bool noflush_ ABSL_GUARDED_BY(deferred_lock_) = false;   // bios may be handed back
  bool dead_ ABSL_GUARDED_BY(deferred_lock_) = false;

  SyncObject limits_object_{SyncObject::Quiet::yes, "mapped.limits"};
  mutable RawLock limits_raw_;
  DeviceLimits limits_;   // guarded by limits_raw_
  std::atomic<bool> suspended_{true};
  std::atomic<bool> user_suspended_shown_{true};
  std::atomic<bool> has_table_{false};
  EventCounter events_{"mapped.events"};
};

}   // namespace engine::dm
