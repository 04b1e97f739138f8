// What a workload has to keep to, for its system to come up, what it does to reach anything, and
// its run to end within the points and the memory that an execution has. Whoever writes one by hand
// is told before anything runs; what is generated and shrunk keeps to it (workload_test.cc).
//
// Larger systems are for the server: a few times what scenarios draw is what a run gets through,
// measured with as many requests as are allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "scenarios/workload.h"

namespace scenarios {

struct Range {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  std::uint64_t step = 1;
  bool or_zero = false;

  [[nodiscard]] bool holds(std::uint64_t value) const noexcept;
  // "0 or a multiple of 3 from 6 to 252"
  [[nodiscard]] std::string text() const;
};

inline constexpr std::uint32_t kSmallFanOut = 6;   // of a node: deep trees of few keys

namespace limits {
inline constexpr Range kThins{.least = 0, .most = 15};   // their ids
inline constexpr std::uint64_t kOperations = 500;
inline constexpr std::uint64_t kBlocksReached = 4000;   // by all requests together
inline constexpr std::uint64_t kActors = 64;
inline constexpr std::uint64_t kDiskSectors = 1U << 15U;   // of data disks and thins: 16 MiB
inline constexpr Range kSleepMs{.least = 0, .most = 600'000};
}   // namespace limits

struct Unusable {
  std::string key;     // as a path through the TOML form: "system.thins[1].blocks"
  std::string value;   // what it says there
  std::string wants;   // what it may say
};
// The first thing wrong with it.
[[nodiscard]] std::optional<Unusable> unusable(const Workload& workload);

// Each number of a section with its name and its range: visit(name, field, range). Sections are
// const or not.
template <typename System, typename Visit>
void numbers_of_system(System& system, Visit&& visit) {
  const bool pool = system.family != FamilyKind::cache;
  // Of fewer a commit may run out of blocks half-way, whatever it is for.
  visit("metadata_blocks", system.metadata_blocks, Range{.least = 18, .most = 4096});
  visit("metadata_growth_blocks", system.metadata_growth_blocks, Range{.least = 1, .most = 256});
  visit("data_blocks", system.data_blocks, Range{.least = 1, .most = 256});
  visit("data_device_blocks", system.data_device_blocks, Range{.least = 1, .most = 256});
  const std::uint64_t block = pool ? 128 : 64;
  visit("block_sectors", system.block_sectors, Range{.least = block, .most = 1024, .step = block});
  visit("low_water_blocks", system.low_water_blocks, Range{.most = std::uint64_t{1} << 32U});
  visit("fan_out", system.fan_out, Range{.least = 6, .most = 252, .step = 3, .or_zero = true});
  visit("cells", system.cells, Range{.least = 1, .most = 4096, .or_zero = true});
  visit("commit_interval_ms", system.commit_interval_ms,
        Range{.least = 500, .most = 600'000, .or_zero = true});
  visit("no_space_timeout_ms", system.no_space_timeout_ms, Range{.most = 600'000});
  visit("external_sectors", system.external_sectors, Range{.most = 65536});
}

template <typename Thin, typename Visit>
void numbers_of_thin(Thin& thin, Visit&& visit) {
  visit("id", thin.id, limits::kThins);
  visit("blocks", thin.blocks, Range{.least = 1, .most = 64});
}

template <typename Cache, typename Visit>
void numbers_of_cache(Cache& cache, Visit&& visit) {
  visit("blocks", cache.blocks, Range{.least = 1, .most = 64});
  visit("blocks_max", cache.blocks_max, Range{.least = 1, .most = 64});
  visit("origin_blocks", cache.origin_blocks, Range{.least = 1, .most = 64});
  visit("tail_sectors", cache.tail_sectors, Range{.most = 1023});
  visit("threshold", cache.threshold, Range{.most = std::uint64_t{1} << 40U});
}

template <typename Stack, typename Visit>
void numbers_of_stack(Stack& stack, Visit&& visit) {
  visit("cache_block_sectors", stack.cache_block_sectors,
        Range{.least = 64, .most = 1024, .step = 64});
}

template <typename Faults, typename Visit>
void numbers_of_faults(Faults& faults, Visit&& visit) {
  const Range some{.most = 1000};
  visit("power_cuts", faults.power_cuts, Range{.most = 16});
  visit("metadata_read_errors", faults.metadata_read_errors, some);
  visit("metadata_write_errors", faults.metadata_write_errors, some);
  visit("data_read_errors", faults.data_read_errors, some);
  visit("data_write_errors", faults.data_write_errors, some);
  visit("data_no_space", faults.data_no_space, some);
  visit("metadata_latency_ms", faults.metadata_latency_ms, Range{.most = 2000});
  visit("data_latency_ms", faults.data_latency_ms, Range{.most = 2000});
  visit("stalls", faults.stalls, some);
  visit("stall_ms", faults.stall_ms, Range{.most = 600'000});
}

}   // namespace scenarios
