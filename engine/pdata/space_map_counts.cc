#include "engine/pdata/space_map_counts.h"

#include <algorithm>
#include <bit>

#include <boost/endian/conversion.hpp>

#include "engine/base/check.h"
#include "engine/base/units.h"

namespace engine::pdata {

namespace {

constexpr std::uint64_t kEntriesPerWord = 32;
constexpr std::uint64_t kLowerBits = 0x5555555555555555ULL;
static_assert(kEntriesPerBitmap % kEntriesPerWord == 0);

// Of each pair of a word: its lower bit set exactly if the entry is not zero.
constexpr std::uint64_t in_use(std::uint64_t word) noexcept {
  return (word | word >> 1) & kLowerBits;
}
constexpr std::uint32_t shift_of(std::uint64_t entry) noexcept {
  return static_cast<std::uint32_t>(entry % kEntriesPerWord) * 2;
}
// On disk a pair's lower bit is the twos and its upper the ones; the mapping is its own inverse.
constexpr std::uint64_t swap_pair(std::uint64_t pair) noexcept {
  return (pair & 1) << 1 | pair >> 1;
}
static_assert(swap_pair(0b10) == 1 && swap_pair(0b01) == 2 && swap_pair(0b11) == 3);

std::uint64_t pair_at(const std::vector<std::uint64_t>& words, std::uint64_t entry) noexcept {
  return words[entry / kEntriesPerWord] >> shift_of(entry) & 3;
}

}   // namespace

std::uint64_t SpaceMapCounts::entries_in(std::size_t bitmap) const noexcept {
  return std::min(kEntriesPerBitmap, nr_blocks_ - bitmap * kEntriesPerBitmap);
}

SmallCount SpaceMapCounts::get(std::uint64_t block) const noexcept {
  ENGINE_CHECK(block < nr_blocks_);
  const Bitmap& bitmap = bitmaps_[block / kEntriesPerBitmap];
  return static_cast<SmallCount>(swap_pair(pair_at(bitmap.now, block % kEntriesPerBitmap)));
}

bool SpaceMapCounts::free_at_last_commit(std::uint64_t block) const noexcept {
  ENGINE_CHECK(block < nr_blocks_);
  const Bitmap& bitmap = bitmaps_[block / kEntriesPerBitmap];
  const auto& words = bitmap.before.empty() ? bitmap.now : bitmap.before;
  return pair_at(words, block % kEntriesPerBitmap) == 0;
}

void SpaceMapCounts::touch(std::size_t index) {
  Bitmap& bitmap = bitmaps_[index];
  bitmap.dirty = true;
  if (!bitmap.before.empty()) return;
  bitmap.before = bitmap.now;
  changed_.push_back(index);
}

void SpaceMapCounts::set(std::uint64_t block, SmallCount count) {
  ENGINE_CHECK(block < nr_blocks_);
  const std::size_t index = block / kEntriesPerBitmap;
  const std::uint64_t entry = block % kEntriesPerBitmap;
  touch(index);
  Bitmap& bitmap = bitmaps_[index];
  std::uint64_t& word = bitmap.now[entry / kEntriesPerWord];
  const std::uint64_t old = word >> shift_of(entry) & 3;
  const std::uint64_t fresh = swap_pair(static_cast<std::uint64_t>(count));
  word ^= (old ^ fresh) << shift_of(entry);
  if ((old == 0) == (fresh == 0)) return;
  const bool was_used = pair_at(bitmap.before, entry) != 0;
  if (fresh != 0) {
    ++bitmap.nr_used;
    ++nr_allocated_;
    if (was_used) --nr_embargoed_;
    if (bitmap.free_hint == entry) ++bitmap.free_hint;
  } else {
    --bitmap.nr_used;
    --nr_allocated_;
    if (was_used) ++nr_embargoed_;
    bitmap.free_hint = std::min(bitmap.free_hint, static_cast<std::uint32_t>(entry));
  }
}

std::optional<std::uint64_t> SpaceMapCounts::find(std::uint64_t begin,
                                                  std::uint64_t end) const noexcept {
  while (begin < end) {
    const std::size_t index = begin / kEntriesPerBitmap;
    const std::uint64_t base = index * kEntriesPerBitmap;
    const std::uint64_t stop = std::min(entries_in(index), end - base);
    const Bitmap& bitmap = bitmaps_[index];
    std::uint64_t entry = std::max<std::uint64_t>(begin - base, bitmap.free_hint);
    while (entry < stop) {
      const std::size_t at = entry / kEntriesPerWord;
      std::uint64_t used = in_use(bitmap.now[at]);
      if (!bitmap.before.empty()) used |= in_use(bitmap.before[at]);
      const std::uint64_t free = (~used & kLowerBits) >> shift_of(entry);
      if (free != 0) {
        entry += static_cast<std::uint64_t>(std::countr_zero(free)) / 2;
        if (entry < stop) return base + entry;
        break;
      }
      entry = (at + 1) * kEntriesPerWord;
    }
    begin = base + kEntriesPerBitmap;
  }
  return std::nullopt;
}

// The cursor runs ahead of what is staged, so hardly any is met before it comes round.
std::optional<std::uint64_t> SpaceMapCounts::find_unstaged(std::uint64_t begin,
                                                           std::uint64_t end) const noexcept {
  std::optional<std::uint64_t> block = find(begin, end);
  while (block && staged_.contains(*block))
    block = find(*block + 1, end);
  return block;
}

std::optional<std::uint64_t> SpaceMapCounts::next() {
  if (nr_allocatable() == 0) return std::nullopt;
  std::optional<std::uint64_t> block = find_unstaged(cursor_, nr_blocks_);
  if (!block) block = find_unstaged(0, cursor_);
  ENGINE_CHECK(block.has_value(), "{} of {} blocks allocatable, none found", nr_allocatable(),
               nr_blocks_);
  ENGINE_CHECK(free_at_last_commit(*block));
  cursor_ = *block + 1;
  return block;
}

std::optional<std::uint64_t> SpaceMapCounts::allocate() {
  const std::optional<std::uint64_t> block = next();
  if (block) set(*block, SmallCount::one);
  return block;
}

std::optional<std::uint64_t> SpaceMapCounts::stage() {
  const std::optional<std::uint64_t> block = next();
  if (block) staged_.insert(*block);
  return block;
}

void SpaceMapCounts::stage(std::uint64_t block) {
  ENGINE_CHECK(get(block) == SmallCount::zero, "block {} is in use", block);
  ENGINE_CHECK(free_at_last_commit(block), "block {} was in use", block);
  const bool fresh = staged_.insert(block).second;
  ENGINE_CHECK(fresh, "block {} is staged", block);
}

void SpaceMapCounts::take_staged(std::uint64_t block) {
  unstage(block);
  ENGINE_CHECK(get(block) == SmallCount::zero, "block {} is in use", block);
  ENGINE_CHECK(free_at_last_commit(block), "block {} was in use", block);
  set(block, SmallCount::one);
}

void SpaceMapCounts::unstage(std::uint64_t block) {
  const std::size_t gone = staged_.erase(block);
  ENGINE_CHECK(gone == 1, "block {} is not staged", block);
}

void SpaceMapCounts::resize(std::uint64_t nr_blocks) {
  ENGINE_CHECK(nr_blocks >= nr_blocks_);
  const std::size_t old_bitmaps = bitmaps_.size();
  nr_blocks_ = nr_blocks;
  bitmaps_.resize(div_ceil(nr_blocks, kEntriesPerBitmap));
  for (std::size_t i = old_bitmaps == 0 ? 0 : old_bitmaps - 1; i < bitmaps_.size(); ++i) {
    Bitmap& bitmap = bitmaps_[i];
    const std::size_t words = div_ceil(entries_in(i), kEntriesPerWord);
    bitmap.now.resize(words);
    if (!bitmap.before.empty()) bitmap.before.resize(words);
    if (i >= old_bitmaps) bitmap.dirty = true;
  }
}

std::vector<std::size_t> SpaceMapCounts::dirty_bitmaps() const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < bitmaps_.size(); ++i) {
    if (bitmaps_[i].dirty) result.push_back(i);
  }
  return result;
}

void SpaceMapCounts::committed() {
  for (const std::size_t index : changed_)
    bitmaps_[index].before.clear();
  changed_.clear();
  nr_embargoed_ = 0;
}

std::uint64_t SpaceMapCounts::load(std::size_t index, ConstBytes packed) {
  ENGINE_CHECK(packed.size() == kEntriesPerBitmap / 4);
  Bitmap& bitmap = bitmaps_[index];
  ENGINE_CHECK(bitmap.nr_used == 0);
  std::uint64_t many = 0;
  for (std::size_t i = 0; i < bitmap.now.size(); ++i) {
    std::uint64_t word =
        boost::endian::load_little_u64(reinterpret_cast<const unsigned char*>(&packed[i * 8]));
    const std::uint64_t entries = entries_in(index) - i * kEntriesPerWord;
    if (entries < kEntriesPerWord) word &= (std::uint64_t{1} << entries * 2) - 1;
    bitmap.now[i] = word;
    bitmap.nr_used += static_cast<std::uint32_t>(std::popcount(in_use(word)));
    many += static_cast<std::uint64_t>(std::popcount(word & word >> 1 & kLowerBits));
  }
  nr_allocated_ += bitmap.nr_used;
  bitmap.dirty = false;
  return many;
}

void SpaceMapCounts::store(std::size_t index, MutableBytes packed) const noexcept {
  ENGINE_CHECK(packed.size() == kEntriesPerBitmap / 4);
  const Words& words = bitmaps_[index].now;
  for (std::size_t i = 0; i < words.size(); ++i)
    boost::endian::store_little_u64(reinterpret_cast<unsigned char*>(&packed[i * 8]), words[i]);
}

std::uint32_t SpaceMapCounts::nr_free(std::size_t bitmap) const noexcept {
  return static_cast<std::uint32_t>(kEntriesPerBitmap) - bitmaps_[bitmap].nr_used;
}

std::uint32_t SpaceMapCounts::none_free_before(std::size_t index) noexcept {
  Bitmap& bitmap = bitmaps_[index];
  const std::uint64_t end = entries_in(index);
  std::uint64_t entry = bitmap.free_hint;
  while (entry < end) {
    const std::uint64_t free =
        (~in_use(bitmap.now[entry / kEntriesPerWord]) & kLowerBits) >> shift_of(entry);
    if (free != 0) {
      entry = std::min(end, entry + static_cast<std::uint64_t>(std::countr_zero(free)) / 2);
      break;
    }
    entry = std::min(end, (entry / kEntriesPerWord + 1) * kEntriesPerWord);
  }
  bitmap.free_hint = static_cast<std::uint32_t>(entry);
  return bitmap.free_hint;
}

}   // namespace engine::pdata
