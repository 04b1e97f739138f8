// Random walks beside an exploration: how many schedules there are without reduction, within the
// same bounds; whether two runs of one schedule differ; and now and then a failure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/execution.h"
#include "sim/library/explore.h"
#include "sim/library/time_limit.h"
#include "sim/rng.h"
#include "sim/strategy.h"
#include "sim/strategy_bounded.h"
#include "sim/tree_estimate.h"

namespace sim {

// Draws among all that can go on, at each operation. Of operations: to start somebody, or to come
// to the first of one's own, is none, nor is to queue for a lock, or to look again before anybody
// else has gone on.
class AnyWalk final : public Strategy {
 public:
  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  // Inverse of the probability of the walk.
  [[nodiscard]] double ways() const noexcept { return ways_; }

 private:
  Rng rng_;
  double ways_ = 1;
  std::vector<std::uint32_t> can_go_on_;   // kept for its memory
};

class ExploreWalks {
 public:
  ExploreWalks(const Program& program, const ExploreOptions& options, const TimeLimit& limit)
      : program_{program},
        options_{options},
        limit_{limit},
        execution_{{.stack_bytes = options.stack_bytes}} {}

  // As many as the options say; within the bounds of `search`, if there is one, which learns from
  // them, too.
  void begin(Bounded* search = nullptr);
  // At most so many more of the same, where they would tell more of how many there are.
  void go_on(std::uint64_t walks_max);
  [[nodiscard]] Estimated estimated() const noexcept {
    return options_.probes == 0 ? Estimated{} : estimate_.estimated();
  }

  // The first that failed, and whether timers raced in it.
  [[nodiscard]] const std::optional<Outcome>& failed() const noexcept { return failed_; }
  [[nodiscard]] bool timers_raced() const noexcept { return timers_raced_; }
  // Two runs of one schedule did.
  [[nodiscard]] bool differ() const noexcept { return differ_; }

 private:
  void walk();
  void run_again(const Outcome& outcome);

  const Program& program_;
  const ExploreOptions& options_;
  const TimeLimit& limit_;
  Execution execution_;
  Bounded* search_ = nullptr;
  AnyWalk any_;
  std::uint32_t walked_ = 0;
  bool one_ended_ = false;   // without a finding
  TreeEstimate estimate_;
  std::optional<Outcome> failed_{};
  bool timers_raced_ = false;
  bool differ_ = false;
};

}   // namespace sim
