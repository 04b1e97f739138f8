#include "engine/cache/smq.h"

#include <algorithm>

namespace engine::cache::smq {
namespace {

constexpr std::uint32_t kHotspotsMin = 1024;
constexpr std::uint32_t kCacheBlocksPerHotspotEntry = 4;
constexpr std::uint64_t kHotspotBlocksMax = 16;
constexpr std::uint32_t kTopHotspotLevels = 8;
constexpr std::uint32_t kSetsOfMarks = 2;
constexpr std::uint32_t kMarks = kSetsOfMarks * kLevels;   // of one queue
constexpr std::uint32_t kUntrustedLevel = 1;               // of a loaded block without a hint
constexpr std::uint32_t kCleanPercentMin = 5;

constexpr Nanos kDirtyMarksPeriod = std::chrono::seconds{10};
constexpr Nanos kCleanMarksPeriod = std::chrono::seconds{60};
constexpr Nanos kHotspotPeriod = std::chrono::seconds{1};
constexpr Nanos kCachePeriod = std::chrono::seconds{10};

std::uint32_t hotspots_for(std::uint32_t cache_blocks) noexcept {
  return std::max(cache_blocks / kCacheBlocksPerHotspotEntry, kHotspotsMin);
}

// As large as it may be while all of them together still do not cover more than the origin.
std::uint64_t hotspot_blocks_for(std::uint64_t origin_blocks, std::uint32_t hotspots) noexcept {
  std::uint64_t blocks = kHotspotBlocksMax;
  while (blocks > 1 && blocks * hotspots > origin_blocks)
    blocks /= 2;
  return blocks;
}

TopLevels top_of(std::uint32_t cache_blocks, std::uint32_t hotspots,
                 std::uint64_t hotspot_blocks) noexcept {
  const auto cached_stretches = static_cast<std::uint32_t>(cache_blocks / hotspot_blocks);
  return {kTopHotspotLevels, std::min(hotspots / kLevels, cached_stretches)};
}

}   // namespace

Smq::Marks::Marks(EntrySpace& space, LevelQueue& queue, EntryIndex begin) noexcept
    : queue_{queue}, begin_{begin} {
  for (std::uint32_t i = 0; i < kMarks; ++i) {
    space[begin + i].sentinel = true;
    space[begin + i].level = static_cast<std::uint8_t>(i % kLevels);
    queue_.push(begin + i);
  }
}

void Smq::Marks::advance() noexcept {
  for (std::uint32_t level = 0; level < kLevels; ++level) {
    queue_.remove(current(level));
    queue_.push(current(level));
  }
  second_ = !second_;
}

Smq::Smq(const PolicyParams& params)
    : cache_blocks_{params.cache_blocks},
      hotspot_count_{hotspots_for(params.cache_blocks)},
      hotspot_blocks_{hotspot_blocks_for(params.origin_blocks, hotspot_count_)},
      space_{std::uint64_t{cache_blocks_} + hotspot_count_ + std::uint64_t{2} * kMarks},
      cache_pool_{space_, 0, cache_blocks_},
      hotspot_pool_{space_, cache_blocks_, cache_blocks_ + hotspot_count_},
      cache_table_{space_, cache_blocks_},
      hotspot_table_{space_, hotspot_count_},
      hotspot_{space_, top_of(cache_blocks_, hotspot_count_, hotspot_blocks_)},
      clean_{space_},
      dirty_{space_},
      clean_marks_{space_, clean_, cache_blocks_ + hotspot_count_},
      dirty_marks_{space_, dirty_, cache_blocks_ + hotspot_count_ + kMarks},
      cache_hit_(cache_blocks_),
      hotspot_hit_(hotspot_count_) {}

Decision Smq::map(const MapRequest& request, CellLocker& victims) {
  const std::uint32_t hotspot_level = touch_hotspot(request.block);
  if (const EntryIndex index = cache_table_.find(request.block); index != kNoEntry) {
    touch_cached(index);
    return Hit{place_of(index)};
  }
  cache_stats_.missed();
  const Wanted wanted = wants(request, hotspot_level);
  if (wanted == Wanted::no) return Miss{};
  if (request.migrate == Migrate::never) return WouldBlock{};
  return promote(request.block, wanted, victims);
}

std::uint32_t Smq::touch_hotspot(OriginBlock block) noexcept {
  const OriginBlock stretch{block.value() / hotspot_blocks_};
  EntryIndex index = hotspot_table_.find(stretch);
  if (index != kNoEntry) {
    hotspot_stats_.accessed(space_[index].level);
    const EntryIndex nth = index - cache_blocks_;
    hotspot_.requeue(index, hotspot_hit_[nth] ? 0 : hotspot_climb_);
    hotspot_hit_[nth] = true;
    return space_[index].level;
  }
  hotspot_stats_.missed();
  index = hotspot_pool_.take();
  if (index == kNoEntry) {
    index = hotspot_.oldest(kLevels, Sentinels::cross);
    hotspot_.remove(index);
    hotspot_table_.remove(index);
    hotspot_hit_[index - cache_blocks_] = false;
  }
  space_[index].block = stretch;
  hotspot_.push(index);
  hotspot_table_.insert(index);
  return space_[index].level;
}

void Smq::touch_cached(EntryIndex index) noexcept {
  const Entry& entry = space_[index];
  cache_stats_.accessed(entry.level);
  if (cache_hit_[index]) return;
  cache_hit_[index] = true;
  const Marks& marks = entry.dirty ? dirty_marks_ : clean_marks_;
  queue_of(index).requeue(index, 1, marks.current(entry.level));
}

Smq::Wanted Smq::wants(const MapRequest& request, std::uint32_t hotspot_level) const noexcept {
  if (request.direction == Direction::read)
    return hotspot_level >= read_level_ ? Wanted::lastingly : Wanted::no;
  if (request.promotion == Promotion::fast && !cache_pool_.empty()) return Wanted::temporarily;
  return hotspot_level >= write_level_ ? Wanted::lastingly : Wanted::no;
}

Decision Smq::promote(OriginBlock block, Wanted wanted, CellLocker& victims) {
  Decision decision{Miss{}};
  EntryIndex index = cache_pool_.take();
  if (index != kNoEntry) {
    decision = New{place_of(index)};
  } else {
    index = clean_.oldest(kLevels, Sentinels::stop);
    if (index == kNoEntry) return Miss{};
    const OriginBlock victim = space_[index].block;
    if (!victims.try_lock(victim)) return Miss{};
    drop(index);
    index = cache_pool_.take(index);
    decision = Replace{victim, place_of(index)};
  }
  space_[index].block = block;
  cache_table_.insert(index);
  enqueue(index, wanted == Wanted::temporarily);
  return decision;
}

void Smq::enqueue(EntryIndex index, bool old) noexcept {
  LevelQueue& queue = queue_of(index);
  if (old) {
    const Marks& marks = space_[index].dirty ? dirty_marks_ : clean_marks_;
    queue.push_before(marks.current(space_[index].level), index);
  } else {
    queue.push(index);
  }
}

void Smq::drop(EntryIndex index) noexcept {
  queue_of(index).remove(index);
  cache_table_.remove(index);
  cache_pool_.give(index);
  cache_hit_[index] = false;
}

void Smq::set_dirty(OriginBlock block, bool dirty) noexcept {
  const EntryIndex index = cache_table_.find(block);
  if (index == kNoEntry || space_[index].dirty == dirty) return;
  queue_of(index).remove(index);
  space_[index].dirty = dirty;
  enqueue(index, true);
}

Result<void> Smq::load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) noexcept {
  if (mapping.at.value() >= cache_blocks_)
    return fail(Errc::invalid, mapping.at.value(), "cache block beyond the cache");
  if (cache_table_.find(mapping.origin) != kNoEntry)
    return fail(Errc::exists, mapping.origin.value(), "origin block is cached twice");
  const EntryIndex index = cache_pool_.take(mapping.at.value());
  if (index == kNoEntry)
    return fail(Errc::exists, mapping.at.value(), "cache block is in use already");
  space_[index].block = mapping.origin;
  space_[index].level =
      static_cast<std::uint8_t>(std::min(hint.value_or(kUntrustedLevel), kLevels - 1));
  cache_table_.insert(index);
  enqueue(index, true);
  return {};
}

std::optional<OriginBlock> Smq::mapping_of(CacheBlock place) const noexcept {
  if (place.value() >= cache_blocks_ || !space_[place.value()].allocated) return std::nullopt;
  return space_[place.value()].block;
}

std::optional<CacheBlock> Smq::lookup(OriginBlock block) noexcept {
  const EntryIndex index = cache_table_.find(block);
  if (index == kNoEntry) return std::nullopt;
  return CacheBlock{index};
}

std::uint32_t Smq::hint(CacheBlock place) const noexcept {
  return mapping_of(place) ? space_[place.value()].level : 0;
}

void Smq::remove_mapping(OriginBlock block) noexcept {
  const EntryIndex index = cache_table_.find(block);
  ENGINE_CHECK(index != kNoEntry, "block {} is to leave the policy and is not there", block);
  drop(index);
}

void Smq::force_mapping(OriginBlock current, OriginBlock back) noexcept {
  EntryIndex index = cache_table_.find(current);
  ENGINE_CHECK(index != kNoEntry, "block {} is to be renamed and is not there", current);
  ENGINE_CHECK(cache_table_.find(back) == kNoEntry, "block {} is to come back and is there", back);
  drop(index);
  index = cache_pool_.take(index);
  space_[index].block = back;
  space_[index].dirty = true;
  cache_table_.insert(index);
  enqueue(index, true);
}

Result<void> Smq::remove_cblock(CacheBlock place, OriginBlock expected) noexcept {
  if (mapping_of(place) != expected)
    return fail(Errc::not_found, place.value(), "the block is not in that place");
  drop(place.value());
  return {};
}

bool Smq::enough_are_clean() const noexcept {
  const std::uint64_t clean = std::uint64_t{cache_blocks_} - dirty_.count();
  return clean * 100 >= std::uint64_t{cache_blocks_} * kCleanPercentMin;
}

std::optional<Mapping> Smq::writeback_work(WritebackUrgency urgency) noexcept {
  const bool lowest_only = urgency == WritebackUrgency::busy && enough_are_clean();
  const EntryIndex index = dirty_.oldest(lowest_only ? 1 : kLevels, Sentinels::stop);
  if (index == kNoEntry) return std::nullopt;
  dirty_.remove(index);
  space_[index].dirty = false;
  enqueue(index, false);
  return Mapping{space_[index].block, place_of(index)};
}

// The emptier the better for promotions: a full cache takes only what ranks high, and the more so
// the better what it has already serves.
void Smq::set_promotion_levels() noexcept {
  static constexpr std::uint32_t kHitParts = 16;
  static constexpr std::array<std::uint32_t, kHitParts + 1> kLevelsTaken{1, 1, 1, 2, 4, 6, 7, 8, 7,
                                                                         6, 4, 4, 3, 3, 2, 2, 1};
  std::uint32_t taken =
      cache_pool_.empty() ? kLevelsTaken[cache_stats_.hit_ratio(kHitParts)] : kLevels / 2;
  switch (hotspot_stats_.performance()) {
    case Performance::poor:
      taken /= 4;
      break;
    case Performance::fair:
      taken /= 2;
      break;
    case Performance::well:
      break;
  }
  read_level_ = kLevels - taken;
  write_level_ = read_level_ + 2;
}

void Smq::tick(Nanos now) noexcept {
  if (now >= next_dirty_marks_) {
    next_dirty_marks_ = now + kDirtyMarksPeriod;
    dirty_marks_.advance();
  }
  if (now >= next_clean_marks_) {
    next_clean_marks_ = now + kCleanMarksPeriod;
    clean_marks_.advance();
  }
  std::fill(hotspot_hit_.begin(), hotspot_hit_.end(), false);
  set_promotion_levels();
  if (now >= next_hotspot_period_) {
    next_hotspot_period_ = now + kHotspotPeriod;
    switch (hotspot_stats_.performance()) {
      case Performance::poor:
        hotspot_climb_ = 4;
        break;
      case Performance::fair:
        hotspot_climb_ = 2;
        break;
      case Performance::well:
        hotspot_climb_ = 1;
        break;
    }
    hotspot_.redistribute();
    hotspot_stats_.reset();
  }
  if (now >= next_cache_period_) {
    next_cache_period_ = now + kCachePeriod;
    std::fill(cache_hit_.begin(), cache_hit_.end(), false);
    clean_.redistribute();
    dirty_.redistribute();
    cache_stats_.reset();
  }
}

}   // namespace engine::cache::smq
