#include "engine/dm/mapped_device.h"

#include <utility>

#include "engine/base/check.h"

namespace engine::dm {

MappedDevice::MappedDevice(std::string name) : DeviceName{std::move(name)}, BlockDevice{first()} {}

MappedDevice::~MappedDevice() {
  ENGINE_CHECK_ALIVE(active_ == nullptr, "{}: destroyed with a table", device_name());
}

// --- Suspend and resume. ---

void MappedDevice::suspend(io::SuspendKind kind) {
  const MutexLock lock{suspend_lock_};
  if (user_suspended_) return;
  if (internal_suspends_ == 0) quiesce(kind);
  resume_owed_ = false;
  user_suspended_ = true;
  user_suspended_shown_.store(true, std::memory_order_release);
}

// Until nothing is in flight. A table that was never resumed has seen no bio.
void MappedDevice::quiesce(io::SuspendKind kind) {
  if (kind == io::SuspendKind::noflush) {
    const SpinGuard guard{deferred_lock_};
    noflush_ = true;
  }
  if (active_ != nullptr) active_->presuspend(kind);
  {
    const SpinGuard guard{deferred_lock_};
    gate_.close();
  }
  drain(kind);
  suspended_.store(true, std::memory_order_release);
  if (active_ != nullptr) active_->postsuspend();
}

void MappedDevice::reopen() {
  io::BioList waiting;
  {
    const SpinGuard guard{deferred_lock_};
    noflush_ = false;
    waiting.splice(waiting.end(), deferred_);
    suspended_.store(false, std::memory_order_release);
    gate_.open();
  }
  // Newcomers may overtake them: bios in flight together have no order.
  while (!waiting.empty()) {
    Bio& bio = waiting.front();
    waiting.pop_front();
    do_submit(bio);
  }
}

void MappedDevice::install(std::unique_ptr<Table>& next) {
  const WriteLock lock{table_lock_};
  active_.swap(next);
  has_table_.store(true, std::memory_order_release);
}

Result<void> MappedDevice::resume(std::unique_ptr<Table>& next, io::SuspendKind kind) {
  const MutexLock lock{suspend_lock_};
  if (shut_down_) return fail(Errc::not_found, 0, "the device has been removed");
  if (next != nullptr && active_ != nullptr && !may_follow(next->immutable_type()))
    return fail(Errc::invalid, 0, "the target type of the device cannot be replaced");
  if (next == nullptr && active_ == nullptr) return fail(Errc::invalid, 0, "no table to resume");
  if (next == nullptr && !user_suspended_) return {};
  if (!user_suspended_ && internal_suspends_ == 0) quiesce(kind);
  user_suspended_ = true;
  user_suspended_shown_.store(true, std::memory_order_release);
  if (next != nullptr) install(next);
  ENGINE_TRY(active_->preresume());
  {
    const RawGuard guard{limits_raw_};
    also_touches(limits_object_);
    limits_ = active_->device_limits();
  }
  user_suspended_ = false;
  user_suspended_shown_.store(false, std::memory_order_release);
  if (internal_suspends_ != 0) {
    resume_owed_ = true;   // by the last internal_resume()
    return {};
  }
  active_->resume();
  reopen();
  return {};
}

// --- Internal suspends: by a pool, of its thin devices. ---

void MappedDevice::internal_suspend_noflush() {
  const MutexLock lock{lock_to_suspend_internally()};
  if (one_more_internal_suspend() != 1 || user_suspended_) return;
  quiesce(io::SuspendKind::noflush);
}

void MappedDevice::internal_resume() {
  const MutexLock lock{suspend_lock_};
  ENGINE_CHECK(internal_suspends_ != 0, "{}: resumed internally but never suspended",
               device_name());
  if (--internal_suspends_ != 0 || user_suspended_) return;
  if (std::exchange(resume_owed_, false)) active_->resume();
  reopen();
}

void MappedDevice::refuse_waiting() {
  io::BioList waiting;
  {
    const SpinGuard guard{deferred_lock_};
    dead_ = true;
    waiting.splice(waiting.end(), deferred_);
  }
  while (!waiting.empty()) {
    Bio& bio = waiting.front();
    waiting.pop_front();
    complete(object(), bio, Errc::io_error);
  }
}

// Under suspend_lock_, like every other quiescing: another device may be about to suspend this one.
std::unique_ptr<Table> MappedDevice::shut_down() {
  const MutexLock lock{suspend_lock_};
  shut_down_ = true;
  if (!user_suspended_ && internal_suspends_ == 0) quiesce(io::SuspendKind::flush);
  user_suspended_ = true;   // for good: internal resumes leave it alone
  user_suspended_shown_.store(true, std::memory_order_release);
  refuse_waiting();
  events_.stop();
  std::unique_ptr<Table> last;
  const WriteLock table_lock{table_lock_};
  last.swap(active_);
  return last;
}

// --- What looks at the active table. ---

bool MappedDevice::may_follow(std::string_view immutable_type) {
  const ReadLock lock{table_lock_};
  return active_ == nullptr || active_->immutable_type().empty() ||
         active_->immutable_type() == immutable_type;
}

Result<std::string> MappedDevice::message(Sector sector, std::span<const std::string_view> args) {
  const ReadLock lock{table_lock_};
  if (active_ == nullptr) return fail(Errc::invalid, 0, "the device has no table");
  if (sector.value() >= active_->sectors())
    return fail(Errc::invalid, sector.value(), "no target at that sector");
  if (args.empty()) return fail(Errc::invalid, 0, "an empty message");
  return active_->find(sector).target->message(args);
}

void MappedDevice::stop_queueing() {
  const ReadLock lock{table_lock_};
  if (active_ == nullptr) return;
  for (const Table::Row& row : active_->rows())
    row.target->stop_queueing();
}

std::string MappedDevice::status(io::StatusCommit commit) {
  const ReadLock lock{table_lock_};
  if (active_ == nullptr) return {};
  return active_->status_text(suspended() ? io::StatusCommit::no : commit);
}

std::string MappedDevice::table_text() {
  const ReadLock lock{table_lock_};
  return active_ == nullptr ? std::string{} : active_->table_text();
}

// Of its active table, which keeps what is below open.
std::size_t MappedDevice::depth_over(const io::OwnerDevice& base) {
  if (&base == this) return 0;
  std::size_t below = 0;
  const ReadLock lock{table_lock_};
  if (active_ == nullptr) return 1;
  for (const Table::Row& row : active_->rows()) {
    row.target->for_each_device([&](const io::DeviceRef& device) {
      if (device.mapped() != nullptr) below = std::max(below, device.mapped()->depth_over(base));
    });
  }
  return below + 1;
}

DeviceLimits MappedDevice::limits() const noexcept {
  const RawGuard guard{limits_raw_};
  also_touches(limits_object_, Access::read);
  return limits_;
}

// --- Making way. ---

// At the device's end nobody has it open, and none of its bios waits for another device.
void MappedDevice::drain(io::SuspendKind kind, std::source_location where) {
  const bool flushes = kind == io::SuspendKind::flush && !shut_down_;
  const bool makes_way = flushes && making_way_.begin_flush();
  if (flushes && !makes_way) have_bios_handed_back();
  gate_.drain(where);
  if (makes_way) making_way_.end_flush();
}

// While a suspend that flushes waits for the gate, or is about to: until then the table stays.
void MappedDevice::have_bios_handed_back() {
  {
    const SpinGuard guard{deferred_lock_};
    noflush_ = true;
  }
  if (active_ != nullptr) active_->presuspend(io::SuspendKind::noflush);
}

Mutex& MappedDevice::lock_to_suspend_internally() {
  if (making_way_.coming()) {
    have_bios_handed_back();
    making_way_.handed_back();
  }
  return suspend_lock_;
}

std::uint32_t MappedDevice::one_more_internal_suspend() {
  making_way_.has_come();
  return ++internal_suspends_;
}

}   // namespace engine::dm
