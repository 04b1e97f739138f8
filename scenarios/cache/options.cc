#include "scenarios/cache/options.h"

#include <chrono>
#include <string_view>

#include <fmt/format.h>

#include "scenarios/cache/policies.h"

namespace scenarios::cache {
namespace {

// With small nodes goes a cache of metadata in which not even these all fit.
constexpr std::size_t kSmallMemoryBlocks = 12;

// With few cells go copies and claims that take several pieces for what usually is one.
constexpr engine::io::CopierOptions kSmallCopier{.chunk_sectors = 24, .chunks_max = 2};
constexpr std::uint64_t kFewCellBlocks = 2;

}   // namespace

engine::cache::CacheOptions cache_options(const SystemSpec& spec) {
  engine::cache::CacheOptions options;
  options.tick_interval = std::chrono::milliseconds{spec.commit_interval_ms};
  options.metadata_fan_out = spec.fan_out;
  options.metadata_array_entries = spec.fan_out;
  if (spec.fan_out != 0) options.metadata_memory_blocks = kSmallMemoryBlocks;
  if (spec.cells != 0) {
    options.caller_cells_max = spec.cells;
    options.migrations_max = spec.cells;
    options.discards_max = spec.cells;
    options.cell_blocks_max = kFewCellBlocks;
    options.copier = kSmallCopier;
  }
  return options;
}

std::uint64_t origin_sectors(const SystemSpec& spec) noexcept {
  return spec.cache.origin_blocks * spec.block_sectors + spec.cache.tail_sectors;
}

std::string cache_table(const SystemSpec& spec, const Around& around, CacheIo mode,
                        CachePolicy policy) {
  std::string features{to_string(mode)};
  std::size_t count = 1;
  const auto add = [&](bool wanted, std::string_view word) {
    if (!wanted) return;
    features += ' ';
    features += word;
    ++count;
  };
  add(spec.cache.metadata2, "metadata2");
  add(spec.no_discard_passdown, "no_discard_passdown");
  return fmt::format("0 {} cache {} fast {} {} {} {} {} 2 migration_threshold {}",
                     origin_sectors(spec), around.metadata, around.origin, spec.block_sectors,
                     count, features, Policies::table_name(policy), spec.cache.threshold);
}

// Nothing that was acknowledged rests on what an abort throws away.
checkers::DataOracle::Options oracle_options() noexcept {
  return {.discarded_is_anything = true};
}

}   // namespace scenarios::cache
