// A cache at rest, looked at from the side: what it knows of itself against what is on its disks,
// against itself, and against what its policy must believe. For moments when nothing is in flight.
//
// Not covered: whether contents are the right ones (data_oracle sees that); metadata on disk but
// for what a clean shutdown has stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "checkers/findings.h"
#include "checkers/image/block_source.h"
#include "checkers/image/cache_check.h"
#include "engine/cache/cache_view.h"
#include "scenarios/cache/policy_judge.h"

namespace scenarios::cache {

// A cached block that is neither dirty nor discarded is the same on both disks.
void judge_cache_contents(const engine::cache::CacheView& view, checkers::image::BlockSource& fast,
                          checkers::image::BlockSource& origin, checkers::Findings& findings);
// Only mapped places are dirty, and as many as are counted; nothing is mapped twice.
void judge_cache_bits(const engine::cache::CacheView& view, checkers::Findings& findings);
// The policy has what it was told, and knows of every dirty block that it is dirty.
void judge_cache_agreement(const engine::cache::CacheView& view, const CachePolicyJudge& judge,
                           checkers::Findings& findings);

// What the status line ought to say. What is not known is not compared.
struct ExpectedStatus {
  std::optional<std::uint64_t> metadata_used;
  std::optional<std::uint64_t> metadata_total;
  std::uint32_t block_sectors = 0;
  std::size_t cached = 0;
  std::uint32_t cache_blocks = 0;
  std::optional<engine::cache::Statistics> hits;
  std::optional<std::uint32_t> demotions;
  std::optional<std::uint32_t> promotions;
  std::uint64_t dirty = 0;
};
// `line`: of one cache target. One that has failed says nothing else.
void judge_cache_status(std::string_view line, const ExpectedStatus& expected,
                        checkers::Findings& findings);

// Of a cache that was in service and has been suspended: where its metadata is marked as that of a
// clean shutdown, what is stored is what is true. `calm`: nothing failed, so it must be marked.
void judge_clean_shutdown(const engine::cache::CacheView& view,
                          const checkers::image::CacheReport& stored, bool calm,
                          checkers::Findings& findings);

}   // namespace scenarios::cache
