#include "engine/thin/pool_view.h"

#include <fmt/format.h>

#include "engine/thin/pool.h"

namespace engine::thin {

PoolMode PoolView::mode() const noexcept {
  return pool_.mode_peek();
}

bool PoolView::error_if_no_space() const noexcept {
  return pool_.error_if_no_space_.peek();
}

PoolCounts PoolView::counts() const {
  PoolCounts counts;
  for (ThinPin thin = pool_.active_.first(); thin; thin = pool_.active_.next(thin)) {
    ++counts.active_thins;
    counts.queued_bios += thin->queued();
    counts.waiting_for_space += thin->waiting_for_space();
  }
  counts.cells_held = pool_.prison_.held();
  counts.cells_in_use = pool_.caller_cells_.in_use() + pool_.worker_cells_.in_use();
  counts.mappings = pool_.mappings_.in_use();
  counts.passdowns = pool_.passdowns_.in_use();
  counts.discard_chunks = pool_.chunks_.in_use();
  counts.waiting_discards = pool_.waiting_discards_.size();
  counts.waiting_flushes = pool_.deferred_flushes_.size() + pool_.flush_completions_.size();
  counts.all_io = pool_.all_io_.in_use();
  counts.shared_reads = pool_.shared_reads_.in_use();
  counts.copies = pool_.copier_.in_use();
  return counts;
}

std::vector<DataRange> PoolView::pinned() const {
  std::vector<DataRange> runs;
  for (const Passdown& passdown : pool_.pinned_)
    runs.push_back(passdown.run);
  return runs;
}

std::vector<std::string> PoolView::leaks() const {
  std::vector<std::string> found;
  const auto judge = [&](const char* what, std::uint64_t count) {
    if (count != 0) found.push_back(fmt::format("{} {}", count, what));
  };
  std::uint64_t staged = 0;
  const PoolCounts now = pool_.on_worker("pool.view", [&] {
    staged = pool_.metadata_->staged_data_blocks();
    return counts();
  });
  judge("bios queued", now.queued_bios);
  judge("cells held", now.cells_held);
  judge("cells in use", now.cells_in_use);
  judge("mappings in preparation", now.mappings);
  judge("data blocks taken and not mapped", staged);
  judge("passdowns in flight", now.passdowns);
  judge("discards half done", now.discard_chunks);
  judge("discards waiting", now.waiting_discards);
  judge("flushes waiting", now.waiting_flushes);
  judge("bios counted in all_io", now.all_io);
  judge("bios counted in shared_reads", now.shared_reads);
  judge("copies under way", now.copies);
  return found;
}

// A thin's lists first, and without the worker: asking it would wake it, whom somebody may have
// forgotten to wake.
bool PoolView::waits_only_for_space() const {
  if (mode() != PoolMode::out_of_data_space || error_if_no_space()) return false;
  if (pool_.options_.no_space_timeout != Nanos{0}) return false;
  for (ThinPin thin = pool_.active_.first(); thin; thin = pool_.active_.next(thin)) {
    if (thin->queued() != thin->waiting_for_space()) return false;
  }
  return pool_.on_worker("pool.view", [&] {
    const PoolCounts now = counts();
    PoolCounts expected;
    expected.active_thins = now.active_thins;
    expected.queued_bios = expected.waiting_for_space = now.waiting_for_space;
    if (now.waiting_for_space == 0 || now != expected) return false;
    // Where anything has changed a commit is due, and may be what frees a block. One that the data
    // device failed is tried again when the pool is told to commit, as by its timer.
    if (pool_.changed_) return pool_.data_flush_failed_;
    const auto free = pool_.metadata_->free_data_blocks();
    return free && *free == 0;
  });
}

Result<std::uint64_t> PoolView::free_data_blocks() const {
  return pool_.metadata_->free_data_blocks();
}

Result<std::uint64_t> PoolView::data_blocks() const {
  return pool_.metadata_->data_blocks();
}

Result<std::uint64_t> PoolView::free_metadata_blocks() const {
  return pool_.metadata_->free_metadata_blocks();
}

Result<std::uint32_t> PoolView::data_ref_count(DataBlock block) const {
  return pool_.metadata_->data_ref_count(block);
}

Result<bool> PoolView::needs_check() const {
  return pool_.metadata_->needs_check();
}

}   // namespace engine::thin
