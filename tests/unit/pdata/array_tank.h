// Arrays in the tank, and an inspection of one that reads it byte by byte and shares no code with
// it. Block counts of a pool that holds nothing else.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/pdata/array.h"
#include "tests/unit/pdata/btree_tank.h"

namespace engine::pdata {

struct ArrayShape {
  std::string error;
  std::vector<std::uint64_t> values;   // all that are stored
  std::set<std::uint64_t> blocks;      // of tree and array
};

inline ArrayShape inspect_array(TransactionManager& tm, MetaBlock root, std::uint32_t value_size,
                                std::uint32_t capacity, std::uint64_t size) {
  ArrayShape shape;
  Inspector inspector{tm};
  Contents places;
  inspector.add_tree(root, &places);
  shape.error = inspector.result.error;
  for (const auto& [block, refs] : inspector.result.block_refs)
    shape.blocks.insert(block);
  const auto wrong = [&](std::uint64_t index, const char* what) {
    if (shape.error.empty()) shape.error = fmt::format("array block {}: {}", index, what);
  };
  if (places.size() != div_ceil(size, capacity)) wrong(places.size(), "number of blocks");
  std::uint64_t expected = 0;
  for (const auto& [index, place] : places) {
    if (index != expected++) wrong(index, "a gap before it");
    if (!shape.blocks.insert(place).second) wrong(index, "in use twice");
    const auto ref = tm.read(MetaBlock{place}, kArrayValidator);
    if (!ref) return wrong(index, ref.error().what), shape;
    const ConstBytes bytes = ref->bytes();
    const auto u32 = [&](std::size_t at) { return view_as<Le32>(bytes.subspan(at, 4)).value(); };
    const std::uint64_t count = std::min<std::uint64_t>(capacity, size - index * capacity);
    if (u32(4) != capacity) wrong(index, "max_entries");
    if (u32(8) != count) wrong(index, "nr_entries");
    if (u32(12) != value_size) wrong(index, "value_size");
    for (std::uint64_t slot = 0; slot < count; ++slot) {
      const std::size_t at = 24 + slot * value_size;
      shape.values.push_back(value_size == 4 ? u32(at)
                                             : view_as<Le64>(bytes.subspan(at, 8)).value());
    }
    for (std::size_t at = 24 + count * value_size; at < bytes.size(); ++at) {
      if (bytes[at] != std::byte{0}) return wrong(index, "stale bytes past its end"), shape;
    }
  }
  for (const std::uint64_t block : shape.blocks) {
    if (must(tm.ref_count(MetaBlock{block})) != 1) wrong(block, "reference count");
  }
  return shape;
}

inline std::uint64_t blocks_in_use(TransactionManager& tm) {
  std::uint64_t used = 0;
  for (std::uint64_t b = 0; b < tm.metadata_space_map().nr_blocks(); ++b)
    used += must(tm.ref_count(MetaBlock{b})) != 0 ? 1 : 0;
  return used;
}
inline constexpr std::uint64_t kEmptyPoolBlocks = 8;

}   // namespace engine::pdata
