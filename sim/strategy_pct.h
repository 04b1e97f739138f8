// Priorities that change at few places: finds a bug of depth d with a probability of at least
// 1 / (n k^(d-1)) for n fibers and k steps (S. Burckhardt et al., "A Randomized Scheduler with
// Probabilistic Guarantees of Finding Bugs", ASPLOS 2010). I/Os count as fibers of two steps.
//
// In some of the executions steps are only those that others contend for (contention.h), so k is
// small; in half of them all fibers of a kind go up and down together (fiber_kinds.h), so n is.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "sim/contention.h"
#include "sim/rng.h"
#include "sim/sampling.h"
#include "sim/strategy.h"

namespace sim {

class Pct final : public Strategy {
 public:
  struct Options {
    // Each execution draws its depth from 1 to that.
    std::uint32_t depth_max = 3;
    // How many steps an execution has, the same for all seeds. 0: that is learnt, with what others
    // contend for, from the first execution after forget(), and kept from then on.
    std::uint64_t steps_expected = 1000;
    // What somebody else learns of contention.
    Contention* contention = nullptr;
  };
  explicit Pct(Options options);

  void forget() override;
  [[nodiscard]] bool will_learn() const override { return learns_; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return learns_; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void renewed(SimFiber& fiber) override { started(fiber); }
  void end(std::uint64_t points) override;

  // Of the last execution.
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  enum Counts : std::uint8_t { kAll, kContended };

  [[nodiscard]] std::uint64_t high() noexcept { return kHigh + rng_.next(); }
  // Of its kind, and its own; the largest goes first.
  using Rank = std::pair<std::uint64_t, std::uint64_t>;
  [[nodiscard]] std::uint64_t& priority_of_kind(const SimFiber& fiber);
  [[nodiscard]] Rank rank_of(const SimFiber& fiber);
  void demote(const Choices& choices);
  [[nodiscard]] std::uint32_t learn(const Choices& choices);
  void count_step(const Choices& choices);
  [[nodiscard]] Contention* contention() noexcept {   // null: nothing is known of it
    return options_.contention != nullptr ? options_.contention : own_contention_.get();
  }
  [[nodiscard]] std::uint64_t first_priority(const Choices& choices, const EnvStep& step) noexcept;

  static constexpr std::uint64_t kHigh = std::uint64_t{1} << 62U;
  Options options_;
  std::array<std::uint64_t, 2> expected_{};   // by what counts
  bool learns_ = false;
  std::unique_ptr<Contention> own_contention_;   // null: there is somebody else's, or none
  Rounds rounds_;
  std::vector<Contention::EventId> learnt_;   // while it learns
  Rng rng_;
  // Of this execution.
  Counts counts_ = kAll;
  bool by_kind_ = false;
  std::vector<std::uint64_t> kinds_;     // priorities; 0: not drawn yet
  std::vector<std::uint64_t> changes_;   // descending: the next one last
  std::uint64_t steps_ = 0;
  std::uint64_t low_ = 0;       // the next lowest priority, counting down
  std::uint64_t rare_at_ = 0;   // when a step that need not happen does
};

}   // namespace sim
