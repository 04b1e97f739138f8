#include "sim/strategy_pos.h"

namespace sim {

void Pos::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  const bool by_kind = rng_.one_in(2);
  priorities_.begin(by_kind, contention_ != nullptr && rng_.one_in(2) ? contention_ : nullptr);
}

std::uint32_t Pos::pick(const Choices& choices) {
  return priorities_.pick(choices, [](SimFiber&, const engine::Point*) { return false; });
}

std::uint32_t Pos::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                         std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
