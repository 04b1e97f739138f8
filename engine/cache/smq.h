// Stochastic multi-queue, as dm-cache has it: the decisions, without a lock.
//
// Three queues. The *hotspot* queue ranks large stretches of the origin by how often anything in
// them is asked for, cached or not; a block of a stretch that ranks high enough is promoted. The
// *clean* and *dirty* queues rank what is cached; what ranks lowest among the clean leaves first,
// and what ranks lowest among the dirty is written back first.
//
// Invariants: an entry of a cached block is in the table and in exactly one of clean and dirty, by
// its flag; its index is its place in the cache. A free one is in none. Every operation but tick()
// is O(1), and nothing is allocated after construction.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/units.h"
#include "engine/cache/policy.h"
#include "engine/cache/smq_entries.h"
#include "engine/cache/smq_hash.h"
#include "engine/cache/smq_queue.h"
#include "engine/cache/smq_stats.h"

namespace engine::cache::smq {

class Smq {
 public:
  explicit Smq(const PolicyParams& params);
  Smq(const Smq&) = delete;
  Smq& operator=(const Smq&) = delete;

  // As the methods of Policy.
  [[nodiscard]] Decision map(const MapRequest& request, CellLocker& victims);
  void set_dirty(OriginBlock block, bool dirty) noexcept;
  Result<void> load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) noexcept;
  [[nodiscard]] std::optional<OriginBlock> mapping_of(CacheBlock place) const noexcept;
  [[nodiscard]] std::optional<CacheBlock> lookup(OriginBlock block) noexcept;
  [[nodiscard]] std::uint32_t hint(CacheBlock place) const noexcept;
  void remove_mapping(OriginBlock block) noexcept;
  void force_mapping(OriginBlock current, OriginBlock back) noexcept;
  Result<void> remove_cblock(CacheBlock place, OriginBlock expected) noexcept;
  [[nodiscard]] std::optional<Mapping> writeback_work(WritebackUrgency urgency) noexcept;
  void tick(Nanos now) noexcept;
  [[nodiscard]] std::uint32_t residency() const noexcept { return cache_pool_.allocated(); }
  [[nodiscard]] std::uint32_t dirty() const noexcept { return dirty_.count(); }

 private:
  // Marks in a queue, two sets of one a level: in turn, a set moves to the tails. `current()` is
  // the one that moved longer ago, so what is queued before it counts as old at once, and what is
  // queued at the tail grows old within one to two periods.
  class Marks {
   public:
    Marks(EntrySpace& space, LevelQueue& queue, EntryIndex begin) noexcept;
    [[nodiscard]] EntryIndex current(std::uint32_t level) const noexcept {
      return begin_ + (second_ ? kLevels : 0) + level;
    }
    void advance() noexcept;

   private:
    LevelQueue& queue_;
    EntryIndex begin_;
    bool second_ = false;
  };

  enum class Wanted : std::uint8_t { no, temporarily, lastingly };

  // Ranks the stretch of the block anew; its level.
  std::uint32_t touch_hotspot(OriginBlock block) noexcept;
  void touch_cached(EntryIndex index) noexcept;
  [[nodiscard]] Wanted wants(const MapRequest& request, std::uint32_t hotspot_level) const noexcept;
  Decision promote(OriginBlock block, Wanted wanted, CellLocker& victims);
  // Queues an entry by its flag: `old` before the current mark, else as the youngest.
  void enqueue(EntryIndex index, bool old) noexcept;
  void drop(EntryIndex index) noexcept;
  [[nodiscard]] LevelQueue& queue_of(EntryIndex index) noexcept {
    return space_[index].dirty ? dirty_ : clean_;
  }
  [[nodiscard]] bool enough_are_clean() const noexcept;
  void set_promotion_levels() noexcept;
  [[nodiscard]] CacheBlock place_of(EntryIndex index) const noexcept { return CacheBlock{index}; }

  const std::uint32_t cache_blocks_;
  const std::uint32_t hotspot_count_;
  const std::uint64_t hotspot_blocks_;   // of the origin in a hotspot block

  EntrySpace space_;   // cached blocks, hotspots, marks
  EntryPool cache_pool_;
  EntryPool hotspot_pool_;
  BlockTable cache_table_;
  BlockTable hotspot_table_;
  LevelQueue hotspot_;
  LevelQueue clean_;
  LevelQueue dirty_;
  Marks clean_marks_;
  Marks dirty_marks_;

  // Hit since the last period (cached) or tick (hotspot): counts once.
  std::vector<bool> cache_hit_;
  std::vector<bool> hotspot_hit_;
  QueueStats hotspot_stats_;
  QueueStats cache_stats_;

  std::uint32_t read_level_ = kLevels;   // a stretch of that level has its blocks promoted
  std::uint32_t write_level_ = kLevels;
  std::uint32_t hotspot_climb_ = 1;

  // When the next period begins; in the past at first, so the first tick begins them all.
  Nanos next_dirty_marks_{0};
  Nanos next_clean_marks_{0};
  Nanos next_hotspot_period_{0};
  Nanos next_cache_period_{0};
};

}   // namespace engine::cache::smq
