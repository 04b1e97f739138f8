#include "engine/thin/thin_device.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/thin/pool.h"

namespace engine::thin {

ThinDevice::ThinDevice(const ThinParams& params, PoolRef pool, io::DeviceRef pool_device,
                       io::DeviceRef origin, io::DeviceClaim origin_claim, io::OwnerDevice& owner,
                       OpenThin& metadata)
    : Target{params.begin, params.sectors},
      id_{params.id},
      pool_device_{std::move(pool_device)},
      origin_{std::move(origin)},
      origin_claim_{std::move(origin_claim)},
      pool_{std::move(pool)},
      owner_{owner},
      metadata_{metadata} {}

ThinDevice::~ThinDevice() {
  if (published_) close();
  pool_->close_thin(metadata_);
}

// The order is the whole point: see the head of thin_device.h.
void ThinDevice::close() {
  ActiveThins& active = pool_->active_thins();
  active.unlink(*this);
  active.synchronize();
  unpin();
  unpinned_.wait();
  // Nobody can reach it any more. The core ended its bios before it let the table go.
  ENGINE_CHECK(queued() == 0, "thin {} goes with {} bios queued", id_, queued());
  if (active.take_quiet(*this)) owner_.internal_resume();
}

void ThinDevice::unpin() {
  if (refs_.put()) unpinned_.signal();
}

VirtBlock ThinDevice::block_of(const io::MappedBio& bio) const noexcept {
  return VirtBlock{bio.sector.value() / pool_->block_sectors()};
}

io::MapResult ThinDevice::map(io::MappedBio& bio) {
  const RcuSection section{pool_->active_thins().rcu()};
  if (bio.op == BioOp::discard) {
    bio.emplace<DiscardState>().common.thin = this;
  } else {
    bio.emplace<BioState>().thin = this;
  }
  if (requeueing()) return io::MapResult::requeue;
  if (pool_->mode() == PoolMode::fail) return io::MapResult::kill;
  if (bio.op == BioOp::flush || bio.op == BioOp::discard || bio.fua) {
    defer(bio);
    return io::MapResult::submitted;
  }
  return map_block(bio);
}

io::MapResult ThinDevice::map_block(io::MappedBio& bio) {
  PoolCell* const cell = pool_->try_take_caller_cell();
  if (cell == nullptr) {
    defer(bio);
    return io::MapResult::submitted;
  }
  if (pool_->claim(io::virtual_key(id_, block_of(bio)), bio, *cell) ==
      io::Prison::Detained::inmate) {
    return io::MapResult::submitted;
  }
  return map_claimed(bio, *cell);
}

// The bio is counted before its claim ends, so that an unmapping that claims the block next waits
// for it.
io::MapResult ThinDevice::map_claimed(io::MappedBio& bio, PoolCell& cell) {
  const auto found = pool_->lookup_cached(metadata_, block_of(bio));
  if (!found) {
    // Damage is the worker's to see as well: the mode changes there.
    if (found.error().code == Errc::would_block || found.error().code == Errc::corrupt) {
      defer_cell(cell);
      return io::MapResult::submitted;
    }
    pool_->release_cell(*this, cell);
    return io::MapResult::kill;
  }
  const bool is_read = bio.op == BioOp::read;
  if (!found->has_value()) {
    if (origin() != nullptr || (!is_read && pool_->needs_block(*this, bio))) {
      defer_cell(cell);
      return io::MapResult::submitted;
    }
    // Nothing reads as zeroes already.
    if (is_read) std::memset(bio.data, 0, bio.size_bytes());
    pool_->release_cell(*this, cell);
    bio.end(Errc::ok);
    return io::MapResult::submitted;
  }
  const Mapping& mapping = **found;
  if (mapping.shared && !is_read) {
    defer_cell(cell);
    return io::MapResult::submitted;
  }
  pool_->count_in(bio, mapping);
  pool_->release_cell(*this, cell);
  pool_->remap(bio, mapping.block);
  return io::MapResult::remapped;
}

io::EndResult ThinDevice::end_io(io::MappedBio& bio, Errc& status) {
  BioState& state = state_of(bio);
  if (state.mapping != nullptr) {
    // The mapping comes first; the worker ends the bio.
    NewMapping& mapping = *std::exchange(state.mapping, nullptr);
    Pool::bio_written(mapping, status);
    return io::EndResult::kept;
  }
  pool_->leave_sets(bio);
  return io::EndResult::done;
}

// The worker is woken under the lock: once it can have what is listed here, a bio may end and
// everything be torn down.
void ThinDevice::defer(io::MappedBio& bio) {
  const SpinGuard guard{lock_};
  deferred_bios_.push_back(bio);
  pool_->wake();
}

void ThinDevice::defer_all(io::BioList& bios) {
  if (bios.empty()) return;
  const SpinGuard guard{lock_};
  deferred_bios_.splice(deferred_bios_.end(), bios);
  pool_->wake();
}

void ThinDevice::defer_cell(PoolCell& cell) {
  const SpinGuard guard{lock_};
  deferred_cells_.push_back(cell);
  pool_->wake();
}

void ThinDevice::take_deferred(io::BioList& bios, CellList& cells) {
  const SpinGuard guard{lock_};
  bios.splice(bios.end(), deferred_bios_);
  cells.splice(cells.end(), deferred_cells_);
}

void ThinDevice::put_back(io::BioList& bios, CellList& cells) {
  const SpinGuard guard{lock_};
  deferred_bios_.splice(deferred_bios_.begin(), bios);
  deferred_cells_.splice(deferred_cells_.begin(), cells);
}

void ThinDevice::queue_for_retry(io::BioList& bios) {
  const SpinGuard guard{lock_};
  retry_bios_.splice(retry_bios_.end(), bios);
}

void ThinDevice::take_retries(io::BioList& bios) {
  const SpinGuard guard{lock_};
  bios.splice(bios.end(), retry_bios_);
}

std::size_t ThinDevice::queued() const {
  const SpinGuard guard{lock_};
  return deferred_bios_.size() + deferred_cells_.size() + retry_bios_.size();
}

std::size_t ThinDevice::waiting_for_space() const {
  const SpinGuard guard{lock_};
  return retry_bios_.size();
}

void ThinDevice::presuspend(io::SuspendKind kind) {
  // Before postsuspend, or the core would wait for bios that nobody hands back.
  if (kind == io::SuspendKind::noflush) {
    pool_->start_requeueing(*this);
  } else {
    pool_->start_draining(*this);
  }
}

void ThinDevice::presuspend_undo() {
  pool_->stop_requeueing(*this);
}

void ThinDevice::postsuspend() {
  pool_->stop_requeueing(*this);
}

Result<void> ThinDevice::preresume() {
  if (origin() != nullptr) origin_sectors_ = origin()->limits().sectors;
  return {};
}

std::string ThinDevice::status(io::StatusCommit commit) {
  static_cast<void>(commit);
  return pool_->thin_status(*this);
}

std::string ThinDevice::table_line() const {
  if (!origin_) return fmt::format("{} {}", pool_device_.name(), id_);
  return fmt::format("{} {} {}", pool_device_.name(), id_, origin_.name());
}

io::TargetLimits ThinDevice::limits() const noexcept {
  constexpr std::uint64_t kDiscardBytesMax = std::uint64_t{16} << 30U;
  const DeviceLimits data = pool_->data_device().limits();
  io::TargetLimits mine;
  mine.block_sectors = pool_->block_sectors();
  mine.transfer_sectors_max = data.transfer_sectors_max;
  mine.logical_block_sectors = data.logical_block_sectors;
  if (origin() != nullptr) {
    const DeviceLimits lower = origin()->limits();
    mine.transfer_sectors_max = std::min(mine.transfer_sectors_max, lower.transfer_sectors_max);
    mine.logical_block_sectors = std::max(mine.logical_block_sectors, lower.logical_block_sectors);
  }
  mine.write_zeroes = true;
  mine.io_min_sectors = pool_->block_sectors();
  mine.io_opt_sectors = pool_->block_sectors();
  if (!pool_->ignores_discards()) {
    mine.discard_sectors_max = kDiscardBytesMax >> kSectorShift;
    mine.discard_granularity_sectors = pool_->block_sectors();
  }
  return mine;
}

std::size_t ThinDevice::depth() const {
  return owner_.depth_over(*pool_device_.mapped());
}

void ThinDevice::for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const {
  visit(pool_device_);
  if (origin_) visit(origin_);
}

}   // namespace engine::thin
