#include "engine/cache/cache.h"

#include <algorithm>
#include <bit>

#include "engine/base/check.h"

namespace engine::cache {
namespace {

constexpr std::uint64_t kCacheBlocksMax = std::uint64_t{1} << 31;

}   // namespace

std::uint32_t Cache::cache_blocks_of(const BlockDevice& fast,
                                     std::uint32_t block_sectors) noexcept {
  return static_cast<std::uint32_t>(
      std::min(fast.limits().sectors / block_sectors, kCacheBlocksMax));
}

Cache::Cache(const CacheParts& parts, const CacheConfig& config, const CacheOptions& options,
             std::unique_ptr<Policy> policy, MetadataRef metadata)
    : config_{config},
      options_{options},
      owner_{parts.owner},
      fast_{parts.fast},
      origin_{parts.origin},
      policy_type_{parts.policy_type},
      cache_blocks_{cache_blocks_of(parts.fast, config.block_sectors)},
      origin_blocks_{config.sectors / config.block_sectors},
      discard_geometry_{discard_geometry(config.block_sectors, config.sectors)},
      blocks_per_discard_{discard_geometry_.block_sectors / config.block_sectors},
      metadata_{std::move(metadata)},
      policy_{std::move(policy)},
      dirty_{std::make_unique<BlockBits<CacheBlock>>("cache.dirty", cache_blocks_)},
      discarded_{std::make_unique<BlockBits<DiscardBlock>>("cache.discarded",
                                                           discard_geometry_.nr_blocks)},
      prison_{"cache.prison", std::max(options.cell_blocks_max, blocks_per_discard_)},
      sectors_{"cache.sectors", std::bit_ceil(std::uint64_t{config.block_sectors})},
      caller_cells_{"cache.caller_cells", options.caller_cells_max},
      // Two for each migration, one for each discard, and two in the worker's hands.
      worker_cells_{"cache.worker_cells", 2 * options.migrations_max + options.discards_max + 2},
      sector_cells_{"cache.sector_cells", options.caller_cells_max},
      migrations_{"cache.migrations", options.migrations_max},
      discards_{"cache.discards", options.discards_max},
      copier_{"cache.copier", options.copier},
      migration_threshold_{config.migration_threshold},
      worker_{parts.executor, "cache.worker"},
      round_{"cache.round", [](void* cache) { static_cast<Cache*>(cache)->round(); }, this},
      tick_{"cache.tick", [](void* cache) { static_cast<Cache*>(cache)->tick(); }, this} {}

// The timer goes before the worker that it queues to. It may be armed even though the cache is
// suspended: a resume may have failed half way.
Cache::~Cache() {
  on_worker("cache.close", [this] {
    suspended_.store(true);
    return true;
  });
  tick_.cancel_and_wait();
  worker_.stop();
}

// --- Suspending.

void Cache::presuspend() {
  stopping_.store(true);
}

void Cache::presuspend_undo() {
  stopping_.store(false);
  wake();
}

// No bio is in flight, but blocks may be moving. The worker goes on until none is.
void Cache::postsuspend() {
  Completion drained{"cache.drained"};
  on_worker("cache.postsuspend", [&] {
    suspended_.store(true);
    drained_ = &drained;
    signal_if_drained();
    return true;
  });
  drained.wait();
  tick_.cancel_and_wait();
  worker_.flush();
  on_worker("cache.shut_down", [this] {
    tick_armed_ = false;
    shut_down_cleanly();
    stopping_.store(false);
    return true;
  });
}

void Cache::signal_if_drained() {
  if (drained_ == nullptr || migrations_live_ != 0 || evictions_asked_ != 0) return;
  std::exchange(drained_, nullptr)->signal();
}

// Without the mark of a clean shutdown nothing is lost, but everything counts as dirty next time.
void Cache::shut_down_cleanly() {
  if (!serving_.load() || mode() != CacheMode::write) return;
  if (!flush_and_wait(fast_) || !flush_and_wait(origin_)) return;
  origin_unflushed_ = false;
  CleanState state;
  state.dirty = [this](CacheBlock place) { return dirty_->peek(place); };
  state.discards = discard_geometry_;
  state.discarded = [this](DiscardBlock block) { return discarded_->peek(block); };
  state.statistics = hits_.total();
  state.policy = identity();
  if (state.policy.hint_size != 0)
    state.hint = [this](CacheBlock place) { return policy_->hint(place); };
  if (auto stored = metadata_->shut_down_cleanly(state); !stored) {
    metadata_failed("clean shutdown", stored.error());
    return;
  }
  serving_.store(false);
}

// --- Resuming.

Result<void> Cache::preresume() {
  return on_worker("cache.preresume", [this]() -> Result<void> {
    ENGINE_TRY(metadata_.activate(owner_));
    ENGINE_TRY(check_devices());
    if (!loaded_) ENGINE_TRY(load());
    return begin_service();
  });
}

void Cache::resume() {
  on_worker("cache.resume", [this] {
    suspended_.store(false);
    stopping_.store(false);
    return true;
  });
  wake();
}

// A policy is made for one size, and a block beyond the end of its device is nobody's.
Result<void> Cache::check_devices() const {
  if (cache_blocks_of(fast_, config_.block_sectors) != cache_blocks_)
    return fail(Errc::invalid, cache_blocks_,
                "the cache device has another size: reload the table");
  if (origin_.limits().sectors < config_.sectors)
    return fail(Errc::invalid, config_.sectors, "Device size larger than cached device");
  return {};
}

// What the table before this one left behind has been committed by its suspend, so this is the
// time to look, and not the construction.
Result<void> Cache::load() {
  if (std::exchange(load_tried_, true)) {
    ENGINE_TRY_ASSIGN(policy_, make_policy());
    dirty_ = std::make_unique<BlockBits<CacheBlock>>("cache.dirty", cache_blocks_);
    discarded_ =
        std::make_unique<BlockBits<DiscardBlock>>("cache.discarded", discard_geometry_.nr_blocks);
  }
  if (auto resized = metadata_->resize(cache_blocks_); !resized) {
    const Error& error = resized.error();
    if (error.code == Errc::busy)
      return fail(Errc::busy, error.where, "cache shrink refused: a block that would go is dirty");
    if (error.code != Errc::invalid) abandon_resume();
    return resized;
  }
  if (auto loaded = load_blocks(); !loaded) {
    abandon_resume();
    return loaded;
  }
  ENGINE_TRY_ASSIGN(const Statistics statistics, metadata_->statistics());
  hits_.start_from(statistics);
  loaded_ = true;
  return {};
}

Result<void> Cache::load_blocks() {
  ENGINE_TRY_ASSIGN(const auto mappings, metadata_->load_mappings(identity(), origin_blocks_));
  for (const StoredMapping& mapping : mappings) {
    if (mapping.dirty && config_.io_mode == IoMode::passthrough) {
      return fail(Errc::busy, mapping.block.value(),
                  "Cannot enter passthrough mode unless all blocks are clean");
    }
    ENGINE_TRY(policy_->load_mapping({mapping.origin, mapping.block}, mapping.hint));
    if (mapping.dirty) mark_dirty(mapping.origin, mapping.block);
  }
  ENGINE_TRY_ASSIGN(const auto discards, metadata_->load_discards(discard_geometry_));
  for (const DiscardRange& range : discards) {
    for (DiscardBlock block = range.begin; block < range.end; block = block + 1)
      discarded_->set(block);
  }
  return {};
}

Result<void> Cache::begin_service() {
  if (serving_.load()) return {};
  if (auto begun = metadata_->begin_service(); !begun) {
    abandon_resume();
    return begun;
  }
  serving_.store(true);
  return {};
}

// Nothing that anybody was told of rests on the open transaction, so there is nothing to check
// either: the resume may be tried again.
void Cache::abandon_resume() {
  if (mode() != CacheMode::write || metadata_->abort()) return;
  set_mode(CacheMode::fail, "the transaction could not be aborted");
}

Result<std::unique_ptr<Policy>> Cache::make_policy() {
  ENGINE_TRY_ASSIGN(auto policy, policy_type_.create({.cache_blocks = cache_blocks_,
                                                      .origin_blocks = origin_blocks_,
                                                      .block_sectors = config_.block_sectors}));
  for (const auto& [key, value] : config_.settings)
    ENGINE_TRY(policy->set_config(key, value));
  return policy;
}

PolicyIdentity Cache::identity() const noexcept {
  return {policy_->name(), policy_->version(), policy_->hint_size()};
}

io::TargetLimits Cache::limits() const noexcept {
  constexpr std::uint64_t kDiscardBlocksAtOnce = 1024;
  const DeviceLimits fast = fast_.limits();
  const DeviceLimits origin = origin_.limits();
  io::TargetLimits mine;
  mine.block_sectors = config_.block_sectors;
  mine.transfer_sectors_max = std::min(fast.transfer_sectors_max, origin.transfer_sectors_max);
  mine.logical_block_sectors = std::max(fast.logical_block_sectors, origin.logical_block_sectors);
  mine.discard_sectors_max =
      std::min(kDiscardBlocksAtOnce * discard_geometry_.block_sectors, config_.sectors);
  mine.discard_granularity_sectors = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(discard_geometry_.block_sectors, UINT32_MAX));
  mine.io_min_sectors = config_.block_sectors;
  mine.io_opt_sectors = config_.block_sectors;
  return mine;
}

}   // namespace engine::cache
