// All of them, behind one seed: each execution is given to one strategy, and who brings what was
// not seen before gets more of the later ones.
//
// What counts is reads that saw a write for the first time, and, for less, pairs of reads and
// writes that were not seen together (reads_from.h); old gains fade. Half of the executions are
// dealt out by fixed shares whatever was gained, so nobody is ever out, and a portfolio that learns
// the wrong thing is at most twice as slow as one that learns nothing. The guided strategy watches
// the executions of the others, and so starts from what they came upon.
//
// An execution is told by its seed and by those before it since the portfolio was made, or told to
// forget everything. Learning is done in end() alone.
#pragma once

#include <array>
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
  // Of the search so far: guidance and uniform walks are good at programs of a few steps, tempers
  // and delays at long ones. When no read has seen a write for the first time for a long time, what
  // is left are orders, and they are for those who draw them evenly.
  enum class Situation : std::uint8_t { is_short, is_long, nothing_new };
  using Shares = std::array<std::uint32_t, 3>;   // by situation
  struct Arm {
    const char* name;
    std::unique_ptr<Strategy> strategy;   // null: the guided one
    Shares shares{};                      // of what is dealt out whatever was gained
    std::uint64_t tries = 0;              // faded, in units of kOne
    std::uint64_t gain = 0;               // the same
    std::uint64_t executions = 0;
  };
  // Gains and tries are counted in these, so that nothing depends on floating point.
  static constexpr std::uint64_t kOne = 1024;
  static constexpr std::uint64_t kShortPoints = 300;
  static constexpr std::uint64_t kLongTime = 4096;   // executions that were watched

  Portfolio();
  void forget() override;
  [[nodiscard]] bool keeps_learning() const override { return true; }
  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override {
    return watches_ || chosen().wants_every_point();
  }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void renewed(SimFiber& fiber) override { chosen().renewed(fiber); }
  void end(std::uint64_t points) override;

  [[nodiscard]] std::span<const Arm> arms() const noexcept { return arms_; }
  // Index of who gets the execution of `seed`.
  [[nodiscard]] static std::size_t deal(std::span<const Arm> arms, Situation situation,
                                        std::uint64_t seed);

 private:
  // When there was nothing new for a long time, one execution of so many is watched: watching is
  // what takes time then.
  static constexpr std::uint64_t kWatchOneIn = 8;

  [[nodiscard]] Strategy& chosen() noexcept {
    Arm& arm = arms_[arm_];
    return arm.strategy ? *arm.strategy : static_cast<Strategy&>(guided_);
  }
  [[nodiscard]] const Strategy& chosen() const noexcept {
    const Arm& arm = arms_[arm_];
    return arm.strategy ? *arm.strategy : static_cast<const Strategy&>(guided_);
  }

  Guided guided_;
  std::vector<Arm> arms_;
  std::size_t arm_ = 0;
  bool watches_ = true;
  bool asks_always_ = false;       // the chosen one wants every point
  std::uint64_t points_max_ = 0;   // of any execution so far; 0: there was none
  std::uint64_t executions_ = 0;
  std::uint64_t nothing_new_for_ = 0;   // executions that were watched
};

}   // namespace sim
