// What power cuts and the tools are tried on: metadata that grows, shrinks, changes and is shut
// down.
#pragma once

#include <cstdint>
#include <iterator>

#include "tests/unit/cache/metadata_tank.h"

namespace engine::cache {

// A fixed history that uses everything. `committed()` is called after whatever committed.
template <typename Committed>
Result<void> history(Metadata& metadata, Committed&& committed) {
  CoreState state;
  std::uint32_t random = 12345;
  const auto next = [&](std::uint32_t below) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % below;
  };
  for (std::uint32_t round = 0; round < 4; ++round) {
    ENGINE_TRY(metadata.resize(60 + round % 2 * 30));
    for (auto it = state.mappings.begin(); it != state.mappings.end();)
      it = it->first >= 60 ? state.mappings.erase(it) : std::next(it);
    ENGINE_TRY(metadata.begin_service());
    committed();
    for (std::uint32_t commits = 0; commits < 3; ++commits) {
      for (std::uint32_t i = 0; i < 6; ++i) {
        const std::uint32_t block = next(60);
        if (state.mappings.erase(block) != 0) {
          ENGINE_TRY(metadata.remove(CacheBlock{block}));
        } else {
          state.mappings[block] = block + 100 * round + 1000 * commits % 3000;
          ENGINE_TRY(metadata.insert(CacheBlock{block}, OriginBlock{state.mappings[block]}));
        }
      }
      ENGINE_TRY(metadata.commit());
      committed();
    }
    for (const auto& [block, origin] : state.mappings) {
      state.dirty[block] = next(3) == 0;
      state.hints[block] = next(64);
    }
    state.discarded[next(4096)] = true;
    ENGINE_TRY(metadata.shut_down_cleanly(state.clean_state()));
    committed();
  }
  return {};
}

}   // namespace engine::cache
