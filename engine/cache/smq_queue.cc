#include "engine/cache/smq_queue.h"

#include <algorithm>
#include <span>

namespace engine::cache::smq {
namespace {

// Evenly, with the remainder in the lowest.
void split(std::uint32_t entries, std::span<std::uint32_t> levels) noexcept {
  const auto count = static_cast<std::uint32_t>(levels.size());
  for (std::uint32_t i = 0; i < count; ++i)
    levels[i] = entries / count + (i < entries % count ? 1 : 0);
}

}   // namespace

void LevelQueue::push(EntryIndex index) noexcept {
  levels_[space_[index].level].push_back(space_, index);
  if (!space_[index].sentinel) ++count_;
}

void LevelQueue::push_before(EntryIndex before, EntryIndex index) noexcept {
  levels_[space_[index].level].insert(space_, before, index);
  if (!space_[index].sentinel) ++count_;
}

void LevelQueue::remove(EntryIndex index) noexcept {
  levels_[space_[index].level].remove(space_, index);
  if (!space_[index].sentinel) --count_;
}

EntryIndex LevelQueue::first(const EntryList& list) const noexcept {
  EntryIndex index = list.head();
  while (index != kNoEntry && space_[index].sentinel)
    index = space_[index].next;
  return index;
}

EntryIndex LevelQueue::last(const EntryList& list) const noexcept {
  EntryIndex index = list.tail();
  while (index != kNoEntry && space_[index].sentinel)
    index = space_[index].previous;
  return index;
}

EntryIndex LevelQueue::oldest(std::uint32_t levels, Sentinels sentinels) const noexcept {
  for (std::uint32_t level = 0; level < levels; ++level) {
    const EntryList& list = levels_[level];
    if (list.count() == 0) continue;
    if (sentinels == Sentinels::cross) return first(list);
    if (!space_[list.head()].sentinel) return list.head();
  }
  return kNoEntry;
}

void LevelQueue::requeue(EntryIndex index, std::uint32_t climb, EntryIndex down_before) noexcept {
  remove(index);
  const std::uint8_t from = space_[index].level;
  const auto to = static_cast<std::uint8_t>(std::min(kLevels - 1, from + climb));
  if (to != from) {
    if (const EntryIndex down = first(levels_[to]); down != kNoEntry) {
      remove(down);
      space_[down].level = from;
      if (down_before == kNoEntry) {
        push(down);
      } else {
        push_before(down_before, down);
      }
    }
    space_[index].level = to;
  }
  push(index);
}

LevelQueue::Lengths LevelQueue::targets() const noexcept {
  Lengths lengths{};
  const std::uint32_t lower = kLevels - top_.levels;
  const std::uint32_t in_top = std::min(top_.entries, count_);
  if (top_.levels != 0) split(in_top, std::span{lengths}.subspan(lower));
  split(top_.levels != 0 ? count_ - in_top : count_, std::span{lengths}.first(lower));
  return lengths;
}

void LevelQueue::redistribute() noexcept {
  const Lengths wanted = targets();
  const auto move = [this](EntryIndex index, std::uint32_t from, std::uint32_t to) {
    levels_[from].remove(space_, index);
    space_[index].level = static_cast<std::uint8_t>(to);
  };
  for (std::uint32_t level = 0; level + 1 < kLevels; ++level) {
    EntryList& list = levels_[level];
    for (std::uint32_t above = level + 1; list.count() < wanted[level] && above < kLevels;) {
      const EntryIndex index = first(levels_[above]);
      if (index == kNoEntry) {
        ++above;
        continue;
      }
      move(index, above, level);
      list.push_back(space_, index);
    }
    while (list.count() > wanted[level]) {
      const EntryIndex index = last(list);
      move(index, level, level + 1);
      levels_[level + 1].push_front(space_, index);
    }
  }
}

}   // namespace engine::cache::smq
