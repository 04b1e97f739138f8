// The worker's round: what has been finished, then what has been deferred, then one commit for all
// that asked for durability.
#include <utility>

#include "engine/base/check.h"
#include "engine/thin/pool.h"

namespace engine::thin {
namespace {

[[nodiscard]] bool wants_durability(const Bio& bio) noexcept {
  return bio.op == BioOp::flush || bio.fua;
}

// May it be sent below as soon as its block's mapping is known?
[[nodiscard]] bool goes_straight(const Bio& bio, const Mapping& mapping) noexcept {
  if (wants_durability(bio) || bio.op == BioOp::discard) return false;
  return !mapping.shared || bio.op == BioOp::read;
}

}   // namespace

void Pool::round() {
  process_prepared();
  process_thins();
  commit_batch();
}

void Pool::tick() {
  tick_armed_ = false;
  round();
}

// Only while something is uncommitted: an idle pool does not wake up.
void Pool::arm_tick() {
  if (!changed_ || tick_armed_ || options_.commit_interval == Nanos{0}) return;
  if (suspended_.load() || !changes_metadata(mode())) return;
  const Nanos age = worker_.executor().now() - last_commit_;
  tick_armed_ = true;
  tick_.queue_after(worker_, std::max(options_.commit_interval - age, Nanos{0}));
}

// Mappings before discards: a discard that waited for a bio finds the block that the bio mapped.
void Pool::process_prepared() {
  MappingList mappings;
  io::BioList discards;
  PassdownList passdowns;
  {
    const SpinGuard guard{lock_};
    mappings.swap(prepared_mappings_);
    discards.swap(quiesced_discards_);
    passdowns.swap(ended_passdowns_);
  }
  while (!mappings.empty()) {
    NewMapping& mapping = mappings.front();
    mappings.pop_front();
    (this->*handlers_.peek()->prepared_mapping)(mapping);
  }
  while (!discards.empty())
    (this->*handlers_.peek()->quiesced_discard)(*discard_of(io::pop(discards)).chunk);
  while (!passdowns.empty()) {
    Passdown& passdown = passdowns.front();
    passdowns.pop_front();
    (this->*handlers_.peek()->ended_passdown)(passdown);
  }
  resume_waiting_discards();
}

// Each thin is pinned in a read section and processed outside of it: processing blocks, for cells
// and for metadata. The pin keeps the thin; ActiveThins::next() finds the way on from one that has
// been unlinked meanwhile.
void Pool::process_thins() {
  for (ThinPin thin = active_.first(); thin; thin = active_.next(thin))
    process_thin(*thin);
}

void Pool::process_thin(ThinDevice& thin) {
  if (thin.requeueing()) {
    requeue_queued(thin);
    return;
  }
  io::BioList bios;
  CellList cells;
  thin.take_deferred(bios, cells);
  cells.sort([](const io::Cell& a, const io::Cell& b) { return a.key().begin < b.key().begin; });
  bios.sort([](const Bio& a, const Bio& b) { return a.sector < b.sector; });
  process_cells(thin, cells);
  process_bios(thin, bios);
}

void Pool::process_cells(ThinDevice& thin, CellList& cells) {
  while (!cells.empty()) {
    PoolCell& cell = pop_cell(cells);
    (this->*handlers_.peek()->cell)(thin, cell);
  }
}

void Pool::process_bios(ThinDevice& thin, io::BioList& bios) {
  while (!bios.empty())
    process_bio(thin, io::pop(bios));
}

// The worker may wait for a cell, but never does for long: those it holds itself are fewer than the
// pool has.
void Pool::process_bio(ThinDevice& thin, io::MappedBio& bio) {
  if (bio.op == BioOp::flush) {
    process_flush(bio);
    return;
  }
  if (bio.op == BioOp::discard) {
    (this->*handlers_.peek()->discard)(thin, bio);
    return;
  }
  PoolCell& cell = worker_cells_.take(std::source_location::current(), CellHome::worker);
  const io::CellKey key = io::virtual_key(thin.id(), thin.block_of(bio));
  if (claim(key, bio, cell) == io::Prison::Detained::inmate) return;
  (this->*handlers_.peek()->cell)(thin, cell);
}

void Pool::process_flush(io::MappedBio& bio) {
  bio.remap(data_, Sector{0});
  issue(bio);
}

void Pool::resume_waiting_discards() {
  io::BioList waiting;
  waiting.swap(waiting_discards_);
  while (!waiting.empty()) {
    io::MappedBio& bio = io::pop(waiting);
    if (DiscardChunk* const chunk = discard_of(bio).chunk) {
      (this->*handlers_.peek()->quiesced_discard)(*chunk);
    } else {
      (this->*handlers_.peek()->discard)(*state_of(bio).thin, bio);
    }
  }
}

// Out of data space a commit is due as soon as there is anything to commit: it may be what frees a
// block for those who wait.
void Pool::commit_batch() {
  const Nanos age = worker_.executor().now() - last_commit_;
  const bool due = changed_ && changes_metadata(mode()) &&
                   (mode() == PoolMode::out_of_data_space || damaged_ ||
                    (options_.commit_interval != Nanos{0} && age >= options_.commit_interval));
  if (due || !deferred_flushes_.empty() || !flush_completions_.empty() ||
      !uncommitted_passdowns_.empty()) {
    io::BioList flushes;
    io::BioList completions;
    PassdownList passdowns;
    flushes.swap(deferred_flushes_);
    completions.swap(flush_completions_);
    passdowns.swap(uncommitted_passdowns_);
    const auto committed = commit();
    end_flushes(flushes, completions, committed ? Errc::ok : Errc::io_error);
    while (!passdowns.empty()) {
      Passdown& passdown = passdowns.front();
      passdowns.pop_front();
      if (committed) {
        issue_piece(passdown);
      } else {
        // Where only the data device failed to flush, the references can be dropped all the same.
        finish_passdown(passdown);
      }
    }
  }
  if (std::exchange(damaged_, false)) metadata_is_damaged();
  arm_tick();
}

// The commit has flushed the data device, so empty flushes are done. FUA writes to mapped blocks go
// below now that their mappings are durable.
void Pool::end_flushes(io::BioList& flushes, io::BioList& completions, Errc status) {
  while (!completions.empty())
    finish(io::pop(completions), status);
  while (!flushes.empty()) {
    io::MappedBio& bio = io::pop(flushes);
    if (status != Errc::ok || bio.op == BioOp::flush) {
      finish(bio, status);
    } else {
      bio.issue();
    }
  }
}

void Pool::requeue_queued(ThinDevice& thin) {
  io::BioList bios;
  CellList cells;
  thin.take_deferred(bios, cells);
  thin.take_retries(bios);
  while (!cells.empty()) {
    PoolCell& cell = pop_cell(cells);
    prison_.release_all(cell, bios);
    give_cell(cell);
  }
  while (!bios.empty())
    finish(io::pop(bios), Errc::requeue);
}

void Pool::retry_queued_bios() {
  for (ThinPin thin = active_.first(); thin; thin = active_.next(thin)) {
    io::BioList bios;
    thin->take_retries(bios);
    thin->defer_all(bios);
  }
}

void Pool::fail_queued_bios(Errc status) {
  for (ThinPin thin = active_.first(); thin; thin = active_.next(thin))
    fail_queued_bios(*thin, status);
}

void Pool::fail_queued_bios(ThinDevice& thin, Errc status) {
  io::BioList bios;
  thin.take_retries(bios);
  while (!bios.empty())
    finish(io::pop(bios), status);
}

void Pool::issue(io::MappedBio& bio) {
  if (wants_durability(bio)) {
    const OpenThin& thin = state_of(bio).thin->metadata();
    if (metadata_->aborted_with_changes(thin)) {
      finish(bio, Errc::io_error);   // what it would make durable has been lost
      return;
    }
    if (metadata_->changed_this_transaction(thin)) {
      deferred_flushes_.push_back(bio);
      return;
    }
  }
  bio.issue();
}

void Pool::issue_cell(ThinDevice& thin, PoolCell& cell, const Mapping& mapping) {
  io::MappedBio& bio = cell.bio();
  count_in(bio, mapping);
  remap(bio, mapping.block);
  issue_inmates(thin, cell, mapping);
  issue(bio);
}

// They are counted under the prison's lock: whoever claims the block next must find them in all_io.
void Pool::issue_inmates(ThinDevice& thin, PoolCell& cell, const Mapping& mapping) {
  io::BioList straight;
  io::BioList later;
  prison_.visit_release(cell, [&](io::BioList& inmates) {
    while (!inmates.empty()) {
      io::MappedBio& bio = io::pop(inmates);
      if (!goes_straight(bio, mapping)) {
        later.push_back(bio);
        continue;
      }
      count_in(bio, mapping);
      remap(bio, mapping.block);
      straight.push_back(bio);
    }
  });
  give_cell(cell);
  thin.defer_all(later);
  while (!straight.empty())
    io::pop(straight).issue();
}

void Pool::fail_cell(ThinDevice& thin, PoolCell& cell, Errc status) {
  io::MappedBio& bio = cell.bio();
  release_cell(thin, cell);
  finish(bio, status);
}

// The holder waits for space; its inmates may not need any.
void Pool::retry_cell(ThinDevice& thin, PoolCell& cell) {
  io::BioList holder;
  holder.push_back(cell.bio());
  thin.queue_for_retry(holder);
  release_cell(thin, cell);
}

void Pool::process_cell_failing(ThinDevice& thin, PoolCell& cell) {
  fail_cell(thin, cell, Errc::io_error);
}

}   // namespace engine::thin
