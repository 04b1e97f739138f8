// What leads a fiber to an event: the last reads before it that others contend for, with what they
// saw, in executions in which it came about. A read that happens on one way through its fiber only
// is sought in vain as long as nobody sees to it that the fiber takes that way.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/reads_from.h"

namespace sim {

class Leads {
 public:
  using EventId = Contention::EventId;
  using Pair = ReadsFrom::Pair;
  // Two ways are kept for each event: the first that was seen, and the latest that is another.
  static constexpr std::uint32_t kWays = 2;

  // A new execution.
  void begin();
  // `fiber` does `event`, which sees `write` if it reads.
  void happens(const SimFiber& fiber, EventId event, bool reads, EventId write);
  // The execution is worth being remembered.
  void remember(const Contention& contention);
  // The latest read first. None: there was none, or the event has not been seen.
  [[nodiscard]] std::span<const Pair> to(EventId event, std::uint32_t way) const noexcept;

 private:
  static constexpr std::size_t kPairsMax = 4;
  struct Way {
    std::array<Pair, kPairsMax> pairs{};
    std::uint32_t count = 0;
    friend bool operator==(const Way&, const Way&) noexcept = default;
  };
  struct Event {
    std::array<Way, kWays> ways{};
    bool known = false;
  };
  // The first time in this execution.
  struct Seen {
    EventId event;
    std::uint32_t fiber;
    std::uint32_t reads;   // how many that one had read before
  };
  [[nodiscard]] Way way_to(const Seen& seen, const Contention& contention) const;

  std::uint32_t execution_ = 0;
  std::vector<Event> events_;
  std::vector<std::uint32_t> seen_in_;   // by event: the last execution
  std::vector<Seen> seen_;
  std::vector<std::vector<Pair>> reads_;   // of this execution, by fiber
};

}   // namespace sim
