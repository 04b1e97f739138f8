#include "engine/thin/pool.h"

#include <algorithm>

#include "engine/base/check.h"

namespace engine::thin {

Result<std::unique_ptr<Pool>> Pool::open(Executor& executor, Rcu& rcu, const PoolOpen& request,
                                         const PoolOptions& options) {
  MetadataOptions metadata_options;
  metadata_options.data_block_sectors = request.block_sectors;
  metadata_options.if_blank = request.features.read_only ? IfBlank::refuse : IfBlank::format;
  metadata_options.read_only = request.features.read_only;
  metadata_options.fan_out = options.metadata_fan_out;
  metadata_options.cache_blocks = options.metadata_cache_blocks;
  auto metadata = Metadata::open(request.metadata, metadata_options);
  // The kernel says "Error creating metadata object" to all of them.
  if (!metadata) return Failure{metadata.error()};
  return std::unique_ptr<Pool>{new Pool{executor, rcu, request, options, std::move(*metadata)}};
}

Pool::Pool(Executor& executor, Rcu& rcu, const PoolOpen& request, const PoolOptions& options,
           std::unique_ptr<Metadata> metadata)
    : options_{options},
      owner_{request.owner},
      metadata_device_{request.metadata},
      data_{request.data},
      block_sectors_{request.block_sectors},
      ignores_discards_{request.features.discard == DiscardPolicy::ignore},
      metadata_{std::move(metadata)},
      active_{rcu},
      handlers_{"pool.mode",
                &handlers_of(request.features.read_only ? PoolMode::read_only : PoolMode::write)},
      prison_{"pool.prison", options.cell_blocks_max},
      caller_cells_{"pool.caller_cells", options.caller_cells_max},
      // One for each mapping and discard under way, and two in the worker's hands.
      worker_cells_{"pool.worker_cells", options.mappings_max + options.discards_max + 2},
      mappings_{"pool.mappings", options.mappings_max},
      chunks_{"pool.discards", options.discards_max},
      passdowns_{"pool.passdowns", options.passdowns_max},
      copier_{"pool.copier", options.copier},
      last_commit_{executor.now()},
      worker_{executor, "pool.worker"},
      round_{"pool.round", [](void* pool) { static_cast<Pool*>(pool)->round(); }, this},
      tick_{"pool.tick", [](void* pool) { static_cast<Pool*>(pool)->tick(); }, this},
      no_space_{"pool.no_space", [](void* pool) { static_cast<Pool*>(pool)->no_space_timed_out(); },
                this} {
  config_.features = request.features;
  metadata_->set_pre_commit_hook(this);
}

Pool::~Pool() {
  ENGINE_CHECK_ALIVE(closed_, "pool destroyed while open");
}

// The timers go before the worker that they queue to. They may be armed even though the pool is
// suspended: a resume may have failed half way, and this is the last chance.
void Pool::close() {
  closed_ = true;
  on_worker("pool.close", [this] {
    suspended_.store(true);
    return true;
  });
  tick_.cancel_and_wait();
  no_space_.cancel_and_wait();
  worker_.stop();
  static_cast<void>(metadata_->close());
}

// What acknowledged writes have put into new blocks must be durable before metadata says so. While
// the pool is suspended there are none since the commit of its suspend.
Result<void> Pool::before_commit() {
  if (quiet_.load()) return {};
  auto flushed = flush_and_wait(data_);
  data_flush_failed_ = !flushed;
  return flushed;
}

void Pool::presuspend() {
  active_.close();
  active_.quiet_all();
}

void Pool::presuspend_undo() {
  active_.wake_all();
  active_.open();
}

void Pool::postsuspend() {
  // On the worker, so that no round that saw the pool running arms a timer afterwards.
  on_worker("pool.postsuspend", [this] {
    suspended_.store(true);
    return true;
  });
  tick_.cancel_and_wait();
  no_space_.cancel_and_wait();
  worker_.flush();
  on_worker("pool.suspend_commit", [this] {
    tick_armed_ = false;
    quiet_.store(commit_if_changed().has_value());
    return true;
  });
}

Result<void> Pool::preresume(const PoolConfig& config) {
  return on_worker("pool.preresume", [&]() -> Result<void> {
    if (!bound_ || config_.table != config.table) bind(config);
    auto resized = resize_devices();
    // A pool that has just degraded resumes too: what waits for it must be served, or told. Only a
    // table that does not fit leaves it suspended.
    if (!resized && resized.error().code == Errc::invalid) return resized;
    return {};
  });
}

void Pool::resume() {
  on_worker("pool.resume", [this] {
    suspended_.store(false);
    quiet_.store(false);
    low_water_signalled_ = false;
    error_if_no_space_.store(wants_error_if_no_space());
    if (mode() == PoolMode::out_of_data_space) arm_no_space_timer();
    retry_queued_bios();
    return true;
  });
  active_.open();
  active_.wake_all();
  wake();
}

void Pool::bind(const PoolConfig& config) {
  bound_ = true;
  config_ = config;
  const DeviceLimits data = data_.limits();
  discard_policy_ = config.features.discard;
  if (discard_policy_ == DiscardPolicy::passdown && data.discard_sectors_max < block_sectors_) {
    discard_policy_ = DiscardPolicy::no_passdown;
  }
  error_if_no_space_.store(wants_error_if_no_space());
  if (config.features.read_only) {
    metadata_->set_read_only(true);   // also when the mode stays
    set_mode(PoolMode::read_only, "table");
  } else if (mode() != PoolMode::out_of_metadata_space) {
    set_mode(PoolMode::write, "table");
  }
}

Result<void> Pool::resize_devices() {
  ENGINE_TRY(resize_data());
  ENGINE_TRY(resize_metadata());
  return commit_if_changed();
}

Result<void> Pool::resize_data() {
  ENGINE_TRY_ASSIGN(const std::uint64_t recorded, metadata_->data_blocks());
  if (config_.data_blocks < recorded) {
    return fail(Errc::invalid, recorded, "pool target too small: smaller than recorded");
  }
  if (config_.data_blocks == recorded || !changes_metadata(mode())) return {};
  if (auto grown = metadata_->resize_data(config_.data_blocks); !grown) {
    metadata_failed("resize data", grown.error());
    return grown;
  }
  changed_ = true;
  return {};
}

// Out of metadata space the device may have grown: that is the way out.
Result<void> Pool::resize_metadata() {
  constexpr std::uint64_t kMetadataBlocksMax = 255ULL * 16320;
  ENGINE_TRY_ASSIGN(const std::uint64_t recorded, metadata_->metadata_blocks());
  const std::uint64_t present =
      std::min(metadata_device_.limits().sectors / kMetaBlockSectors, kMetadataBlocksMax);
  if (present < recorded) {
    return fail(Errc::invalid, recorded, "metadata device too small: smaller than recorded");
  }
  if (present == recorded) return {};
  if (mode() == PoolMode::out_of_metadata_space) set_mode(PoolMode::write, "metadata has grown");
  if (!changes_metadata(mode())) return {};
  if (auto grown = metadata_->resize_metadata(); !grown) {
    metadata_failed("resize metadata", grown.error());
    return fail(grown.error().code, grown.error().where, grown.error().what);
  }
  if (!debts_.empty()) {
    settle_debts();   // one commit is for both
    if (!changes_metadata(mode())) return {};
  }
  changed_ = true;
  return {};
}

void Pool::start_requeueing(ThinDevice& thin) {
  on_worker("thin.requeue", [&] {
    thin.set_requeueing(true);
    requeue_queued(thin);
    return true;
  });
}

void Pool::start_draining(ThinDevice& thin) {
  if (options_.no_space_timeout != Nanos{0}) return;
  on_worker("thin.drain", [&] {
    thin.set_draining(true);
    fail_queued_bios(thin, Errc::no_data_space);
    return true;
  });
}

void Pool::stop_requeueing(ThinDevice& thin) {
  on_worker("thin.requeue_stop", [&] {
    thin.set_requeueing(false);
    thin.set_draining(false);
    return true;
  });
}

// An inmate may end before this returns, and the pool be gone then.
io::Prison::Detained Pool::claim(const io::CellKey& key, io::MappedBio& bio, PoolCell& memory) {
  return prison_.detain(key, bio, memory, [&] { give_cell(memory); });
}

void Pool::release_cell(ThinDevice& thin, PoolCell& cell) {
  io::BioList inmates;
  prison_.release(cell, inmates);
  give_cell(cell);
  thin.defer_all(inmates);
}

void Pool::give_cell(PoolCell& cell) {
  switch (cell.home) {
    case CellHome::caller:
      caller_cells_.give(cell);
      return;
    case CellHome::worker:
      worker_cells_.give(cell);
      return;
  }
}

void Pool::count_in(io::MappedBio& bio, const Mapping& mapping) {
  BioState& state = state_of(bio);
  state.all_io = all_io_.enter();
  if (mapping.shared) state.shared_read = shared_reads_.enter();
}

void Pool::leave_sets(io::MappedBio& bio) {
  BioState& state = state_of(bio);
  if (state.shared_read) shared_reads_.leave(state.shared_read);
  if (state.all_io) all_io_.leave(state.all_io);
}

void Pool::remap(io::MappedBio& bio, DataBlock block) const noexcept {
  const std::uint64_t offset = bio.sector.value() % block_sectors_;
  bio.remap(data_, Sector{block.value() * block_sectors_ + offset});
}

void Pool::finish(io::MappedBio& bio, Errc status) {
  leave_sets(bio);
  bio.end(status);
}

}   // namespace engine::thin
