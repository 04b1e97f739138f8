// The mode machine and what leads to its changes: commits, failures, space. Worker only.
//
//   write -> out_of_data_space       an allocation found nothing, even after a commit
//   out_of_data_space -> write       a commit that left free blocks; a block given back unused;
//                                    a new table
//   -> out_of_metadata_space         a commit after which nothing is left above the reserve
//   out_of_metadata_space -> write   the metadata device has grown
//   -> read_only                     a table asks for it; a change failed, or a lookup met damage
//                                    (then needs_check, too)
//   read_only -> write               a table asks for it, and needs_check is not set
//   -> fail                          an abort failed, or needs_check could not be recorded
#include <algorithm>
#include <array>

#include "engine/thin/pool.h"

namespace engine::thin {
namespace {

constexpr std::uint64_t kMetadataLowWaterMax = 1024;

// More than one change and its commit take from metadata of the size that has so little left.
constexpr std::uint64_t kTightMetadataBlocks = 16;

}   // namespace

const ModeHandlers& Pool::handlers_of(PoolMode mode) noexcept {
  static constexpr std::array<ModeHandlers, 5> kHandlers{{
      {PoolMode::write, &Pool::process_cell, &Pool::process_discard, &Pool::unmap_chunk,
       &Pool::insert_mapping, &Pool::continue_passdown},
      {PoolMode::out_of_data_space, &Pool::process_cell_read_only, &Pool::process_discard,
       &Pool::unmap_chunk, &Pool::insert_mapping, &Pool::continue_passdown},
      {PoolMode::out_of_metadata_space, &Pool::process_cell_read_only, &Pool::ignore_discard,
       &Pool::abandon_chunk, &Pool::drop_mapping, &Pool::abandon_passdown},
      {PoolMode::read_only, &Pool::process_cell_read_only, &Pool::ignore_discard,
       &Pool::abandon_chunk, &Pool::drop_mapping, &Pool::abandon_passdown},
      {PoolMode::fail, &Pool::process_cell_failing, &Pool::fail_discard, &Pool::abandon_chunk,
       &Pool::drop_mapping, &Pool::abandon_passdown},
  }};
  return kHandlers[static_cast<std::size_t>(mode)];
}

// A pool that needs checking is never written to, and a failed one stays failed.
void Pool::set_mode(PoolMode wanted, const char* reason) {
  const PoolMode old = mode();
  PoolMode next = wanted;
  if (old == PoolMode::fail) {
    next = PoolMode::fail;
  } else if (wanted == PoolMode::write) {
    const auto needs_check = metadata_->needs_check();
    if (!needs_check) {
      next = PoolMode::fail;
    } else if (*needs_check) {
      next = std::max(old, PoolMode::read_only);
    }
  }
  if (next != old) install_mode(next, reason);
}

// The metadata is told before the mode is published: nobody acts on a mode that it does not back.
void Pool::install_mode(PoolMode next, const char* reason) {
  const PoolMode old = mode();
  if (next == PoolMode::fail) {
    metadata_->fail_now();
  } else {
    metadata_->set_read_only(!changes_metadata(next));
  }
  handlers_.store(&handlers_of(next));
  trace_event(OpKind::mode_change, &object_, std::source_location::current(),
              static_cast<std::uint64_t>(old), static_cast<std::uint64_t>(next), 0, reason);
  if (old == PoolMode::out_of_data_space) no_space_.cancel();
  switch (next) {
    case PoolMode::write:
      error_if_no_space_.store(wants_error_if_no_space());
      // What is owed takes metadata, of which there is none until it has grown.
      if (old != PoolMode::out_of_metadata_space) settle_debts();
      retry_queued_bios();
      break;
    case PoolMode::out_of_data_space:
      arm_no_space_timer();
      break;
    case PoolMode::out_of_metadata_space:
    case PoolMode::read_only:
    case PoolMode::fail:
      fail_queued_bios(Errc::io_error);
      break;
  }
  owner_.event();
}

void Pool::metadata_failed(const char* operation, const Error& error) {
  static_cast<void>(error);
  if (!changes_metadata(mode())) return;   // it has been dealt with
  changed_ = false;
  debts_.clear();
  if (!metadata_->abort()) {
    set_mode(PoolMode::fail, "the transaction could not be aborted");
    return;
  }
  if (!metadata_->set_needs_check()) {
    set_mode(PoolMode::fail, "needs_check could not be recorded");
    return;
  }
  set_mode(PoolMode::read_only, operation);
}

// Nothing is aborted, for nothing has failed to be changed: the round has committed what was open,
// which rests on no block that nobody can read. An abort would read all of the metadata anew and,
// where that meets the damage, fail the thins that are whole.
void Pool::metadata_is_damaged() {
  if (!changes_metadata(mode())) return;   // it has been dealt with
  if (changed_) {   // the data device does not flush, and nobody will commit this any more
    metadata_failed("lookup", Error{.code = Errc::corrupt});
    return;
  }
  if (!metadata_->set_needs_check()) {
    set_mode(PoolMode::fail, "needs_check could not be recorded");
    return;
  }
  set_mode(PoolMode::read_only, "damaged metadata");
}

// A data device that fails to flush is no fault of the metadata, nothing of which has been written
// then: who asked for durability is told, and the transaction stays open.
Result<void> Pool::commit() {
  auto done = try_commit();
  if (!done && done.error().code != Errc::read_only && !data_flush_failed_) {
    metadata_failed("commit", done.error());
  }
  return done;
}

Result<void> Pool::try_commit() {
  if (!changes_metadata(mode())) return fail(Errc::read_only, 0, "the pool's metadata is fixed");
  trace_event(OpKind::commit_begin, &object_, std::source_location::current());
  data_flush_failed_ = false;
  auto done = metadata_->commit();
  trace_event(OpKind::commit_end, &object_, std::source_location::current(), 0,
              static_cast<std::uint64_t>(done ? Errc::ok : done.error().code));
  last_commit_ = worker_.executor().now();
  if (!done) {
    changed_ = true;   // a message's change too is tried again by the tick
    return done;
  }
  changed_ = false;
  check_metadata_space();
  check_data_space();
  return {};
}

Result<void> Pool::commit_if_changed() {
  if (!changed_) return {};
  return commit();
}

// Where metadata may run out in the middle of a change, what came before is committed first: the
// abort that follows then takes back nothing that anybody was told of.
bool Pool::ready_to_change() {
  if (changed_ && changes_metadata(mode()) && metadata_is_tight()) static_cast<void>(commit());
  return changes_metadata(mode());
}

bool Pool::metadata_is_tight() {
  const auto free = metadata_->free_metadata_blocks_raw();
  return free && *free < kTightMetadataBlocks;
}

// What was freed becomes usable by a commit, so this comes after it; what was not used, at once.
void Pool::check_data_space() {
  if (mode() != PoolMode::out_of_data_space) return;
  const auto free = metadata_->free_data_blocks();
  if (free && *free > 0) set_mode(PoolMode::write, "data space was freed");
}

void Pool::check_metadata_space() {
  check_metadata_low_water();
  const auto free = metadata_->free_metadata_blocks();
  if (free && *free == 0) set_mode(PoolMode::out_of_metadata_space, "metadata is full");
}

void Pool::check_low_water(std::uint64_t free_blocks) {
  if (low_water_signalled_ || free_blocks > config_.low_water_blocks) return;
  low_water_signalled_ = true;
  owner_.event();
}

std::uint64_t Pool::metadata_low_water(std::uint64_t blocks) noexcept {
  return std::min(kMetadataLowWaterMax, blocks / 4);
}

void Pool::check_metadata_low_water() {
  const auto total = metadata_->metadata_blocks();
  const auto free = metadata_->free_metadata_blocks_raw();
  if (!total || !free) return;
  const bool low = *free <= metadata_low_water(*total);
  if (low && !metadata_low_signalled_) owner_.event();
  metadata_low_signalled_ = low;
}

// A deadline of its own, because an older timer may have fired and wait for the worker.
void Pool::arm_no_space_timer() {
  if (options_.no_space_timeout == Nanos{0} || error_if_no_space_.load() || suspended_.load()) {
    return;
  }
  no_space_deadline_ = worker_.executor().now() + options_.no_space_timeout;
  no_space_.queue_after(worker_, options_.no_space_timeout);
}

// Only the policy changes. The metadata is sound: there is nothing to abort or to check.
void Pool::no_space_timed_out() {
  if (mode() != PoolMode::out_of_data_space || error_if_no_space_.load()) return;
  if (worker_.executor().now() < no_space_deadline_) return;
  error_if_no_space_.store(true);
  fail_queued_bios(Errc::no_data_space);
  owner_.event();
}

bool Pool::wants_error_if_no_space() const noexcept {
  return queueing_stopped_ || config_.features.error_if_no_space;
}

void Pool::stop_queueing() {
  on_worker("pool.stop_queueing", [this] {
    queueing_stopped_ = true;
    error_if_no_space_.store(true);
    fail_queued_bios(Errc::no_data_space);
    return true;
  });
}

std::optional<Errc> Pool::unserviceable_status() const {
  if (mode() != PoolMode::out_of_data_space) return Errc::io_error;
  if (error_if_no_space_.load()) return Errc::no_data_space;
  return std::nullopt;
}

// References that could not be dropped while the pool was out of metadata space.
void Pool::settle_debts() {
  for (const DataRange& owed : std::exchange(debts_, {})) {
    if (!ready_to_change()) return;
    changed_ = true;
    if (auto dropped = metadata_->dec_data_range(owed.begin, owed.end); !dropped) {
      metadata_failed("drop references", dropped.error());
    }
  }
}

}   // namespace engine::thin
