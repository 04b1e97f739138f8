// Which transfers fail, and which take long. A rule strikes at its n-th match, or by a decision of
// the environment, which is recorded and shrunk like any other; so is latency.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "engine/base/units.h"
#include "engine/env/bio.h"

namespace sim {

[[nodiscard]] constexpr std::uint32_t op_bit(engine::BioOp op) noexcept {
  return 1U << static_cast<std::uint32_t>(op);
}
inline constexpr std::uint32_t kReads = op_bit(engine::BioOp::read);
inline constexpr std::uint32_t kWrites =
    op_bit(engine::BioOp::write) | op_bit(engine::BioOp::write_zeroes);
inline constexpr std::uint32_t kDiscards = op_bit(engine::BioOp::discard);
inline constexpr std::uint32_t kFlushes = op_bit(engine::BioOp::flush);
inline constexpr std::uint32_t kAllOps = kReads | kWrites | kDiscards | kFlushes;

struct FaultRule {
  std::uint32_t ops = kAllOps;
  engine::Sector sector{0};
  std::uint64_t sectors = std::numeric_limits<std::uint64_t>::max();
  // Not 0: strikes at that match, from 1, without a decision. 0: decided at each match.
  std::uint64_t nth = 0;
  std::uint32_t one_in = 8;      // how rarely, when decided; 1: always, and no decision
  std::uint64_t count_max = 1;   // then the rule is spent
  // The sectors it struck stay bad: later transfers of the same kind that touch them fail too.
  bool lasting = false;
  engine::Errc status = engine::Errc::io_error;
};

struct FaultPlan {
  std::vector<FaultRule> rules;
};

// In simulated time. Two requests in three of a slow disk take `usual`; a stall is rare on any.
struct Latency {
  std::uint32_t ops = kAllOps;   // that are ever late
  engine::Nanos usual{0};
  engine::Nanos stall{0};
  std::uint32_t stall_one_in = 32;
  std::uint64_t stalls_max = 0;
};

}   // namespace sim
