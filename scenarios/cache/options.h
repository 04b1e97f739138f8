// What a workload's system and faults mean for a cache, and for those who judge it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkers/data_oracle.h"
#include "engine/cache/cache_options.h"
#include "scenarios/workload.h"

namespace scenarios::cache {

[[nodiscard]] engine::cache::CacheOptions cache_options(const SystemSpec& spec);
// What a cache stands between.
struct Around {
  std::string metadata = "metadata";   // a disk
  std::string origin = "origin";       // as its table names it
  // Nothing reaches these while the cache is suspended.
  std::vector<const char*> quiet{"fast", "origin"};
  // Reads everything back that is on the cached device. Without one the device is a volume itself.
  std::function<void()> read_back{};
  // The origin may change by itself: it forgets what it has not committed, or has anything where
  // nothing was written.
  bool origin_may_change = false;
  // The origin has no room for what is written back to it.
  std::function<bool()> origin_is_full{};
};
// One target line.
[[nodiscard]] std::string cache_table(const SystemSpec& spec, const Around& around, CacheIo mode,
                                      CachePolicy policy);
[[nodiscard]] std::uint64_t origin_sectors(const SystemSpec& spec) noexcept;
[[nodiscard]] checkers::DataOracle::Options oracle_options() noexcept;

}   // namespace scenarios::cache
