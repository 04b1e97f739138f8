// Partial order sampling: each operation about to happen has a random priority; when one happens,
// those that race with it draw anew, so that orders of racing operations come out evenly
// (X. Yuan, J. Yang, R. Gu, "Partial Order Aware Concurrency Sampling", CAV 2018). A fiber that is
// about to start another goes first: competing at every start, it would hardly ever have all of
// them together.
#pragma once

#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

class Pos final : public Strategy {
 public:
  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;

 private:
  static constexpr std::uint32_t kRareOneIn = 64;
  [[nodiscard]] std::uint64_t draw() noexcept { return (std::uint64_t{rng_.next()} << 1U) + 2; }
  Rng rng_;
};

}   // namespace sim
