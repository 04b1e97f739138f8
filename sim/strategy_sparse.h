// A walk with at most so many preemptions, for making small what another strategy has found.
//
// Where nobody is taken away from anything the choice is free: who goes on when a fiber blocks,
// what the environment does, every value. How free is drawn for each execution, so that some stay
// close to the rule of schedule.h and leave few decisions behind.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

class Sparse final : public Strategy {
 public:
  // From now on until called again.
  void allow(std::uint32_t preemptions) noexcept { preemptions_max_ = preemptions; }
  // The part that comes next is not to be searched: the rule decides everything.
  void follow_rule(bool follow) noexcept { follows_rule_ = follow; }

  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void end(std::uint64_t points) override;

 private:
  [[nodiscard]] std::uint32_t some_step(const Choices& choices);
  [[nodiscard]] bool strikes(std::uint32_t odds) noexcept {
    return odds != 0 && rng_.below(kAlways) < odds;
  }

  static constexpr std::uint32_t kAlways = 1U << 10U;
  static constexpr std::uint32_t kRareOneIn = 64;

  Rng rng_;
  std::uint32_t preemptions_max_ = 0;
  bool follows_rule_ = false;
  std::uint64_t chances_ = 0;            // to preempt, in this execution so far
  std::uint64_t chances_expected_ = 0;   // as many as in the last
  std::vector<std::uint64_t> places_;    // of the preemptions to come, the next one last
  // How often something else happens than the rule says.
  std::uint32_t step_odds_ = 0;
  std::uint32_t turn_odds_ = 0;
  std::uint32_t value_odds_ = 0;
};

}   // namespace sim
