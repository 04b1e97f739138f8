#include "engine/cache/cache_view.h"

#include <fmt/format.h>

#include "engine/cache/cache.h"

namespace engine::cache {

CacheMode CacheView::mode() const noexcept {
  return cache_.mode_.peek();
}

const CacheConfig& CacheView::config() const noexcept {
  return cache_.config_;
}

std::uint32_t CacheView::cache_blocks() const noexcept {
  return cache_.cache_blocks_;
}

std::uint64_t CacheView::origin_blocks() const noexcept {
  return cache_.origin_blocks_;
}

DiscardGeometry CacheView::discard_geometry() const noexcept {
  return cache_.discard_geometry_;
}

bool CacheView::dirty(CacheBlock place) const noexcept {
  return cache_.dirty_->peek(place);
}

std::uint64_t CacheView::dirty_count() const noexcept {
  return cache_.dirty_->count();
}

bool CacheView::discarded(OriginBlock block) const noexcept {
  return cache_.discarded_->peek(cache_.discard_block_of(block));
}

bool CacheView::serving() const noexcept {
  return cache_.serving_.peek();
}

Statistics CacheView::hits() const noexcept {
  return cache_.hits_.total();
}

std::uint32_t CacheView::promotions() const noexcept {
  return cache_.promotions_.load(std::memory_order_relaxed);
}

std::uint32_t CacheView::demotions() const noexcept {
  return cache_.demotions_.load(std::memory_order_relaxed);
}

CacheCounts CacheView::counts() const {
  CacheCounts counts;
  {
    const SpinGuard guard{cache_.lock_};
    counts.queued_bios = cache_.deferred_bios_.size() + cache_.quiesced_discards_.size();
    counts.queued_cells = cache_.deferred_cells_.size();
  }
  counts.cells_in_use =
      cache_.caller_cells_.in_use() + cache_.worker_cells_.in_use() + cache_.sector_cells_.in_use();
  counts.migrations = cache_.migrations_.in_use();
  counts.discards = cache_.discards_.in_use();
  counts.all_io = cache_.all_io_.in_use();
  counts.copies = cache_.copier_.in_use();
  return counts;
}

std::vector<Mapping> CacheView::mappings() const {
  std::vector<Mapping> found;
  walk_mappings(*cache_.policy_, cache_.cache_blocks_,
                [&](const Mapping& mapping) { found.push_back(mapping); });
  return found;
}

const Policy& CacheView::policy() const noexcept {
  return *cache_.policy_;
}

std::vector<std::string> CacheView::leaks() const {
  std::vector<std::string> found;
  const auto judge = [&](const char* what, std::uint64_t count) {
    if (count != 0) found.push_back(fmt::format("{} {}", count, what));
  };
  const CacheCounts now = counts();
  judge("bios queued", now.queued_bios + cache_.waiting_discards_.size());
  judge("cells queued", now.queued_cells + cache_.waiting_cells_.size());
  judge("cells held", cache_.prison_.held());
  judge("claims of sectors held", cache_.sectors_.held());
  judge("cells in use", now.cells_in_use);
  judge("migrations under way", now.migrations);
  judge("discards half done", now.discards);
  judge("bios counted in all_io", now.all_io);
  judge("copies under way", now.copies);
  return found;
}

std::vector<std::string> CacheView::miscounts() const {
  std::vector<std::string> found;
  std::uint64_t dirty_found = 0;
  std::uint32_t mapped = 0;
  for (std::uint32_t place = 0; place < cache_.cache_blocks_; ++place) {
    const bool is_mapped = cache_.policy_->mapping_of(CacheBlock{place}).has_value();
    const bool is_dirty = dirty(CacheBlock{place});
    mapped += is_mapped ? 1U : 0U;
    dirty_found += is_dirty ? 1U : 0U;
    if (is_dirty && !is_mapped) found.push_back(fmt::format("place {} is dirty and free", place));
  }
  if (dirty_found != dirty_count())
    found.push_back(fmt::format("{} dirty places are counted as {}", dirty_found, dirty_count()));
  if (mapped != cache_.policy_->residency())
    found.push_back(
        fmt::format("{} mapped places are counted as {}", mapped, cache_.policy_->residency()));
  return found;
}

Result<bool> CacheView::needs_check() const {
  return cache_.metadata_->needs_check();
}

}   // namespace engine::cache
