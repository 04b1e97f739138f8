// Which write each read of an execution saw: what an execution did to the objects that fibers meet
// at, in terms that mean the same in other executions.
//
// A pair is an event that reads (contention.h) with the one that wrote what it saw, or with nothing
// written yet; taking a lock reads who had it before, so the order of its holders is told by pairs
// as well. Memory is bounded: counts of pairs share a table of fixed size.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/contention.h"

namespace sim {

class ReadsFrom {
 public:
  using EventId = Contention::EventId;

  // `read` sees what `write` left.
  struct Pair {
    EventId read = Contention::kNone;
    EventId write = Contention::kNone;
    friend bool operator==(const Pair&, const Pair&) noexcept = default;
  };
  // What the last execution brought.
  struct Novelty {
    std::vector<Pair> pairs;    // never seen before
    bool combination = false;   // these pairs together were not seen before
  };

  // Events are `contention`'s, which is told of each execution first.
  explicit ReadsFrom(Contention& contention);

  // A new execution.
  void begin();
  // `point` goes on, which is that event.
  void happens(EventId event, const engine::Point& point);
  // The execution is over. Valid until the next one is.
  const Novelty& end();

  [[nodiscard]] EventId last_write(const engine::SyncObject& object);
  // In how many executions the pair was seen, at least.
  [[nodiscard]] std::uint32_t seen(Pair pair) const noexcept { return cells_[cell_of(pair)].times; }
  [[nodiscard]] std::uint64_t pairs_seen() const noexcept { return pairs_seen_; }
  // How often somebody meant to bring the pair about.
  [[nodiscard]] std::uint32_t tried(Pair pair) const noexcept {
    return cells_[cell_of(pair)].tries;
  }
  void try_for(Pair pair) noexcept { ++cells_[cell_of(pair)].tries; }

 private:
  static constexpr std::size_t kCells = std::size_t{1} << 15U;
  static constexpr std::size_t kCombinationBits = std::size_t{1} << 16U;

  struct Object {
    std::uint32_t execution = 0;   // in which the rest holds
    EventId last_write = Contention::kNone;
  };
  struct Cell {
    std::uint32_t execution = 0;   // in which it was last seen
    std::uint32_t times = 0;
    std::uint32_t tries = 0;
  };
  [[nodiscard]] static std::size_t cell_of(Pair pair) noexcept;
  Object& object(const engine::SyncObject& object);
  void note(Pair pair);

  Contention& contention_;
  std::uint32_t execution_ = 0;
  std::vector<Object> objects_;   // by id
  std::vector<Cell> cells_;
  std::vector<Object> latest_;                // by event that reads: what it saw the last time
  std::vector<Pair> touched_;                 // in this execution, each once
  std::vector<std::uint64_t> combinations_;   // a bit each
  std::uint64_t pairs_seen_ = 0;
  Novelty novelty_;
};

}   // namespace sim
