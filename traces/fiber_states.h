// What each fiber was doing at any moment of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "traces/trace.h"

namespace traces {

enum class FiberState : std::uint8_t {
  absent,   // not yet begun, or over
  ready,    // could run
  running,
  waiting,   // for something
  aside,     // could have gone on, but the schedule let others go first
};

// Moments are positions: 2 * i + 1 for event i, 2 * n for what happens with n events before it.
class FiberStates {
 public:
  struct Change {
    std::size_t position = 0;
    FiberState state = FiberState::absent;
    friend bool operator==(const Change&, const Change&) = default;
  };

  explicit FiberStates(const Trace& trace);

  // What the fiber did between two moments: running if it ever ran in between, else what it did
  // just after `from`.
  [[nodiscard]] FiberState between(std::uint32_t fiber, std::size_t from, std::size_t to) const;
  [[nodiscard]] const std::map<std::uint32_t, std::vector<Change>>& changes() const noexcept {
    return changes_;
  }

 private:
  void set(std::uint32_t fiber, std::size_t position, FiberState state);
  void run(std::uint32_t fiber, std::size_t position);

  std::map<std::uint32_t, std::vector<Change>> changes_;
  std::uint32_t current_ = 0;
};

}   // namespace traces
