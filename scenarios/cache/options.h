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
[[nodiscard]] checkers::DataOracle::Options oracle_options() noexcept;

}   // namespace scenarios::cache
