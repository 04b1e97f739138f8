// Random walks: at each point anyone may go on.
//
// The plain walk picks uniformly. The varied one draws a temper per execution, and so also covers
// executions with few preemptions, and I/Os that stay in flight for long: a uniform walk almost
// never lets one fiber run for fifty points while another stands.
#pragma once

#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

class RandomWalk final : public Strategy {
 public:
  enum class Temper : bool { plain, varied };
  explicit RandomWalk(Temper temper = Temper::varied) noexcept : temper_{temper} {}

  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;

 private:
  std::uint32_t pick_step(const Choices& choices);
  std::uint32_t pick_fiber(const Choices& choices);

  Rng rng_;
  Temper temper_;
  // Of 2^16: how often a fiber that could go on is interrupted, and how often the environment acts
  // though a fiber could.
  std::uint32_t switch_odds_ = kAlways;
  std::uint32_t step_odds_ = kAlways;
  static constexpr std::uint32_t kAlways = 1U << 16U;
  // Timers that race fibers and steps that need not happen: one in so many picks of the
  // environment.
  static constexpr std::uint32_t kRareOneIn = 16;
  std::uint32_t rare_one_in_ = kRareOneIn;
  bool by_kind_ = false;   // of each kind of fibers (fiber_kinds.h) as often
};

}   // namespace sim
