// What the arrays hold: mappings, dirty bits, hints, discarded blocks; reading them with doubt and
// writing them at a clean shutdown.
#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/cache/metadata_core.h"

namespace engine::cache {

namespace {

constexpr std::uint32_t kHintSize = sizeof(Le32);

std::array<char, 16> padded(std::string_view name) noexcept {
  std::array<char, 16> result{};
  std::copy(name.begin(), name.end(), result.begin());
  return result;
}

// A range of sectors that is discarded as a whole, in blocks of another size.
void add_whole_blocks(std::vector<DiscardRange>& ranges, std::uint64_t begin, std::uint64_t end,
                      const DiscardGeometry& geometry) {
  const DiscardBlock first{div_ceil(begin, geometry.block_sectors)};
  const DiscardBlock last{std::min(end / geometry.block_sectors, geometry.nr_blocks)};
  if (first < last) ranges.push_back({.begin = first, .end = last});
}

}   // namespace

Result<MappingEntry> MetadataCore::mapping(CacheBlock block) const {
  ENGINE_TRY_ASSIGN(const Le64 entry, mappings.get(mapping_root, block.value()));
  return decode_mapping(entry);
}

Result<void> MetadataCore::insert(CacheBlock block, OriginBlock origin) {
  ENGINE_TRY_ASSIGN(mapping_root,
                    mappings.set(mapping_root, block.value(),
                                 encode_mapping({.origin = origin, .flags = kMappingValid})));
  clean = false;
  return {};
}

Result<void> MetadataCore::remove(CacheBlock block) {
  ENGINE_TRY_ASSIGN(mapping_root, mappings.set(mapping_root, block.value(), Le64{}));
  clean = false;
  if (!has_dirty_bits()) return {};
  // No image of ours calls an unmapped block dirty, clean or not.
  ENGINE_TRY_ASSIGN(const bool stale, dirty.get(dirty_root, block.value()));
  if (!stale) return {};
  ENGINE_TRY_ASSIGN(dirty_root, dirty.set(dirty_root, block.value(), false));
  return {};
}

// --- Size.

// Would blocks from `first` on lose data if they went?
Result<bool> MetadataCore::any_dirty_from(std::uint32_t first) const {
  bool found = false;
  std::vector<bool> mapped(cache_blocks);
  ENGINE_TRY(mappings.walk(mapping_root, cache_blocks,
                           [&](std::uint64_t index, const Le64& disk) -> Result<void> {
                             const MappingEntry entry = decode_mapping(disk);
                             if (index < first || !entry.valid()) return {};
                             mapped[index] = true;
                             if (!clean || (entry.flags & kMappingDirty) != 0) found = true;
                             return {};
                           }));
  if (!clean || !has_dirty_bits()) return found;
  ENGINE_TRY(dirty.walk(dirty_root, cache_blocks, [&](std::uint64_t index) -> Result<void> {
    if (mapped[index]) found = true;
    return {};
  }));
  return found;
}

Result<void> MetadataCore::drop_hints() {
  if (hint_root != MetaBlock{0}) {
    ENGINE_TRY(hints.destroy(hint_root));
    hint_root = MetaBlock{0};
    superblock_changed = true;
  }
  if (policy.hint_size != 0) superblock_changed = true;
  policy.hint_size = 0;
  return {};
}

Result<void> MetadataCore::resize(std::uint32_t cache_blocks_next) {
  ENGINE_TRY_ASSIGN(mapping_root,
                    mappings.resize(mapping_root, cache_blocks, cache_blocks_next, Le64{}));
  if (has_dirty_bits()) {
    ENGINE_TRY_ASSIGN(dirty_root, dirty.resize(dirty_root, cache_blocks, cache_blocks_next));
  }
  // Hints of another number than they ought to be, and those that nobody may use any more, go.
  bool keeps_hints = hint_root != MetaBlock{0} && policy.hint_size == kHintSize &&
                     (clean || cache_blocks == cache_blocks_next);
  if (keeps_hints) {
    ENGINE_TRY_ASSIGN(const std::uint64_t stored, hints.stored_size(hint_root));
    keeps_hints = stored >= cache_blocks;
  }
  if (keeps_hints) {
    ENGINE_TRY_ASSIGN(hint_root, hints.resize(hint_root, cache_blocks, cache_blocks_next, Le32{}));
  } else {
    ENGINE_TRY(drop_hints());
  }
  if (cache_blocks != cache_blocks_next) superblock_changed = true;
  cache_blocks = cache_blocks_next;
  return {};
}

// --- Loading. Every byte here may be anything.

bool MetadataCore::hints_of(const PolicyIdentity& reader) const noexcept {
  return clean && hint_root != MetaBlock{0} && reader.hint_size == kHintSize &&
         policy.hint_size == kHintSize && std::string_view{policy.name.data()} == reader.name &&
         policy.version[0] == reader.version.major;
}

Result<std::vector<StoredMapping>> MetadataCore::load_mappings(const PolicyIdentity& reader,
                                                               std::uint64_t origin_blocks) const {
  std::vector<StoredMapping> result;
  const std::uint64_t flags_allowed =
      has_dirty_bits() ? kMappingValid : kMappingValid | kMappingDirty;
  ENGINE_TRY(mappings.walk(
      mapping_root, cache_blocks, [&](std::uint64_t index, const Le64& disk) -> Result<void> {
        const MappingEntry entry = decode_mapping(disk);
        // Kernels may leave DIRTY alone behind; it means nothing.
        if (!entry.valid()) return {};
        if ((entry.flags & ~flags_allowed) != 0)
          return fail(Errc::corrupt, index, "flags of a mapping");
        if (entry.origin.value() >= origin_blocks)
          return fail(Errc::invalid, entry.origin.value(), "mapping beyond the origin");
        result.push_back({.block = CacheBlock{static_cast<std::uint32_t>(index)},
                          .origin = entry.origin,
                          .dirty = !clean || (entry.flags & kMappingDirty) != 0,
                          .hint = std::nullopt});
        return {};
      }));
  std::vector<OriginBlock> origins;
  origins.reserve(result.size());
  for (const StoredMapping& mapped : result)
    origins.push_back(mapped.origin);
  std::sort(origins.begin(), origins.end());
  const auto twice = std::adjacent_find(origins.begin(), origins.end());
  if (twice != origins.end())
    return fail(Errc::corrupt, twice->value(), "origin block mapped twice");
  if (!clean) return result;

  auto at = result.begin();
  if (has_dirty_bits()) {
    ENGINE_TRY(dirty.walk(dirty_root, cache_blocks, [&](std::uint64_t index) -> Result<void> {
      while (at != result.end() && at->block.value() < index)
        ++at;
      // Tools set the bits of blocks that are not mapped.
      if (at != result.end() && at->block.value() == index) at->dirty = true;
      return {};
    }));
  }
  if (!hints_of(reader)) return result;
  at = result.begin();
  ENGINE_TRY(hints.walk(hint_root, cache_blocks,
                        [&](std::uint64_t index, const Le32& hint) -> Result<void> {
                          if (at == result.end() || at->block.value() != index) return {};
                          at->hint = hint.value();
                          ++at;
                          return {};
                        }));
  return result;
}

Result<std::vector<DiscardRange>> MetadataCore::load_discards(
    const DiscardGeometry& geometry) const {
  std::vector<DiscardRange> result;
  if (!clean || discard_stored.nr_blocks == 0) return result;
  const std::uint64_t size = discard_stored.block_sectors;
  if (size == 0 || size % data_block_sectors != 0 ||
      !std::has_single_bit(size / data_block_sectors) ||
      size > (std::uint64_t{1} << 62) / kDiscardBlocksMax)
    return fail(Errc::corrupt, size, "discard block size");
  // One more than the rule's, for the part of a block at the end of the origin.
  if (discard_stored.nr_blocks > kDiscardBlocksMax + 1)
    return fail(Errc::corrupt, discard_stored.nr_blocks, "number of discard blocks");
  std::uint64_t begin = 0;   // of the run under way, in stored blocks
  std::uint64_t end = 0;
  ENGINE_TRY(
      discards.walk(discard_root, discard_stored.nr_blocks, [&](std::uint64_t bit) -> Result<void> {
        if (bit != end) {
          add_whole_blocks(result, begin * size, end * size, geometry);
          begin = bit;
        }
        end = bit + 1;
        return {};
      }));
  add_whole_blocks(result, begin * size, end * size, geometry);
  return result;
}

// --- Storing, for a clean shutdown.

Result<void> MetadataCore::store_dirty(const std::function<bool(CacheBlock)>& is_dirty) {
  const auto block_of = [](std::uint64_t index) {
    return CacheBlock{static_cast<std::uint32_t>(index)};
  };
  if (!has_dirty_bits()) {
    ENGINE_TRY_ASSIGN(
        mapping_root,
        mappings.update(mapping_root, cache_blocks, [&](std::uint64_t index, const Le64& disk) {
          const MappingEntry entry = decode_mapping(disk);
          if (!entry.valid()) return Le64{};
          return encode_mapping(
              {.origin = entry.origin,
               .flags = kMappingValid | (is_dirty(block_of(index)) ? kMappingDirty : 0)});
        }));
    return {};
  }
  std::vector<bool> bits(cache_blocks);
  ENGINE_TRY(mappings.walk(
      mapping_root, cache_blocks, [&](std::uint64_t index, const Le64& disk) -> Result<void> {
        bits[index] = decode_mapping(disk).valid() && is_dirty(block_of(index));
        return {};
      }));
  ENGINE_TRY_ASSIGN(dirty_root, dirty.assign(dirty_root, cache_blocks,
                                             [&](std::uint64_t bit) { return bits[bit]; }));
  return {};
}

Result<void> MetadataCore::store_discards(const CleanState& state) {
  ENGINE_TRY_ASSIGN(discard_root, discards.resize(discard_root, discard_stored.nr_blocks,
                                                  state.discards.nr_blocks));
  ENGINE_TRY_ASSIGN(discard_root,
                    discards.assign(discard_root, state.discards.nr_blocks, [&](std::uint64_t bit) {
                      return state.discarded(DiscardBlock{bit});
                    }));
  discard_stored = state.discards;
  return {};
}

Result<void> MetadataCore::store_hints(const CleanState& state) {
  if (!state.hint) {
    ENGINE_TRY(drop_hints());
  } else {
    // Anything but an array of this very shape is built anew.
    if (hint_root != MetaBlock{0}) {
      ENGINE_TRY_ASSIGN(const std::uint64_t stored, hints.stored_size(hint_root));
      if (stored != cache_blocks) ENGINE_TRY(drop_hints());
    }
    if (hint_root == MetaBlock{0}) {
      ENGINE_TRY_ASSIGN(hint_root, hints.make_empty());
      ENGINE_TRY_ASSIGN(hint_root, hints.resize(hint_root, 0, cache_blocks, Le32{}));
    }
    ENGINE_TRY_ASSIGN(hint_root,
                      hints.update(hint_root, cache_blocks, [&](std::uint64_t index, const Le32&) {
                        Le32 hint;
                        hint = state.hint(CacheBlock{static_cast<std::uint32_t>(index)});
                        return hint;
                      }));
  }
  policy.name = padded(state.policy.name);
  policy.version = {state.policy.version.major, state.policy.version.minor,
                    state.policy.version.patch};
  policy.hint_size = state.hint ? kHintSize : 0;
  return {};
}

Result<void> MetadataCore::store(const CleanState& state) {
  ENGINE_TRY(store_dirty(state.dirty));
  ENGINE_TRY(store_discards(state));
  ENGINE_TRY(store_hints(state));
  statistics = state.statistics;
  superblock_changed = true;
  return {};
}

}   // namespace engine::cache
