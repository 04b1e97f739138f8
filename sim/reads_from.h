// Which write each read of an execution saw: what an execution did to the objects that fibers meet
// at, in terms that mean the same in other executions.
//
// An event is an operation at a line of source on an object, by its label (object_labels.h). A pair
// is a read with the write that it saw, or with nothing written yet; taking a lock reads who had it
// before, so the order of its holders is told by pairs as well.
//
// Memory is bounded: events and labels beyond the first few thousand are left out, and counts of
// pairs share a table of fixed size.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/held_locks.h"
#include "sim/object_labels.h"

namespace sim {

class ReadsFrom {
 public:
  using EventId = std::uint16_t;
  using LabelId = ObjectLabels::Id;
  static constexpr EventId kInitial = 0;   // stands for "nobody has written it"
  static constexpr EventId kUnknown = KeyIndex::kFull;

  // `read` sees what `write` left.
  struct Pair {
    EventId read = kInitial;
    EventId write = kInitial;
    friend bool operator==(const Pair&, const Pair&) noexcept = default;
  };
  struct Role {
    bool reads = false;
    bool writes = false;
  };
  // What one labelled object is used for.
  struct Uses {
    std::vector<EventId> reads;
    std::vector<EventId> writes;
    CommonLocks locks;   // by label
  };
  // What the last execution brought.
  struct Novelty {
    std::vector<Pair> pairs;    // never seen before
    bool combination = false;   // these pairs together were not seen before
  };

  ReadsFrom();

  // A new execution.
  void begin();
  // Objects with this id and above may be others in another execution.
  void fix_ordinals(std::uint32_t below) noexcept { labels_.fix_ordinals(below); }
  // `fiber` goes on with that operation.
  void happens(const SimFiber& fiber, const engine::Point& point);
  // The execution is over. Valid until the next one is.
  const Novelty& end();

  [[nodiscard]] static Role role_of(const engine::Point& point) noexcept;
  [[nodiscard]] LabelId label_of(const engine::SyncObject& object) { return labels_.of(object); }
  [[nodiscard]] EventId event_of(const engine::Point& point);
  [[nodiscard]] EventId last_write(const engine::SyncObject& object);
  [[nodiscard]] LabelId label_of_event(EventId event) const noexcept { return label_[event]; }
  // In how many executions the pair was seen, at least.
  [[nodiscard]] std::uint32_t seen(Pair pair) const noexcept { return cells_[cell_of(pair)].times; }
  // Labels of objects with a read and a write that it could see, and not always under one lock.
  [[nodiscard]] const std::vector<LabelId>& contested() const noexcept { return contested_; }
  [[nodiscard]] const Uses& uses(LabelId label) const noexcept { return uses_[label]; }
  [[nodiscard]] std::uint64_t pairs_seen() const noexcept { return pairs_seen_; }

 private:
  static constexpr std::size_t kCells = std::size_t{1} << 15U;
  static constexpr std::size_t kCombinationBits = std::size_t{1} << 16U;

  struct Object {
    std::uint32_t execution = 0;   // in which the rest holds
    EventId last_write = kInitial;
  };
  struct Cell {
    std::uint32_t execution = 0;   // in which it was last seen
    std::uint32_t times = 0;
  };
  [[nodiscard]] static std::size_t cell_of(Pair pair) noexcept;
  Object& object(const engine::SyncObject& object);
  void note_locks(const SimFiber& fiber, LabelId label);

  std::uint32_t execution_ = 0;
  ObjectLabels labels_;
  std::vector<Object> objects_;   // by id
  HeldLocks held_;
  std::vector<std::uint32_t> held_labels_;   // kept for its memory
  KeyIndex events_{1};
  std::vector<Uses> uses_;       // by label
  std::vector<LabelId> label_;   // by event
  std::vector<LabelId> contested_;
  std::vector<Cell> cells_;
  std::vector<Pair> touched_;                 // in this execution, each once
  std::vector<std::uint64_t> combinations_;   // a bit each
  std::uint64_t pairs_seen_ = 0;
  Novelty novelty_;
};

}   // namespace sim
