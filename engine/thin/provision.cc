// Giving a virtual block its data block.
//
// The whole data block is filled, before it is mapped: with what the bio writes, and for the rest
// with zeroes, or from the block that it is a copy of, or from the external origin. The copier puts
// the bio's part between the rest, so a small write costs one transfer; a bio that overwrites the
// whole block, or that needs no filling, goes straight to it. When all has ended, the worker
// inserts the mapping; only then does the bio end, and one with FUA only after the commit that
// makes the mapping durable. Until then the claim on the virtual block is held.
//
// So a new block is never visible half filled, and a failure leaves things as they were: the
// mapping is not inserted and the block is free again.
#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/thin/pool.h"

namespace engine::thin {

void Pool::process_cell(ThinDevice& thin, PoolCell& cell) {
  serve_cell(thin, cell, NewBlocks::give);
}

// Without allocations: out of space, or read-only.
void Pool::process_cell_read_only(ThinDevice& thin, PoolCell& cell) {
  serve_cell(thin, cell, NewBlocks::refuse);
}

void Pool::serve_cell(ThinDevice& thin, PoolCell& cell, NewBlocks new_blocks) {
  io::MappedBio& bio = cell.bio();
  const auto found = metadata_->lookup(thin.metadata(), thin.block_of(bio));
  if (!found) {
    lookup_failed(found.error());
    fail_cell(thin, cell, Errc::io_error);
    return;
  }
  const std::optional<Mapping>& mapping = *found;
  if (mapping && (!mapping->shared || bio.op == BioOp::read)) {
    issue_cell(thin, cell, *mapping);
  } else if (!mapping && !needs_block(thin, bio)) {
    serve_unmapped(thin, cell);
  } else if (new_blocks == NewBlocks::refuse) {
    refuse_cell(thin, cell);
  } else if (mapping) {
    break_sharing(thin, cell, *mapping);
  } else {
    provision(thin, cell);
  }
}

void Pool::refuse_cell(ThinDevice& thin, PoolCell& cell) {
  if (const auto status = unserviceable_status()) {
    fail_cell(thin, cell, *status);
  } else if (thin.draining()) {
    fail_cell(thin, cell, Errc::no_data_space);
  } else {
    retry_cell(thin, cell);
  }
}

void Pool::provision(ThinDevice& thin, PoolCell& cell) {
  NewMapping* const mapping = begin_mapping(thin, cell);
  if (mapping == nullptr) return;
  if (overwrites_block(cell.bio())) {
    // Nothing is left to be filled.
  } else if (thin.origin() != nullptr) {
    fill_from_origin(*mapping);
  } else if (config_.features.zero_new_blocks) {
    add_zero_fill(*mapping, 0, block_sectors_);
  }
  start_mapping(*mapping);
}

// The block is ours in memory alone until it is mapped, so no commit of the meantime leaks it.
Result<DataBlock> Pool::alloc_data_block() {
  if (!ready_to_change() || mode() != PoolMode::write) {
    return fail(Errc::read_only, 0, "the pool does not allocate");
  }
  ENGINE_TRY_ASSIGN(const std::uint64_t free, metadata_->free_data_blocks());
  check_low_water(free);
  ENGINE_TRY_ASSIGN(const std::uint64_t free_metadata, metadata_->free_metadata_blocks());
  if (free_metadata == 0) {
    ENGINE_TRY(commit());
    if (mode() != PoolMode::write) return fail(Errc::no_metadata_space, 0, "metadata is full");
  }
  auto block = metadata_->alloc_data_block();
  if (!block && block.error().code == Errc::no_data_space && changed_) {
    // What was freed since the last commit becomes usable by one.
    ENGINE_TRY(commit());
    if (mode() != PoolMode::write) return fail(Errc::no_metadata_space, 0, "metadata is full");
    block = metadata_->alloc_data_block();
  }
  if (block) {
    trace_event(OpKind::data_block_alloc, &object_, std::source_location::current(),
                block->value());
    return block;
  }
  if (block.error().code == Errc::no_data_space) {
    set_mode(PoolMode::out_of_data_space, "no free data block");
  } else {
    metadata_failed("allocate data block", block.error());
  }
  return block;
}

// The block was never mapped. No commit is needed for another to have it.
void Pool::give_back_data_block(DataBlock block) {
  metadata_->give_back_data_block(block);
  check_data_space();
}

NewMapping* Pool::begin_mapping(ThinDevice& thin, PoolCell& cell) {
  if (mappings_live_ == options_.mappings_max) {
    // Each mapping that ends wakes the worker, which looks here again.
    io::BioList none;
    CellList cells;
    cells.push_back(cell);
    thin.put_back(none, cells);
    return nullptr;
  }
  const auto block = alloc_data_block();
  if (!block) {
    refuse_cell(thin, cell);
    return nullptr;
  }
  NewMapping* const mapping =
      mappings_.try_take(std::source_location::current(), *this, thin, cell);
  ENGINE_CHECK(mapping != nullptr, "{} mappings of {} are in use", mappings_live_,
               options_.mappings_max);
  ++mappings_live_;
  thin.pin();
  mapping->virt = thin.block_of(cell.bio());
  mapping->data = *block;
  return mapping;
}

bool Pool::overwrites_block(const io::MappedBio& bio) const noexcept {
  return bio.sectors == block_sectors_;
}

// Sectors [begin, end) of the new block come from `from` (null: zeroes), where the block would
// begin at `from_sector`; but what the bio writes of them comes from the bio.
void Pool::add_fill(NewMapping& mapping, BlockDevice* from, Sector from_sector, std::uint64_t begin,
                    std::uint64_t end) {
  if (begin >= end) return;
  const io::MappedBio& bio = mapping.cell->bio();
  const std::uint64_t bio_begin = bio.sector.value() % block_sectors_;
  const std::uint64_t first = std::clamp(bio_begin, begin, end);
  const std::uint64_t last = std::clamp(bio_begin + bio.sectors, begin, end);
  ENGINE_CHECK(mapping.fills < mapping.fill.size(), "a block is filled from too many places");
  io::CopyJob& job = mapping.fill[mapping.fills++];
  job.from = from;
  job.from_sector = from_sector + begin;
  job.to = &data_;
  job.to_sector = Sector{mapping.data.value() * block_sectors_ + begin};
  job.sectors = end - begin;
  job.overlay_begin = first - begin;
  job.overlay_end = last - begin;
  if (first < last && bio.data != nullptr)
    job.overlay = bio.data + ((first - bio_begin) << kSectorShift);
  job.owner = &mapping;
  job.done = [](io::CopyJob& done, Errc status) {
    mapping_action_done(*static_cast<NewMapping*>(done.owner), status);
  };
}

void Pool::add_zero_fill(NewMapping& mapping, std::uint64_t begin, std::uint64_t end) {
  add_fill(mapping, nullptr, Sector{0}, begin, end);
}

// What is filled is the whole block, with the bio's part; else the bio itself is all there is.
void Pool::start_mapping(NewMapping& mapping) {
  io::MappedBio& bio = mapping.cell->bio();
  BioState& state = state_of(bio);
  // The commit that its end waits for flushes the data device.
  state.fua = std::exchange(bio.fua, false);
  const std::uint32_t fills = mapping.fills;
  mapping.missing.fetch_add(std::max(fills, 1U));
  for (std::uint32_t i = 0; i < fills; ++i)
    copier_.start(mapping.fill[i]);
  if (fills == 0) {
    state.mapping = &mapping;
    remap(bio, mapping.data);
    bio.issue();
  }
  mapping_action_done(mapping, Errc::ok);
}

void Pool::bio_written(NewMapping& mapping, Errc status) {
  mapping_action_done(mapping, status);
}

void Pool::mapping_action_done(NewMapping& mapping, Errc status) {
  if (status != Errc::ok) {
    Errc none = Errc::ok;
    mapping.status.compare_exchange_strong(none, status);
  }
  if (mapping.missing.fetch_sub(1) != 1) return;
  Pool& pool = *mapping.pool;
  const SpinGuard guard{pool.lock_};
  pool.prepared_mappings_.push_back(mapping);
  pool.wake();
}

void Pool::insert_mapping(NewMapping& mapping) {
  if (mapping.status.load() != Errc::ok || !ready_to_change()) {
    drop_mapping(mapping);
    return;
  }
  ThinDevice& thin = *mapping.thin;
  io::MappedBio& bio = mapping.cell->bio();
  if (auto inserted = metadata_->insert(thin.metadata(), mapping.virt, mapping.data); !inserted) {
    metadata_failed("insert mapping", inserted.error());
    give_back_data_block(mapping.data);
    fail_cell(thin, *mapping.cell, Errc::io_error);
    free_mapping(mapping);
    return;
  }
  changed_ = true;
  // Where the commit may fail for want of space nothing is acknowledged before it.
  if (metadata_is_tight() && !commit()) {
    fail_cell(thin, *mapping.cell, Errc::io_error);
    free_mapping(mapping);
    return;
  }
  trace_event(OpKind::mapping_insert, &object_, std::source_location::current(), thin.id().value(),
              mapping.virt.value(), mapping.data.value());
  issue_inmates(thin, *mapping.cell, Mapping{mapping.data, false});
  complete_overwrite(thin, bio);
  free_mapping(mapping);
}

// The block was not filled, or may not be mapped any more.
void Pool::drop_mapping(NewMapping& mapping) {
  const Errc status = mapping.status.load();
  give_back_data_block(mapping.data);
  fail_cell(*mapping.thin, *mapping.cell, status == Errc::ok ? Errc::io_error : status);
  free_mapping(mapping);
}

// An acknowledged FUA write must survive a power cut, and its mapping with it.
void Pool::complete_overwrite(ThinDevice& thin, io::MappedBio& bio) {
  if (!state_of(bio).fua) {
    finish(bio, Errc::ok);
  } else if (metadata_->aborted_with_changes(thin.metadata())) {
    finish(bio, Errc::io_error);
  } else {
    flush_completions_.push_back(bio);
  }
}

void Pool::free_mapping(NewMapping& mapping) {
  ThinDevice& thin = *mapping.thin;
  mappings_.give(mapping);
  --mappings_live_;
  thin.unpin();
}

}   // namespace engine::thin
