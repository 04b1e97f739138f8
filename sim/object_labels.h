// Names for objects that mean the same in other executions. Those made while there was nothing to
// decide are told apart by their ordinal, which is the same in every execution; later ones, which
// come in another order each time, by their name and kind. No address has a part in it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/fiber/event.h"

namespace sim {

// Numbers for keys, dense, in order of first sight; no more than a fixed number of them.
class KeyIndex {
 public:
  static constexpr std::uint16_t kFull = 0xFFFF;
  explicit KeyIndex(std::uint16_t first) : slots_(kSlots), next_{first} {}
  // kFull: there is no room for another.
  std::uint16_t of(std::uint64_t key) {
    key = mixed(key) | 1U;   // 0: free
    std::size_t at = (key >> 20U) % kSlots;
    while (slots_[at].key != 0) {
      if (slots_[at].key == key) return slots_[at].number;
      at = (at + 1) % kSlots;
    }
    if (next_ >= kKeysMax) return kFull;
    slots_[at] = {key, next_};
    return next_++;
  }
  // Numbers below this have been given.
  [[nodiscard]] std::uint16_t size() const noexcept { return next_; }

  static std::uint64_t mixed(std::uint64_t value) noexcept {
    value = (value ^ value >> 32U) * 0xD6E8FEB86659FD93ULL;
    value = (value ^ value >> 32U) * 0xD6E8FEB86659FD93ULL;
    return value ^ value >> 32U;
  }

 private:
  static constexpr std::size_t kKeysMax = 4096;
  static constexpr std::size_t kSlots = 4 * kKeysMax;
  struct Slot {
    std::uint64_t key = 0;
    std::uint16_t number = 0;
  };
  std::vector<Slot> slots_;   // open addressing
  std::uint16_t next_;
};

class ObjectLabels {
 public:
  using Id = std::uint16_t;
  static constexpr Id kNone = 0;   // of those for which there is no room

  ObjectLabels() { forget(); }
  // Another program.
  void forget() {
    index_ = KeyIndex{1};
    begin();
  }
  // A new execution.
  void begin() {
    ++execution_;
    fixed_below_ = ~0U;
  }
  // Objects made from now on may be others in another execution. Only the first call since begin()
  // counts.
  void fix_ordinals(std::uint32_t below) noexcept {
    if (fixed_below_ == ~0U) fixed_below_ = below;
  }
  [[nodiscard]] Id of(const engine::SyncObject& object) {
    if (known_.size() <= object.id) known_.resize(object.id + 64);
    Known& known = known_[object.id];
    if (known.execution == execution_) return known.label;
    std::uint64_t key = 0xCBF29CE484222325ULL + static_cast<std::uint64_t>(object.kind);
    for (const char c : std::string_view{object.name})   // FNV-1a
      key = (key ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
    if (object.id < fixed_below_) key ^= std::uint64_t{object.id} << 40U;
    const std::uint16_t label = index_.of(key);
    known = {execution_, label == KeyIndex::kFull ? kNone : label};
    return known.label;
  }
  // Of an object that was asked for in this execution.
  [[nodiscard]] Id of_id(std::uint32_t object) const noexcept { return known_[object].label; }
  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }

 private:
  struct Known {
    std::uint32_t execution = 0;   // in which it holds
    Id label = kNone;
  };
  KeyIndex index_{1};
  std::uint32_t execution_ = 0;
  std::uint32_t fixed_below_ = ~0U;
  std::vector<Known> known_;   // by the object's id
};

}   // namespace sim
