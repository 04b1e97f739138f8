// How well a queue predicts: accesses to its upper levels are hits, all others misses.
#pragma once

#include <cstdint>

#include "engine/cache/smq_queue.h"

namespace engine::cache::smq {

enum class Performance : std::uint8_t { poor, fair, well };

class QueueStats {
 public:
  void accessed(std::uint32_t level) noexcept { level >= kHitLevel ? ++hits_ : ++misses_; }
  void missed() noexcept { ++misses_; }
  void reset() noexcept { *this = QueueStats{}; }

  // 0 to `parts`.
  [[nodiscard]] std::uint32_t hit_ratio(std::uint32_t parts) const noexcept {
    const std::uint64_t all = hits_ + misses_;
    return all == 0 ? 0 : static_cast<std::uint32_t>(hits_ * parts / all);
  }
  [[nodiscard]] Performance performance() const noexcept {
    const std::uint32_t sixteenths = hit_ratio(16);
    if (sixteenths < 1) return Performance::poor;
    return sixteenths < 2 ? Performance::fair : Performance::well;
  }

 private:
  static constexpr std::uint32_t kHitLevel = kLevels * 3 / 4;

  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
};

}   // namespace engine::cache::smq
