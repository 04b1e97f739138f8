// Priorities that change at few places: finds a bug of depth d with a probability of at least
// 1 / (n k^(d-1)) for n fibers and k steps (S. Burckhardt et al., "A Randomized Scheduler with
// Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). I/Os count as fibers of two steps.
#pragma once

#include <vector>

#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

class Pct final : public Strategy {
 public:
  struct Options {
    // Each execution draws its depth from 1 to that.
    std::uint32_t depth_max = 3;
    // How many choices an execution makes, the same for all seeds. 0: that is learnt from the first
    // execution after forget(), a random walk, and kept from then on.
    std::uint64_t choices_expected = 1000;
  };
  explicit Pct(Options options) noexcept : options_{options}, expected_{options.choices_expected} {}

  void forget() override { expected_ = options_.choices_expected; }
  [[nodiscard]] bool will_learn() const override { return expected_ == 0; }
  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void renewed(SimFiber& fiber) override { started(fiber); }
  void end(std::uint64_t points) override;

  // Of the last execution.
  [[nodiscard]] std::uint64_t choices() const noexcept { return choices_; }

 private:
  [[nodiscard]] std::uint64_t high() noexcept { return kHigh + rng_.next(); }
  [[nodiscard]] std::uint32_t walk(const Choices& choices);
  [[nodiscard]] std::uint64_t first_priority(const Choices& choices, const EnvStep& step) noexcept;

  static constexpr std::uint64_t kHigh = std::uint64_t{1} << 62U;
  Options options_;
  std::uint64_t expected_;   // 0: not known yet
  Rng rng_;
  std::vector<std::uint64_t> changes_;   // descending: the next one last
  std::uint64_t choices_ = 0;
  std::uint64_t low_ = 0;       // the next lowest priority, counting down
  std::uint64_t rare_at_ = 0;   // when a step that need not happen does
};

}   // namespace sim
