// Delays: a few fibers and I/Os, chosen when they come up, stop after a few steps and stay behind
// until nothing else can go on, or until they are let go. A point is picked by whom it belongs to,
// not by its place in the whole execution, so one in the short life of a completion or of a timer's
// callback is as likely as one in a long loop (after M. Emmi, S. Qadeer, Z. Rakamaric,
// "Delay-Bounded Scheduling", POPL 2011, which bounds the number of delays).
#pragma once

#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

class Stall final : public Strategy {
 public:
  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void renewed(SimFiber& fiber) override { started(fiber); }

 private:
  // SimFiber::priority: the step at which it stops, or one of these.
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  static constexpr std::uint64_t kStalled = 0;
  static constexpr std::uint32_t kRareOneIn = 64;

  [[nodiscard]] bool is_stalled(EnvStep& step);
  [[nodiscard]] std::uint64_t stop_after(std::uint64_t steps);
  // A fiber that is not stalled: the rule's, or any. `count` are not.
  [[nodiscard]] std::uint32_t free_fiber(const Choices& choices, std::uint32_t count);

  Rng rng_;
  std::uint32_t fibers_one_in_ = 8;   // stops at all
  std::uint32_t steps_one_in_ = 8;
  std::uint32_t release_one_in_ = 256;
  std::uint32_t act_one_in_ = 4;   // the environment goes on though a fiber could
  std::uint32_t switch_one_in_ = 16;
};

}   // namespace sim
