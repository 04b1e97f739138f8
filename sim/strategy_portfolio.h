// All of them, behind one seed: each execution is given to one strategy, and who brings what was
// not seen before gets more of the later ones.
//
// What counts is reads that saw a write for the first time, and, for less, pairs of reads and
// writes that were not seen together (reads_from.h); old gains fade. Half of the executions are
// dealt out by fixed shares whatever was gained, so nobody is ever out, and a portfolio that learns
// the wrong thing is at most twice as slow as one that learns nothing. The guided strategy watches
// all executions, and so starts from what the others came upon.
//
// An execution is told by its seed and by those before it since the portfolio was made, or told to
// forget everything. Learning is done in end() alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/rng.h"
#include "sim/strategy.h"
#include "sim/strategy_guided.h"

namespace sim {

class Portfolio final : public Strategy {
 public:
  struct Arm {
    const char* name;
    std::unique_ptr<Strategy> strategy;   // null: the guided one
    // Of what is dealt out whatever was gained, for short executions and for long ones: guidance
    // and uniform walks are good at programs of a few steps, tempers and delays at long ones.
    std::uint32_t share_short;
    std::uint32_t share_long;
    std::uint64_t tries = 0;   // faded, in units of kOne
    std::uint64_t gain = 0;    // the same
    std::uint64_t executions = 0;
  };
  // Gains and tries are counted in these, so that nothing depends on floating point.
  static constexpr std::uint64_t kOne = 1024;
  static constexpr std::uint64_t kShortPoints = 300;

  Portfolio();
  void forget() override;
  [[nodiscard]] bool keeps_learning() const override { return true; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void renewed(SimFiber& fiber) override { chosen().renewed(fiber); }
  void end(std::uint64_t points) override;

  [[nodiscard]] std::span<const Arm> arms() const noexcept { return arms_; }
  // Index of who gets the execution of `seed`.
  [[nodiscard]] static std::size_t deal(std::span<const Arm> arms, bool are_short,
                                        std::uint64_t seed);

 private:
  [[nodiscard]] Strategy& chosen() noexcept {
    Arm& arm = arms_[arm_];
    return arm.strategy ? *arm.strategy : static_cast<Strategy&>(guided_);
  }

  Guided guided_;
  std::vector<Arm> arms_;
  std::size_t arm_ = 0;
  bool asks_always_ = false;       // the chosen one wants every point
  std::uint64_t points_max_ = 0;   // of any execution so far; 0: there was none
};

}   // namespace sim
