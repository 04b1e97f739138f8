#include "scenarios/cache/state_judge.h"

#include <array>
#include <cstring>
#include <map>

namespace scenarios::cache {

using engine::cache::CacheBlock;
using engine::cache::CacheView;
using engine::cache::Mapping;
using engine::cache::OriginBlock;

namespace {
constexpr const char* kChecker = "cache_state";
}   // namespace

void judge_cache_contents(const CacheView& view, checkers::image::BlockSource& fast,
                          checkers::image::BlockSource& origin, checkers::Findings& findings) {
  const std::uint64_t sectors = view.config().block_sectors;
  const std::uint64_t pages = (sectors << engine::kSectorShift) / checkers::image::kImageBlockSize;
  for (const Mapping& mapping : view.mappings()) {
    if (view.dirty(mapping.at) || view.discarded(mapping.origin)) continue;
    for (std::uint64_t page = 0; page < pages; ++page) {
      std::array<std::byte, checkers::image::kImageBlockSize> cached{};
      std::array<std::byte, checkers::image::kImageBlockSize> own{};
      if (!fast.read(mapping.at.value() * pages + page, cached) ||
          !origin.read(mapping.origin.value() * pages + page, own)) {
        findings.add(kChecker, "a mapping beyond a disk", "block {} in place {}", mapping.origin,
                     mapping.at);
        break;
      }
      if (std::memcmp(cached.data(), own.data(), cached.size()) == 0) continue;
      findings.add(kChecker, "clean and not the same",
                   "block {} is cached in place {} and counts as clean, but differs in 4 KiB page "
                   "{} of it",
                   mapping.origin, mapping.at, page);
      break;
    }
  }
}

void judge_cache_bits(const CacheView& view, checkers::Findings& findings) {
  std::map<CacheBlock, OriginBlock> by_place;
  std::map<OriginBlock, CacheBlock> by_block;
  for (const Mapping& mapping : view.mappings()) {
    const bool fresh = by_block.emplace(mapping.origin, mapping.at).second &&
                       by_place.emplace(mapping.at, mapping.origin).second;
    if (!fresh)
      findings.add(kChecker, "mapped twice", "block {} or place {}", mapping.origin, mapping.at);
  }
  std::uint64_t dirty = 0;
  for (std::uint32_t place = 0; place < view.cache_blocks(); ++place) {
    if (!view.dirty(CacheBlock{place})) continue;
    ++dirty;
    if (!by_place.contains(CacheBlock{place}))
      findings.add(kChecker, "dirty and free", "place {} is dirty, and nothing is in it", place);
  }
  if (dirty != view.dirty_count())
    findings.add(kChecker, "miscounted", "{} places are dirty, and {} are counted", dirty,
                 view.dirty_count());
}

void judge_cache_agreement(const CacheView& view, const CachePolicyJudge& judge,
                           checkers::Findings& findings) {
  std::map<OriginBlock, CacheBlock> mapped;
  for (const Mapping& mapping : view.mappings()) {
    mapped.emplace(mapping.origin, mapping.at);
    if (view.dirty(mapping.at) && !judge.dirty(mapping.origin)) {
      findings.add(kChecker, "the policy thinks it clean",
                   "block {} in place {} is dirty, its cell is free, and the policy was last told "
                   "that it is clean",
                   mapping.origin, mapping.at);
    }
  }
  if (mapped != judge.mappings())
    findings.add(kChecker, "the policy has lost its way", "it has {} mappings and should have {}",
                 mapped.size(), judge.mappings().size());
  if (view.promotions() != judge.promotions())
    findings.add(kChecker, "miscounted", "{} promotions were decided, and {} are counted",
                 judge.promotions(), view.promotions());
}

}   // namespace scenarios::cache
