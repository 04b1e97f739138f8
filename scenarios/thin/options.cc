#include "scenarios/thin/options.h"

#include <chrono>

#include <fmt/format.h>

namespace scenarios::thin {
namespace {

// With small nodes goes a cache in which not even these all fit.
constexpr std::size_t kSmallCacheBlocks = 8;

// With few cells go copies and claims that take several pieces for what usually is one.
constexpr engine::io::CopierOptions kSmallCopier{.chunk_sectors = 24, .chunks_max = 2};
constexpr std::uint64_t kFewCellBlocks = 2;

}   // namespace

engine::thin::PoolOptions pool_options(const SystemSpec& spec) {
  engine::thin::PoolOptions options;
  options.commit_interval = std::chrono::milliseconds{spec.commit_interval_ms};
  options.no_space_timeout = std::chrono::milliseconds{spec.no_space_timeout_ms};
  options.metadata_fan_out = spec.fan_out;
  if (spec.fan_out != 0) options.metadata_cache_blocks = kSmallCacheBlocks;
  if (spec.cells != 0) {
    options.caller_cells_max = spec.cells;
    options.mappings_max = spec.cells;
    options.passdowns_max = spec.cells;
    options.discards_max = spec.cells;
    options.cell_blocks_max = kFewCellBlocks;
    options.copier = kSmallCopier;
  }
  return options;
}

std::string pool_table(const SystemSpec& spec, std::string_view data, std::uint64_t data_blocks) {
  std::string features;
  std::size_t count = 0;
  const auto add = [&](bool wanted, std::string_view word) {
    if (!wanted) return;
    features += ' ';
    features += word;
    ++count;
  };
  add(spec.skip_block_zeroing, "skip_block_zeroing");
  add(spec.ignore_discard, "ignore_discard");
  add(spec.no_discard_passdown, "no_discard_passdown");
  add(spec.error_if_no_space, "error_if_no_space");
  return fmt::format("0 {} thin-pool metadata {} {} {} {}{}", data_blocks * spec.block_sectors,
                     data, spec.block_sectors, spec.low_water_blocks, count, features);
}

// Where metadata runs full, what is acknowledged has been committed, but for discards that nothing
// is passed down of.
checkers::DataOracle::Options oracle_options(const Workload& workload) {
  constexpr std::uint64_t kRunsFull = 24;
  const bool may_run_full =
      workload.system.no_discard_passdown && workload.system.metadata_blocks < kRunsFull;
  return {.zeroed = !workload.system.skip_block_zeroing,
          .may_roll_back = workload.faults.may_roll_back() || may_run_full};
}

checkers::PoolModeJudge::Options mode_options(const Workload& workload) {
  return {.metadata_may_fail = workload.may_need_check(),
          .growth_heals = workload.growth_heals(),
          .error_if_no_space = workload.system.error_if_no_space,
          .no_space_timeout = std::chrono::milliseconds{workload.system.no_space_timeout_ms}};
}

}   // namespace scenarios::thin
