// What a workload's system and faults mean for a thin pool, and for those who judge it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checkers/data_oracle.h"
#include "checkers/pool_mode.h"
#include "engine/thin/pool_options.h"
#include "scenarios/workload.h"

namespace scenarios::thin {

[[nodiscard]] engine::thin::PoolOptions pool_options(const SystemSpec& spec);
// One target line of a table that claims so many blocks of the device `data`.
[[nodiscard]] std::string pool_table(const SystemSpec& spec, std::string_view data,
                                     std::uint64_t data_blocks);

[[nodiscard]] checkers::DataOracle::Options oracle_options(const Workload& workload);
[[nodiscard]] checkers::PoolModeJudge::Options mode_options(const Workload& workload);

}   // namespace scenarios::thin
