// From block to entry: chained buckets, with what was found last in front. The number of buckets is
// fixed; a lookup is O(1) as long as the blocks do not conspire.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "engine/cache/smq_entries.h"

namespace engine::cache::smq {

class BlockTable {
 public:
  BlockTable(EntrySpace& space, std::uint32_t entries);

  // Moves what it finds to the front of its bucket. kNoEntry: not there.
  [[nodiscard]] EntryIndex find(OriginBlock block) noexcept;
  // The entry's block must not be in the table.
  void insert(EntryIndex index) noexcept;
  // The entry must be in the table.
  void remove(EntryIndex index) noexcept;

 private:
  [[nodiscard]] EntryIndex& bucket_of(OriginBlock block) noexcept;

  EntrySpace& space_;
  std::vector<EntryIndex> buckets_;
  int shift_;   // keeps the upper bits of the product: as many as there are buckets
};

}   // namespace engine::cache::smq
