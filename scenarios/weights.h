// One of several things, each with a weight: the draw is a number below the sum of them.
#pragma once

#include <cstddef>

namespace scenarios {

// `weights`: pairs of weight and thing.
template <typename Pairs>
[[nodiscard]] std::size_t sum_of(const Pairs& weights) noexcept {
  std::size_t sum = 0;
  for (const auto& [weight, each] : weights)
    sum += weight;
  return sum;
}

// `drawn` is below the sum.
template <typename Pairs>
[[nodiscard]] auto at_weight(const Pairs& weights, std::size_t drawn) noexcept {
  auto at = weights.begin();
  for (; drawn >= at->first; ++at)
    drawn -= at->first;
  return at->second;
}

}   // namespace scenarios
