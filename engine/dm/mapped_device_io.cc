// The way of a bio through a mapped device. Any context; nothing here suspends.
#include "engine/base/check.h"
#include "engine/dm/mapped_device.h"
#include "engine/io/splitter.h"

namespace engine::dm {

void MappedDevice::do_submit(Bio& bio) {
  if (gate_.enter()) [[likely]]
    dispatch(bio);
  else
    submit_closed(bio);
}

// The gate opens and closes under the lock, so a bio either enters or is on the list before the
// list is taken.
void MappedDevice::submit_closed(Bio& bio) {
  enum class Way : std::uint8_t { in, wait, refused } way = Way::in;
  {
    const SpinGuard guard{deferred_lock_};
    if (!gate_.enter()) {
      way = dead_ || !has_table() ? Way::refused : Way::wait;
      if (way == Way::wait) deferred_.push_back(bio);
    }
  }
  switch (way) {
    case Way::in:
      dispatch(bio);
      return;
    case Way::wait:
      return;
    case Way::refused:
      complete(object(), bio, Errc::io_error);
      return;
  }
}

// Inside the gate.
void MappedDevice::dispatch(Bio& bio) {
  const Table& table = *active_;
  if (bio.op == BioOp::flush || bio.preflush) {
    begin_split(bio);
    return;
  }
  if (bio.sector.value() > table.sectors() || bio.sectors > table.sectors() - bio.sector.value()) {
    finish(bio, Errc::io_error);
    return;
  }
  if (bio.sectors == 0) {
    finish(bio, Errc::ok);
    return;
  }
  const Table::Row& row = table.find(bio.sector);
  const std::uint64_t sectors = io::piece_sectors(bio.op, bio.sector - row.target->begin(),
                                                  bio.sectors, row.target->sectors(), row.limits);
  if (sectors == bio.sectors) [[likely]]
    map_piece(row, bio.op, 0, sectors, bio, nullptr);
  else
    begin_split(bio);
}

// Gives `sectors` of `parent`, from its sector number `done` on, to the row's target.
void MappedDevice::map_piece(const Table::Row& row, BioOp op, std::uint64_t done,
                             std::uint64_t sectors, Bio& parent, SplitBio* split) {
  io::MappedBio& piece = active_->bios.take();
  piece.op = op;
  piece.fua = op != BioOp::flush && parent.fua;
  piece.sector =
      op == BioOp::flush ? Sector{0} : Sector{parent.sector + done - row.target->begin()};
  piece.sectors = sectors;
  piece.data =
      op == BioOp::flush || parent.data == nullptr ? nullptr : parent.data + (done << kSectorShift);
  piece.mapped_sector = piece.sector;
  piece.mapped_sectors = sectors;
  piece.mapped_data = piece.data;
  piece.end_io = &MappedDevice::clone_ended;
  piece.core = this;
  piece.target = row.target.get();
  piece.parent = &parent;
  piece.core_data = split;
  if ((op == BioOp::discard && row.limits.discard_sectors_max == 0) ||
      (op == BioOp::write_zeroes && !row.limits.write_zeroes)) {
    end_mapped(piece, Errc::not_supported);
    return;
  }
  io::MapResult result{};
  {
    const ContextScope scope{ContextKind::caller};
    result = row.target->map(piece);
  }
  switch (result) {
    case io::MapResult::remapped:
      piece.issue();
      return;
    case io::MapResult::submitted:
      return;
    case io::MapResult::requeue:
      end_mapped(piece, Errc::requeue);
      return;
    case io::MapResult::kill:
      end_mapped(piece, Errc::io_error);
      return;
  }
}

void MappedDevice::begin_split(Bio& bio) {
  SplitBio& split = active_->splits.take();
  split.parent = &bio;
  split.status.store(Errc::ok, std::memory_order_relaxed);
  if (bio.op == BioOp::flush || bio.preflush)
    map_flushes(split);
  else
    map_data(split);
}

void MappedDevice::map_flushes(SplitBio& split) {
  split.flushing = true;
  split.missing.store(1, std::memory_order_relaxed);
  for (const Table::Row& row : active_->rows()) {
    split.missing.fetch_add(1, std::memory_order_relaxed);
    map_piece(row, BioOp::flush, 0, 0, *split.parent, &split);
  }
  piece_ended(split, Errc::ok);
}

void MappedDevice::map_data(SplitBio& split) {
  const Table& table = *active_;
  Bio& bio = *split.parent;
  split.flushing = false;
  split.missing.store(1, std::memory_order_relaxed);
  Errc status = Errc::ok;
  if (bio.sector.value() > table.sectors() || bio.sectors > table.sectors() - bio.sector.value())
    status = Errc::io_error;
  for (std::uint64_t done = 0; status == Errc::ok && done < bio.sectors;) {
    const Sector at = bio.sector + done;
    const Table::Row& row = table.find(at);
    const std::uint64_t sectors = io::piece_sectors(
        bio.op, at - row.target->begin(), bio.sectors - done, row.target->sectors(), row.limits);
    ENGINE_CHECK(sectors != 0, "{}: an empty piece at sector {}", device_name(), at);
    split.missing.fetch_add(1, std::memory_order_relaxed);
    map_piece(row, bio.op, done, sectors, bio, &split);
    done += sectors;
  }
  piece_ended(split, status);
}

void MappedDevice::piece_ended(SplitBio& split, Errc status) {
  // One piece handed back means all of it again, whatever became of the others.
  Errc known = split.status.load(std::memory_order_relaxed);
  while (status != Errc::ok && known != Errc::requeue &&
         (known == Errc::ok || status == Errc::requeue)) {
    if (split.status.compare_exchange_weak(known, status, std::memory_order_relaxed)) break;
  }
  also_touches(split.pieces);
  if (split.missing.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  Bio& parent = *split.parent;
  const Errc whole = split.status.load(std::memory_order_relaxed);
  if (split.flushing && whole == Errc::ok && parent.op != BioOp::flush) {
    map_data(split);
    return;
  }
  active_->splits.give(split);
  finish(parent, whole);
}

// A piece has come back from a lower device.
void MappedDevice::clone_ended(Bio& bio) {
  io::MappedBio& piece = io::MappedBio::from(bio);
  Errc status = piece.status;
  if (piece.target->end_io(piece, status) == io::EndResult::kept) return;
  piece.end(status);
}

void MappedDevice::end_mapped(io::MappedBio& piece, Errc status) {
  ENGINE_CHECK_ALIVE(!piece.submitted, "{}: a piece ends that is in flight below", device_name());
  Bio& parent = *piece.parent;
  auto* const split = static_cast<SplitBio*>(piece.core_data);
  active_->bios.give(piece);
  if (split != nullptr)
    piece_ended(*split, status);
  else
    finish(parent, status);
}

// The last thing that happens to a bio inside the gate: leaving comes after everything else, since
// a suspend may be waiting for it, and the table, or the device, may go at once.
void MappedDevice::finish(Bio& bio, Errc status) {
  if (status == Errc::requeue) {
    hand_back(bio);
  } else {
    schedule_point(OpKind::bio_complete, Access::write, &object(), std::source_location::current());
    complete(object(), bio, status);
  }
  gate_.leave();
}

// A no-flush suspend is under way, or should be: the bio waits for resume.
void MappedDevice::hand_back(Bio& bio) {
  bool kept = false;
  {
    const SpinGuard guard{deferred_lock_};
    kept = noflush_ && !dead_;
    if (kept) deferred_.push_back(bio);
  }
  if (!kept) complete(object(), bio, Errc::io_error);
}

}   // namespace engine::dm
