// The walk over a cache's arrays. Each array is read once, in order; what its entries say is judged
// as they come by, and kept in the report where another array has to agree with it.
#include "checkers/image/cache_check.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "checkers/image/cache_format.h"
#include "checkers/image/thin_space_map.h"
#include "checkers/image/thin_walk.h"

namespace checkers::image {
namespace {

using thin_format::load32;
using thin_format::load64;

struct ArraySpec {
  const char* root_field{nullptr};
  BlockType tree{};
  BlockType array{};
  std::uint32_t value_size{0};
  std::uint64_t root{0};
  std::uint64_t size{0};   // entries that it must have
};

// Where the blocks of an array lie, by what its tree says.
struct PlacesVisitor {
  struct Place {
    std::uint64_t block{0};
    Pointer from;
  };
  std::vector<Place>& places;
  Findings& findings;
  bool& gapless;

  void leaf(const NodeView& node, std::uint64_t block, const NodeInfo&, ThinImage::Counted) {
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      if (node.key(i) != places.size()) {
        findings.add(Rule::array_shape, Severity::fatal, block, fmt::format("keys[{}]", i),
                     fmt::format("{}", node.key(i)), fmt::format("{}", places.size()));
        // What lies behind a gap is entered, so that it does not look leaked, but means nothing.
        gapless = false;
      }
      places.push_back({node.value64(i), {block, "values", i}});
    }
  }
  void again(const NodeInfo&, std::uint64_t) {}
};

class CacheChecker {
 public:
  CacheChecker(BlockSource& source, const CacheCheckOptions& options)
      : options_{options}, source_{source} {
    report_.findings = Findings{options.findings_per_rule};
  }
  CacheReport run();

 private:
  // Calls visit(index, bytes of the value, block, field index) for the entries that the array must
  // have, as far as they are there.
  template <typename Visit>
  void walk_array(const ArraySpec& spec, Visit&& visit);
  [[nodiscard]] const std::byte* load_array_block(const ArraySpec& spec, std::uint64_t block,
                                                  std::uint64_t index, bool last);

  void mappings();
  void one_mapping(std::uint64_t index, std::uint64_t value, std::uint64_t block,
                   std::uint32_t slot);
  void origins_once();
  void dirty_bits();
  void hints();
  void discard_fields();
  void discards();
  void bits(const ArraySpec& spec, std::uint64_t count, Rule rule,
            const std::function<void(std::uint64_t bit, std::uint64_t block)>& visit);
  [[nodiscard]] std::uint64_t origin_end() const;

  void say(Rule rule, Severity severity, std::uint64_t block, std::string field, std::string found,
           std::string expected) {
    if (!report_.findings.keeps(rule, severity)) return report_.findings.count(rule, severity);
    report_.findings.add(rule, severity, block, std::move(field), std::move(found),
                         std::move(expected));
  }

  const CacheCheckOptions options_;
  BlockSource& source_;
  CacheReport report_;
  ThinImage image_;
  TreeWalk walk_{image_};
  ThinSpaceMap map_{image_, walk_, ThinSpaceMap::Kind::metadata};
};

CacheReport CacheChecker::run() {
  image_.reset(source_, report_.findings);
  const std::byte* bytes = image_.load(0, BlockType::cache_superblock, 0);
  if (bytes != nullptr) {
    report_.superblock = parse_cache_superblock(bytes);
    report_.readable =
        check_cache_superblock(report_.superblock, bytes, source_.nr_blocks(), report_.findings);
  }
  if (report_.readable) {
    image_.set_nr_blocks(report_.superblock.metadata_map.nr_blocks);
    image_.enter(0, BlockType::cache_superblock, {0, "superblock"}, ThinImage::Counted::yes);
    map_.load(report_.superblock.metadata_map, 0);
    mappings();
    origins_once();
    dirty_bits();
    hints();
    discard_fields();
    discards();
    MetadataRefs refs{image_};
    map_.compare(refs);
    report_.metadata_allocated = map_.allocated();
    report_.complete = image_.complete();
  }
  report_.blocks_read = image_.blocks_read();
  return std::move(report_);
}

const std::byte* CacheChecker::load_array_block(const ArraySpec& spec, std::uint64_t block,
                                                std::uint64_t index, bool last) {
  constexpr auto& kFields = cache_format::kArrayFields;
  const std::byte* bytes = image_.load(block, spec.array, TreeWalk::kFirstSlot);
  if (bytes == nullptr) return nullptr;
  const auto wrong = [&](const char* field, std::uint32_t found, std::string expected) {
    say(Rule::array_shape, Severity::fatal, block, field, fmt::format("{}", found),
        std::move(expected));
  };
  const std::uint32_t value_size = load32(bytes, thin_format::at(kFields, "value_size"));
  const std::uint32_t max = load32(bytes, thin_format::at(kFields, "max_entries"));
  const std::uint32_t nr = load32(bytes, thin_format::at(kFields, "nr_entries"));
  const std::uint32_t linuxs = cache_format::array_entries(spec.value_size);
  const std::uint32_t capacity =
      options_.array_entries == 0 ? linuxs : std::min(options_.array_entries, linuxs);
  if (value_size != spec.value_size) {
    wrong("value_size", value_size,
          fmt::format("{} in {}", spec.value_size, block_type_name(spec.array)));
    return nullptr;
  }
  if (max != capacity) {
    wrong("max_entries", max, fmt::format("{}", capacity));
    return nullptr;
  }
  const std::uint64_t count = last ? spec.size - index * capacity : capacity;
  if (nr == count) return bytes;
  if (nr < count || nr > max) {
    wrong("nr_entries", nr, fmt::format("{}", count));
    return nullptr;
  }
  // Linux never trusts these, but it does not take them away either.
  say(Rule::array_shape, Severity::repairable, block, "nr_entries", fmt::format("{}", nr),
      fmt::format("{}, by the array's length", count));
  return bytes;
}

template <typename Visit>
void CacheChecker::walk_array(const ArraySpec& spec, Visit&& visit) {
  std::vector<PlacesVisitor::Place> places;
  bool gapless = true;
  PlacesVisitor visitor{places, report_.findings, gapless};
  walk_.walk({spec.tree, 8, Sharing::none, 0}, visitor, spec.root, {0, spec.root_field},
             ThinImage::Counted::yes);
  const std::uint32_t linuxs = cache_format::array_entries(spec.value_size);
  const std::uint64_t capacity =
      options_.array_entries == 0 ? linuxs : std::min(options_.array_entries, linuxs);
  const std::uint64_t needed = spec.size / capacity + (spec.size % capacity != 0 ? 1 : 0);
  if (places.size() < needed) {
    say(Rule::array_shape, Severity::fatal, 0, spec.root_field,
        fmt::format("{} blocks", places.size()),
        fmt::format("{} for {} entries", needed, spec.size));
  } else if (places.size() > needed) {
    say(Rule::array_shape, Severity::repairable, 0, spec.root_field,
        fmt::format("{} blocks", places.size()),
        fmt::format("{} for {} entries: the rest is stale", needed, spec.size));
  }
  for (std::uint64_t b = 0; b < places.size(); ++b) {
    const auto entered =
        image_.enter(places[b].block, spec.array, places[b].from, ThinImage::Counted::yes);
    if (entered == ThinImage::Entry::again) {
      say(Rule::reached_twice, Severity::fatal, places[b].from.block, places[b].from.text(),
          fmt::format("block {}, which another entry has", places[b].block), "a block of its own");
    }
    if (entered != ThinImage::Entry::first || b >= needed || !gapless) continue;
    const std::byte* bytes = load_array_block(spec, places[b].block, b, b + 1 == needed);
    if (bytes == nullptr) continue;
    const std::uint64_t end = std::min(spec.size, (b + 1) * capacity);
    for (std::uint64_t index = b * capacity; index < end; ++index) {
      const auto slot = static_cast<std::uint32_t>(index - b * capacity);
      visit(index, bytes + cache_format::kArrayHeader + std::size_t{slot} * spec.value_size,
            places[b].block, slot);
    }
  }
}

// --- Mappings.

std::uint64_t CacheChecker::origin_end() const {
  if (options_.origin_blocks) return *options_.origin_blocks;
  const CacheSuperblock& super = report_.superblock;
  const bool bounded = super.clean() && super.discard_nr_blocks != 0 &&
                       super.discard_nr_blocks <= cache_format::kDiscardBlocksMost &&
                       super.data_block_size != 0 &&
                       super.discard_block_size <=
                           std::numeric_limits<std::uint64_t>::max() / super.discard_nr_blocks;
  if (!bounded) return std::numeric_limits<std::uint64_t>::max();
  return super.discard_block_size * super.discard_nr_blocks / super.data_block_size;
}

void CacheChecker::mappings() {
  const CacheSuperblock& super = report_.superblock;
  walk_array({.root_field = "mapping_root",
              .tree = BlockType::mapping_tree,
              .array = BlockType::mapping_array,
              .value_size = 8,
              .root = super.mapping_root,
              .size = super.cache_blocks},
             [&](std::uint64_t index, const std::byte* value, std::uint64_t block,
                 std::uint32_t slot) { one_mapping(index, load64(value, 0), block, slot); });
}

void CacheChecker::one_mapping(std::uint64_t index, std::uint64_t value, std::uint64_t block,
                               std::uint32_t slot) {
  if (value == 0) return;
  const std::uint64_t flags = value & ((std::uint64_t{1} << cache_format::kMappingFlagBits) - 1);
  const std::uint64_t origin = value >> cache_format::kMappingFlagBits;
  const auto field = [&] {
    return fmt::format("mapping of cache block {} (slot {})", index, slot);
  };
  if ((flags & cache_format::kMappingValid) == 0) {
    say(Rule::cache_mappings, Severity::repairable, block, field(), fmt::format("{:#x}", value),
        "0, as it is not valid");
    return;
  }
  const bool version1 = report_.superblock.version == 1;
  const std::uint64_t allowed =
      cache_format::kMappingValid | (version1 ? cache_format::kMappingDirty : 0);
  if ((flags & ~allowed) != 0) {
    say(Rule::cache_mappings, Severity::fatal, block, field(), fmt::format("flags {:#x}", flags),
        version1 ? "valid (1), dirty (2)" : "valid (1)");
  }
  if (origin >= origin_end()) {
    say(Rule::cache_mappings, Severity::fatal, block, field(),
        fmt::format("origin block {}", origin), fmt::format("below {}", origin_end()));
  }
  report_.mappings.push_back({.cache_block = static_cast<std::uint32_t>(index),
                              .origin_block = origin,
                              .dirty = (flags & cache_format::kMappingDirty & allowed) != 0,
                              .hint = 0});
}

void CacheChecker::origins_once() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted;
  sorted.reserve(report_.mappings.size());
  for (const CacheMapping& mapping : report_.mappings)
    sorted.emplace_back(mapping.origin_block, mapping.cache_block);
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].first != sorted[i - 1].first) continue;
    say(Rule::origin_twice, Severity::fatal, 0, fmt::format("origin block {}", sorted[i].first),
        fmt::format("in cache blocks {} and {}", sorted[i - 1].second, sorted[i].second),
        "in one at most");
  }
}

// --- Bitsets.

void CacheChecker::bits(const ArraySpec& spec, std::uint64_t count, Rule rule,
                        const std::function<void(std::uint64_t, std::uint64_t)>& visit) {
  walk_array(spec, [&](std::uint64_t index, const std::byte* value, std::uint64_t block,
                       std::uint32_t slot) {
    for (std::uint64_t word = load64(value, 0); word != 0; word &= word - 1) {
      const std::uint64_t bit = index * 64 + static_cast<unsigned>(std::countr_zero(word));
      if (bit < count) {
        visit(bit, block);
        continue;
      }
      say(rule, Severity::warn, block, fmt::format("word {}", slot), fmt::format("bit {}", bit),
          fmt::format("0 from bit {} on", count));
      break;
    }
  });
}

void CacheChecker::dirty_bits() {
  const CacheSuperblock& super = report_.superblock;
  if (super.version < 2) return;
  auto at = report_.mappings.begin();
  bits({.root_field = "dirty_root",
        .tree = BlockType::dirty_tree,
        .array = BlockType::dirty_array,
        .value_size = 8,
        .root = super.dirty_root,
        .size = (std::uint64_t{super.cache_blocks} + 63) / 64},
       super.cache_blocks, Rule::dirty_bits, [&](std::uint64_t bit, std::uint64_t block) {
         while (at != report_.mappings.end() && at->cache_block < bit)
           ++at;
         if (at != report_.mappings.end() && at->cache_block == bit) {
           at->dirty = true;
           return;
         }
         // As cache_restore leaves it; nobody reads it as more than noise.
         say(Rule::dirty_bits, Severity::warn, block, fmt::format("cache block {}", bit), "dirty",
             "clean, as it is not mapped");
       });
}

void CacheChecker::hints() {
  const CacheSuperblock& super = report_.superblock;
  if (super.policy_hint_size != 0 && super.policy_hint_size != 4) {
    say(Rule::hints, Severity::fatal, 0, "policy_hint_size",
        fmt::format("{}", super.policy_hint_size), "0 or 4");
  }
  if (super.hint_root == 0) {
    if (super.policy_hint_size != 0) {
      say(Rule::hints, Severity::warn, 0, "policy_hint_size",
          fmt::format("{}", super.policy_hint_size), "0 without hints");
    }
    return;
  }
  if (super.policy_hint_size == 0) {
    say(Rule::hints, Severity::warn, 0, "policy_hint_size", "0",
        "4 with hints; no kernel uses them like this");
  }
  auto at = report_.mappings.begin();
  walk_array({.root_field = "hint_root",
              .tree = BlockType::hint_tree,
              .array = BlockType::hint_array,
              .value_size = 4,
              .root = super.hint_root,
              .size = super.cache_blocks},
             [&](std::uint64_t index, const std::byte* value, std::uint64_t, std::uint32_t) {
               if (at == report_.mappings.end() || at->cache_block != index) return;
               at->hint = load32(value, 0);
               ++at;
             });
}

void CacheChecker::discard_fields() {
  const CacheSuperblock& super = report_.superblock;
  const auto wrong = [&](const char* field, std::uint64_t found, std::string expected) {
    say(Rule::discards, Severity::repairable, 0, field, fmt::format("{}", found),
        std::move(expected));
  };
  if (super.discard_block_size == 0 && super.discard_nr_blocks == 0) return;
  const std::uint64_t size = super.discard_block_size;
  const std::uint64_t data = super.data_block_size;
  if (size == 0 || data == 0 || size % data != 0 || !std::has_single_bit(size / data))
    wrong("discard_block_size", size, fmt::format("{} times a power of two", data));
  if (super.discard_nr_blocks > cache_format::kDiscardBlocksMost)
    wrong("discard_nr_blocks", super.discard_nr_blocks,
          fmt::format("at most {}", cache_format::kDiscardBlocksMost));
  // The size is doubled only as long as there would be more than 16384 whole blocks.
  else if (data != 0 && size > data &&
           super.discard_nr_blocks <= cache_format::kDiscardBlocksMost / 2)
    wrong("discard_nr_blocks", super.discard_nr_blocks, "more than 8192, or blocks half the size");
  if (!options_.origin_blocks || size == 0 || data == 0) return;
  // Of the origin only the number of whole data blocks is known.
  const std::uint64_t least = *options_.origin_blocks * data / size;
  if (super.discard_nr_blocks < least || super.discard_nr_blocks > least + 1)
    wrong("discard_nr_blocks", super.discard_nr_blocks,
          fmt::format("{} or {} by the origin's size", least, least + 1));
}

void CacheChecker::discards() {
  const CacheSuperblock& super = report_.superblock;
  const std::uint64_t count = std::min(super.discard_nr_blocks, cache_format::kDiscardBlocksMost);
  bits({.root_field = "discard_root",
        .tree = BlockType::discard_tree,
        .array = BlockType::discard_array,
        .value_size = 8,
        .root = super.discard_root,
        .size = (count + 63) / 64},
       count, Rule::discards,
       [&](std::uint64_t bit, std::uint64_t) { report_.discarded.push_back(bit); });
}

}   // namespace

CacheReport check_cache(BlockSource& source, const CacheCheckOptions& options) {
  return CacheChecker{source, options}.run();
}

}   // namespace checkers::image
