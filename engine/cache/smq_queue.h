// One of smq's queues: levels, each a list with its oldest entry at the head. The more often an
// entry is hit, the higher it climbs, each time in exchange for one that comes down, so that all
// levels keep about the same length however hard the queue is used.
//
// Sentinels mark places: what stands behind a level's first sentinel was queued recently.
#pragma once

#include <array>
#include <cstdint>

#include "engine/cache/smq_entries.h"

namespace engine::cache::smq {

inline constexpr std::uint32_t kLevels = 64;

// That many entries are meant to stand in the topmost levels; the others share the rest evenly.
struct TopLevels {
  std::uint32_t levels = 0;
  std::uint32_t entries = 0;
};

enum class Sentinels : bool { stop, cross };

class LevelQueue {
 public:
  explicit LevelQueue(EntrySpace& space, TopLevels top = {}) noexcept : space_{space}, top_{top} {}

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const EntryList& level(std::uint32_t level) const noexcept {
    return levels_[level];
  }

  // All of these use the level that the entry has.
  void push(EntryIndex index) noexcept;   // as the youngest
  // `before` is of the same level.
  void push_before(EntryIndex before, EntryIndex index) noexcept;
  void remove(EntryIndex index) noexcept;

  // The oldest entry of the lowest level that has one, looking at the lowest `levels` and, with
  // Sentinels::stop, not behind their first sentinels. kNoEntry: none.
  [[nodiscard]] EntryIndex oldest(std::uint32_t levels, Sentinels sentinels) const noexcept;

  // Makes the entry the youngest, up to `climb` levels higher than it was. Whatever is oldest there
  // comes down in exchange: before `down_before`, an entry of the level that is left, or as its
  // youngest if that is kNoEntry.
  void requeue(EntryIndex index, std::uint32_t climb, EntryIndex down_before = kNoEntry) noexcept;

  // Gives each level the length it should have. O(entries).
  void redistribute() noexcept;

 private:
  using Lengths = std::array<std::uint32_t, kLevels>;
  [[nodiscard]] Lengths targets() const noexcept;
  // The first that is no sentinel, from that end. kNoEntry: none.
  [[nodiscard]] EntryIndex first(const EntryList& list) const noexcept;
  [[nodiscard]] EntryIndex last(const EntryList& list) const noexcept;

  EntrySpace& space_;
  TopLevels top_;
  std::array<EntryList, kLevels> levels_;
  std::uint32_t count_ = 0;   // without sentinels
};

}   // namespace engine::cache::smq
