// Entries of a policy and the lists they stand in, all by index into one array, so that an entry
// costs 24 bytes and nothing is allocated once the array is there.
//
// An entry is on one list at most, and in one hash table at most; who owns the entry knows which.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "engine/base/check.h"
#include "engine/cache/blocks.h"

namespace engine::cache::smq {

using EntryIndex = std::uint32_t;
inline constexpr EntryIndex kNoEntry = std::numeric_limits<EntryIndex>::max();

struct Entry {
  // A block of the origin, or a hotspot block.
  OriginBlock block{0};
  EntryIndex previous = kNoEntry;
  EntryIndex next = kNoEntry;
  EntryIndex chain = kNoEntry;   // in its hash bucket
  std::uint8_t level = 0;
  bool dirty = false;
  bool allocated = false;
  // Marks a place in a queue, stands for no block and is not counted.
  bool sentinel = false;
};

class EntrySpace {
 public:
  explicit EntrySpace(std::uint64_t entries) : entries_(entries) {
    ENGINE_CHECK(entries < kNoEntry, "{} entries", entries);
  }
  [[nodiscard]] Entry& operator[](EntryIndex index) noexcept { return entries_[index]; }
  [[nodiscard]] const Entry& operator[](EntryIndex index) const noexcept { return entries_[index]; }
  [[nodiscard]] EntryIndex size() const noexcept {
    return static_cast<EntryIndex>(entries_.size());
  }

 private:
  std::vector<Entry> entries_;
};

// Doubly linked. Sentinels are linked like others and not counted.
class EntryList {
 public:
  [[nodiscard]] EntryIndex head() const noexcept { return head_; }
  [[nodiscard]] EntryIndex tail() const noexcept { return tail_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  void push_front(EntrySpace& space, EntryIndex index) noexcept {
    link(space, kNoEntry, index, head_);
  }
  void push_back(EntrySpace& space, EntryIndex index) noexcept {
    link(space, tail_, index, kNoEntry);
  }
  // `before` stands in this list.
  void insert(EntrySpace& space, EntryIndex before, EntryIndex index) noexcept {
    link(space, space[before].previous, index, before);
  }
  void remove(EntrySpace& space, EntryIndex index) noexcept {
    Entry& entry = space[index];
    (entry.previous == kNoEntry ? head_ : space[entry.previous].next) = entry.next;
    (entry.next == kNoEntry ? tail_ : space[entry.next].previous) = entry.previous;
    entry.previous = kNoEntry;
    entry.next = kNoEntry;
    if (!entry.sentinel) --count_;
  }

 private:
  void link(EntrySpace& space, EntryIndex previous, EntryIndex index, EntryIndex next) noexcept {
    Entry& entry = space[index];
    entry.previous = previous;
    entry.next = next;
    (previous == kNoEntry ? head_ : space[previous].next) = index;
    (next == kNoEntry ? tail_ : space[next].previous) = index;
    if (!entry.sentinel) ++count_;
  }

  EntryIndex head_ = kNoEntry;
  EntryIndex tail_ = kNoEntry;
  std::uint32_t count_ = 0;
};

// The entries [begin, end) of a space, free until taken.
class EntryPool {
 public:
  EntryPool(EntrySpace& space, EntryIndex begin, EntryIndex end) noexcept
      : space_{space}, begin_{begin}, end_{end} {
    for (EntryIndex index = begin; index < end; ++index)
      free_.push_back(space_, index);
  }

  // Any free one, clean and of level 0, or kNoEntry.
  [[nodiscard]] EntryIndex take() noexcept {
    return free_.head() == kNoEntry ? kNoEntry : taken(free_.head());
  }
  // The nth. kNoEntry when it is taken already.
  [[nodiscard]] EntryIndex take(EntryIndex nth) noexcept {
    return space_[begin_ + nth].allocated ? kNoEntry : taken(begin_ + nth);
  }
  void give(EntryIndex index) noexcept {
    ENGINE_CHECK(space_[index].allocated, "entry {} is free already", index);
    space_[index].allocated = false;
    free_.push_back(space_, index);
  }

  [[nodiscard]] bool empty() const noexcept { return free_.head() == kNoEntry; }
  [[nodiscard]] std::uint32_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::uint32_t allocated() const noexcept { return size() - free_.count(); }

 private:
  [[nodiscard]] EntryIndex taken(EntryIndex index) noexcept {
    free_.remove(space_, index);
    Entry& entry = space_[index];
    entry.allocated = true;
    entry.dirty = false;
    entry.level = 0;
    return index;
  }

  EntrySpace& space_;
  EntryIndex begin_;
  EntryIndex end_;
  EntryList free_;
};

}   // namespace engine::cache::smq
