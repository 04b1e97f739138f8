// What a workload's system and faults mean for a cache, and for those who judge it.
#pragma once

#include <cstdint>
#include <string>

#include "checkers/data_oracle.h"
#include "engine/cache/cache_options.h"
#include "scenarios/workload.h"

namespace scenarios::cache {

[[nodiscard]] engine::cache::CacheOptions cache_options(const SystemSpec& spec);
// One target line.
[[nodiscard]] std::string cache_table(const SystemSpec& spec, CacheIo mode, CachePolicy policy);
[[nodiscard]] std::uint64_t origin_sectors(const SystemSpec& spec) noexcept;

// Can a fault keep the metadata from being changed any more, for good?
[[nodiscard]] bool may_need_check(const Workload& workload) noexcept;
// Nothing of the workload can make a cache fail.
[[nodiscard]] bool is_calm(const Workload& workload) noexcept;
[[nodiscard]] checkers::DataOracle::Options oracle_options() noexcept;

}   // namespace scenarios::cache
