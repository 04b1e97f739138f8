// Partial order sampling: each operation about to happen has a random priority; when one happens,
// those that race with it draw anew, so that orders of racing operations come out evenly
// (X. Yuan, J. Yang, R. Gu, "Partial Order Aware Concurrency Sampling", CAV 2018). In half of the
// executions crowds are counted as one (sampling.h).
#pragma once

#include "sim/rng.h"
#include "sim/sampling.h"
#include "sim/strategy.h"

namespace sim {

class Pos final : public Strategy {
 public:
  // `contention`: what somebody has learnt of the program. With it, half of the executions draw for
  // what matters only.
  explicit Pos(Contention* contention = nullptr) noexcept : contention_{contention} {}
  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override { priorities_.started(fiber); }

 private:
  Contention* contention_;
  Rng rng_;
  Priorities priorities_{rng_};
};

}   // namespace sim
