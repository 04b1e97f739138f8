#include "engine/thin/pool_target.h"

#include <fmt/format.h>

#include "engine/thin/pool.h"

namespace engine::thin {

PoolTarget::PoolTarget(const io::TargetArgs& args, const PoolConfig& config, Devices devices,
                       PoolRef pool)
    : Target{args.begin, args.sectors},
      config_{config},
      devices_{std::move(devices)},
      pool_{std::move(pool)} {}

PoolTarget::~PoolTarget() = default;

io::MapResult PoolTarget::map(io::MappedBio& bio) {
  bio.remap(devices_.data.device(), bio.sector);
  return io::MapResult::remapped;
}

void PoolTarget::presuspend(io::SuspendKind kind) {
  static_cast<void>(kind);
  pool_->presuspend();
}

void PoolTarget::presuspend_undo() {
  pool_->presuspend_undo();
}

void PoolTarget::postsuspend() {
  pool_->postsuspend();
}

// The data device may have got a shorter table since this one was loaded.
Result<void> PoolTarget::preresume() {
  ENGINE_TRY(check_size(devices_.data, sectors()));
  return pool_->preresume(config_);
}

void PoolTarget::resume() {
  pool_->resume();
}

void PoolTarget::stop_queueing() {
  pool_->stop_queueing();
}

Result<std::string> PoolTarget::message(std::span<const std::string_view> args) {
  return pool_->message(args);
}

std::string PoolTarget::status(io::StatusCommit commit) {
  return pool_->status(commit);
}

// As it was asked for, whatever the data device made of it.
std::string PoolTarget::table_line() const {
  const PoolFeatures& features = config_.features;
  std::string words;
  int count = 0;
  const auto add = [&](bool wanted, std::string_view word) {
    if (!wanted) return;
    ++count;
    words += word;
    words += ' ';
  };
  add(!features.zero_new_blocks, "skip_block_zeroing");
  add(features.discard == DiscardPolicy::ignore, "ignore_discard");
  add(features.says_no_passdown, "no_discard_passdown");
  add(features.read_only, "read_only");
  add(features.error_if_no_space, "error_if_no_space");
  return fmt::format("{} {} {} {} {} {}", devices_.metadata.name(), devices_.data.name(),
                     pool_->block_sectors(), config_.low_water_blocks, count, words);
}

io::TargetLimits PoolTarget::limits() const noexcept {
  const DeviceLimits data = devices_.data.device().limits();
  io::TargetLimits mine;
  mine.transfer_sectors_max = data.transfer_sectors_max;
  mine.logical_block_sectors = data.logical_block_sectors;
  mine.discard_sectors_max = data.discard_sectors_max;
  mine.discard_granularity_sectors = data.discard_granularity_sectors;
  mine.write_zeroes = true;
  mine.io_min_sectors = pool_->block_sectors();
  mine.io_opt_sectors = pool_->block_sectors();
  return mine;
}

void PoolTarget::for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const {
  visit(devices_.data);
}

}   // namespace engine::thin
