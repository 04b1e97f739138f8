#include "scenarios/cache/state_judge.h"

#include <array>
#include <cstring>
#include <map>
#include <sstream>
#include <string>

namespace scenarios::cache {

using engine::cache::CacheBlock;
using engine::cache::CacheView;
using engine::cache::Mapping;
using engine::cache::OriginBlock;

namespace {
constexpr const char* kStateChecker = "cache_state";
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
        findings.add(kStateChecker, "a mapping beyond a disk", "block {} in place {}",
                     mapping.origin, mapping.at);
        break;
      }
      if (std::memcmp(cached.data(), own.data(), cached.size()) == 0) continue;
      findings.add(kStateChecker, "clean and not the same",
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
      findings.add(kStateChecker, "mapped twice", "block {} or place {}", mapping.origin,
                   mapping.at);
  }
  std::uint64_t dirty = 0;
  for (std::uint32_t place = 0; place < view.cache_blocks(); ++place) {
    if (!view.dirty(CacheBlock{place})) continue;
    ++dirty;
    if (!by_place.contains(CacheBlock{place}))
      findings.add(kStateChecker, "dirty and free", "place {} is dirty, and nothing is in it",
                   place);
  }
  if (dirty != view.dirty_count())
    findings.add(kStateChecker, "miscounted", "{} places are dirty, and {} are counted", dirty,
                 view.dirty_count());
}

void judge_cache_agreement(const CacheView& view, const CachePolicyJudge& judge,
                           checkers::Findings& findings) {
  std::map<OriginBlock, CacheBlock> mapped;
  for (const Mapping& mapping : view.mappings()) {
    mapped.emplace(mapping.origin, mapping.at);
    if (view.dirty(mapping.at) && !judge.dirty(mapping.origin)) {
      findings.add(kStateChecker, "the policy thinks it clean",
                   "block {} in place {} is dirty, its cell is free, and the policy was last told "
                   "that it is clean",
                   mapping.origin, mapping.at);
    }
  }
  if (mapped != judge.mappings())
    findings.add(kStateChecker, "the policy has lost its way",
                 "it has {} mappings and should have {}", mapped.size(), judge.mappings().size());
}

// "0 512 cache 8 6/64 64 1/2 0 0 0 0 0 0 0 1 writeback ...", as docs/operating.md explains it.
void judge_cache_status(std::string_view line, const ExpectedStatus& expected,
                        checkers::Findings& findings) {
  static constexpr std::string_view kTarget = " cache ";
  line = line.substr(0, line.find_last_not_of(" \n") + 1);
  const std::size_t begin = line.find(kTarget);
  if (begin == std::string_view::npos) return;
  std::istringstream text{std::string{line.substr(begin + kTarget.size())}};
  const auto judge = [&](const char* what, std::optional<std::uint64_t> wanted) {
    std::uint64_t said = 0;
    if (!(text >> said)) {
      findings.add(kStateChecker, "a status line without a number", "{} in '{}'", what, line);
    } else if (wanted && said != *wanted) {
      findings.add(kStateChecker, "a status line that is not true", "{}: {} and should be {}: '{}'",
                   what, said, *wanted, line);
    }
  };
  const auto skip_slash = [&] { text.ignore(1, '/'); };
  std::string first;
  if (!(text >> first) || first == "Fail") return;
  if (first == "Error") {
    findings.add(kStateChecker, "a status line that tells nothing",
                 "the metadata can be read, and is not asked: '{}'", line);
    return;
  }
  judge("metadata used", expected.metadata_used);
  skip_slash();
  judge("metadata blocks", expected.metadata_total);
  judge("block sectors", expected.block_sectors);
  judge("cached", expected.cached);
  skip_slash();
  judge("places", expected.cache_blocks);
  const std::optional<engine::cache::Statistics>& hits = expected.hits;
  const auto known = [&](std::uint32_t engine::cache::Statistics::* count) {
    return hits ? std::optional<std::uint64_t>{*hits.*count} : std::nullopt;
  };
  judge("read hits", known(&engine::cache::Statistics::read_hits));
  judge("read misses", known(&engine::cache::Statistics::read_misses));
  judge("write hits", known(&engine::cache::Statistics::write_hits));
  judge("write misses", known(&engine::cache::Statistics::write_misses));
  judge("demotions", expected.demotions);
  judge("promotions", expected.promotions);
  judge("dirty", expected.dirty);
}

namespace {

void judge_stored_discards(const CacheView& view, const checkers::image::CacheReport& stored,
                           checkers::Findings& findings) {
  const engine::cache::DiscardGeometry geometry = view.discard_geometry();
  const std::uint64_t blocks = geometry.block_sectors / view.config().block_sectors;
  std::vector<std::uint64_t> discarded;
  for (std::uint64_t block = 0; block < geometry.nr_blocks; ++block) {
    if (view.discarded(OriginBlock{block * blocks})) discarded.push_back(block);
  }
  if (discarded != stored.discarded)
    findings.add(kStateChecker, "a clean shutdown that is not true",
                 "{} blocks are discarded, and {} or others are stored", discarded.size(),
                 stored.discarded.size());
}

}   // namespace

void judge_clean_shutdown(const CacheView& view, const checkers::image::CacheReport& stored,
                          bool calm, checkers::Findings& findings) {
  if (view.mode() != engine::cache::CacheMode::write) return;   // nothing is stored any more
  if (!stored.superblock.clean()) {
    if (calm)
      findings.add(kStateChecker, "suspended and not clean",
                   "a cache that was in service has been suspended, nothing failed, and its "
                   "metadata is not marked");
    return;
  }
  if (view.serving())
    findings.add(kStateChecker, "clean in service",
                 "the metadata is marked, and writes may come in");
  std::map<CacheBlock, checkers::image::CacheMapping> by_place;
  for (const checkers::image::CacheMapping& mapping : stored.mappings)
    by_place.emplace(CacheBlock{mapping.cache_block}, mapping);
  const std::vector<Mapping> mappings = view.mappings();
  bool same = mappings.size() == by_place.size();
  for (const Mapping& mapping : mappings) {
    const auto found = by_place.find(mapping.at);
    same = same && found != by_place.end() && found->second.origin_block == mapping.origin.value();
    if (!same || found->second.dirty == view.dirty(mapping.at)) continue;
    findings.add(kStateChecker, "a clean shutdown that is not true",
                 "block {} in place {} is {}, and is stored as {}", mapping.origin, mapping.at,
                 view.dirty(mapping.at) ? "dirty" : "clean",
                 found->second.dirty ? "dirty" : "clean");
  }
  if (!same)
    findings.add(kStateChecker, "a clean shutdown that is not true",
                 "{} blocks are cached, and {} or others are stored", mappings.size(),
                 by_place.size());
  judge_stored_discards(view, stored, findings);
  const checkers::image::CacheSuperblock& super = stored.superblock;
  const engine::cache::Statistics counted{.read_hits = super.read_hits,
                                          .read_misses = super.read_misses,
                                          .write_hits = super.write_hits,
                                          .write_misses = super.write_misses};
  if (counted != view.hits())
    findings.add(kStateChecker, "a clean shutdown that is not true",
                 "the hits and misses stored are not those counted");
}

}   // namespace scenarios::cache
