// A metadata device in the tank with a cache::Metadata on it, and judges of the images it leaves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "checkers/image/as_findings.h"
#include "checkers/image/cache_check.h"
#include "engine/cache/metadata.h"
#include "tests/unit/pdata/meta_tank.h"

namespace engine::cache {

using pdata::code_of;
using pdata::ImageSource;
using pdata::in_tank;
using pdata::must;
using pdata::TankOptions;

inline constexpr std::uint32_t kTestBlockSectors = 64;
inline constexpr std::uint64_t kTestOriginBlocks = 4096;
inline constexpr PolicyIdentity kTestPolicy{
    .name = "smq", .version = {.major = 2, .minor = 0, .patch = 0}, .hint_size = 4};
inline constexpr DiscardGeometry kTestDiscards =
    discard_geometry(kTestBlockSectors, kTestOriginBlocks* kTestBlockSectors);

// `small`: two-level trees and array blocks of seven entries.
enum class Shape : bool { linuxs, small };
inline constexpr std::uint32_t kSmallEntries = 7;

inline MetadataOptions options_for(std::uint32_t version, std::uint32_t cache_blocks,
                                   Shape shape = Shape::linuxs) {
  return {.data_block_sectors = kTestBlockSectors,
          .version = version,
          .cache_blocks = cache_blocks,
          .fan_out = shape == Shape::small ? 6U : 0U,
          .array_entries = shape == Shape::small ? kSmallEntries : 0U};
}

// A running cache as its target would have it: what is in core.
struct CoreState {
  std::map<std::uint32_t, std::uint64_t> mappings;   // cache block -> origin block
  std::map<std::uint32_t, bool> dirty;
  std::map<std::uint32_t, std::uint32_t> hints;
  std::map<std::uint64_t, bool> discarded;
  Statistics statistics;

  [[nodiscard]] CleanState clean_state() const {
    return {.dirty =
                [this](CacheBlock block) {
                  const auto found = dirty.find(block.value());
                  return found != dirty.end() && found->second;
                },
            .discards = kTestDiscards,
            .discarded =
                [this](DiscardBlock block) {
                  const auto found = discarded.find(block.value());
                  return found != discarded.end() && found->second;
                },
            .statistics = statistics,
            .policy = kTestPolicy,
            .hint =
                [this](CacheBlock block) {
                  const auto found = hints.find(block.value());
                  return found == hints.end() ? 0U : found->second;
                }};
  }
  // What load_mappings() must give after a clean shutdown with this state.
  [[nodiscard]] std::vector<StoredMapping> stored() const {
    std::vector<StoredMapping> result;
    for (const auto& [block, origin] : mappings) {
      const auto is_dirty = dirty.find(block);
      const auto hint = hints.find(block);
      result.push_back({.block = CacheBlock{block},
                        .origin = OriginBlock{origin},
                        .dirty = is_dirty != dirty.end() && is_dirty->second,
                        .hint = hint == hints.end() ? 0U : hint->second});
    }
    return result;
  }
  // After anything else.
  [[nodiscard]] std::vector<StoredMapping> all_dirty() const {
    std::vector<StoredMapping> result = stored();
    for (StoredMapping& mapping : result) {
      mapping.dirty = true;
      mapping.hint.reset();
    }
    return result;
  }
};

inline std::vector<StoredMapping> mappings_of(Metadata& metadata,
                                              const PolicyIdentity& policy = kTestPolicy) {
  return must(metadata.load_mappings(policy, kTestOriginBlocks));
}
inline std::vector<std::uint64_t> discards_of(Metadata& metadata) {
  std::vector<std::uint64_t> result;
  for (const DiscardRange& range : must(metadata.load_discards(kTestDiscards))) {
    for (std::uint64_t block = range.begin.value(); block < range.end.value(); ++block)
      result.push_back(block);
  }
  return result;
}

// Opens, runs `body(metadata)`, commits, closes.
template <typename Body>
sim::DiskImageRef with_metadata(const TankOptions& tank, const MetadataOptions& options,
                                Body&& body) {
  return in_tank(tank, [&](sim::SimDevice& device) {
    const std::unique_ptr<Metadata> metadata = must(Metadata::open(device, options));
    body(*metadata);
    if (!metadata->failed() && !metadata->read_only()) must(metadata->commit());
    metadata->close();
  });
}

inline checkers::image::CacheReport report_of(const sim::DiskImage& image,
                                              Shape shape = Shape::linuxs) {
  ImageSource source{image};
  return checkers::image::check_cache(
      source, {.origin_blocks = kTestOriginBlocks,
               .array_entries = shape == Shape::small ? kSmallEntries : 0U});
}
// Everything that the checker finds, one a line; empty: nothing.
inline std::string faults_of(const sim::DiskImage& image, Shape shape = Shape::linuxs) {
  const checkers::image::CacheReport report = report_of(image, shape);
  std::string text;
  if (!report.readable) text += "unreadable\n";
  for (const auto& finding : report.findings.kept())
    text += checkers::image::to_text(finding) + "\n";
  return text;
}

// Maps 40 blocks, a few of them dirty, hints and discards too; shut down cleanly.
inline CoreState example_state() {
  CoreState state;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const std::uint32_t block = i * 13 % 512;
    state.mappings[block] = 100 + i * 7;
    state.hints[block] = i % 64;
    if (i % 6 == 0) state.dirty[block] = true;
  }
  for (const std::uint64_t block : {0U, 1U, 2U, 63U, 64U, 200U, 4095U})
    state.discarded[block] = true;
  state.statistics = {.read_hits = 1, .read_misses = 2, .write_hits = 3, .write_misses = 4};
  return state;
}
inline void map_all(Metadata& metadata, const CoreState& state) {
  for (const auto& [block, origin] : state.mappings)
    must(metadata.insert(CacheBlock{block}, OriginBlock{origin}));
}
inline sim::DiskImageRef example_image(std::uint32_t version, Shape shape = Shape::linuxs,
                                       std::uint32_t cache_blocks = 512) {
  return with_metadata({.blocks = 512}, options_for(version, cache_blocks, shape),
                       [](Metadata& metadata) {
                         const CoreState state = example_state();
                         map_all(metadata, state);
                         must(metadata.shut_down_cleanly(state.clean_state()));
                       });
}

}   // namespace engine::cache
