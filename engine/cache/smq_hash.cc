#include "engine/cache/smq_hash.h"

#include <algorithm>

namespace engine::cache::smq {
namespace {

constexpr std::uint32_t kEntriesPerBucket = 4;
constexpr std::uint32_t kBucketsMin = 16;
// 2^64 divided by the golden ratio: spreads neighbours (Knuth, TAOCP 6.4).
constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ULL;

}   // namespace

BlockTable::BlockTable(EntrySpace& space, std::uint32_t entries)
    : space_{space},
      buckets_(std::bit_ceil(std::max(entries / kEntriesPerBucket, kBucketsMin)), kNoEntry),
      shift_{64 - std::countr_zero(buckets_.size())} {}

EntryIndex& BlockTable::bucket_of(OriginBlock block) noexcept {
  return buckets_[(block.value() * kGolden) >> shift_];
}

EntryIndex BlockTable::find(OriginBlock block) noexcept {
  EntryIndex& head = bucket_of(block);
  EntryIndex* link = &head;
  while (*link != kNoEntry && space_[*link].block != block)
    link = &space_[*link].chain;
  const EntryIndex found = *link;
  if (found != kNoEntry && found != head) {
    *link = space_[found].chain;
    space_[found].chain = head;
    head = found;
  }
  return found;
}

void BlockTable::insert(EntryIndex index) noexcept {
  EntryIndex& head = bucket_of(space_[index].block);
  space_[index].chain = head;
  head = index;
}

void BlockTable::remove(EntryIndex index) noexcept {
  EntryIndex* link = &bucket_of(space_[index].block);
  while (*link != kNoEntry && *link != index)
    link = &space_[*link].chain;
  ENGINE_CHECK(*link == index, "block {} is not in the table", space_[index].block);
  *link = space_[index].chain;
  space_[index].chain = kNoEntry;
}

}   // namespace engine::cache::smq
