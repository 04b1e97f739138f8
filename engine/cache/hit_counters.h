// Hits and misses, counted by every thread on a cache line of its own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "engine/cache/metadata.h"
#include "engine/cache/policy.h"
#include "engine/fiber/context.h"

namespace engine::cache {

class HitCounters {
 public:
  enum class Kind : bool { miss, hit };

  // Any context.
  void count(Direction direction, Kind kind) noexcept {
    Shard& shard = shards_[t_thread.thread_index % kShards];
    shard.counts[index(direction, kind)].fetch_add(1, std::memory_order_relaxed);
  }
  // Where an earlier run of the cache stopped counting.
  void start_from(const Statistics& before) noexcept { before_ = before; }
  // 32 bits that wrap, as the format keeps them. Exact when nobody counts.
  [[nodiscard]] Statistics total() const noexcept {
    return {.read_hits = before_.read_hits + sum(Direction::read, Kind::hit),
            .read_misses = before_.read_misses + sum(Direction::read, Kind::miss),
            .write_hits = before_.write_hits + sum(Direction::write, Kind::hit),
            .write_misses = before_.write_misses + sum(Direction::write, Kind::miss)};
  }

 private:
  static constexpr std::uint32_t kShards = 8;
  struct alignas(64) Shard {
    std::array<std::atomic<std::uint32_t>, 4> counts{};
  };

  [[nodiscard]] static std::size_t index(Direction direction, Kind kind) noexcept {
    return (direction == Direction::write ? 2U : 0U) + (kind == Kind::hit ? 1U : 0U);
  }
  [[nodiscard]] std::uint32_t sum(Direction direction, Kind kind) const noexcept {
    std::uint32_t total = 0;
    for (const Shard& shard : shards_)
      total += shard.counts[index(direction, kind)].load(std::memory_order_relaxed);
    return total;
  }

  Statistics before_;
  std::array<Shard, kShards> shards_{};
};

}   // namespace engine::cache
