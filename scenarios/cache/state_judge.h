// A cache at rest, looked at from the side: what it knows of itself against what is on its disks,
// against itself, and against what its policy must believe. For moments when nothing is in flight.
//
// Not covered: whether contents are the right ones (data_oracle sees that); metadata on disk but
// for what a clean shutdown has stored.
#pragma once

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
// The policy has what it was told, knows of every dirty block that it is dirty, and decided as many
// promotions as are counted.
void judge_cache_agreement(const engine::cache::CacheView& view, const CachePolicyJudge& judge,
                           checkers::Findings& findings);

// Of a cache that was in service and has been suspended: where its metadata is marked as that of a
// clean shutdown, what is stored is what is true. `calm`: nothing failed, so it must be marked.
void judge_clean_shutdown(const engine::cache::CacheView& view,
                          const checkers::image::CacheReport& stored, bool calm,
                          checkers::Findings& findings);

}   // namespace scenarios::cache
