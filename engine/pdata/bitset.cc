#include "engine/pdata/bitset.h"

namespace engine::pdata {

Result<void> Bitset::destroy(MetaBlock root) {
  cached_.reset();
  return words_.destroy(root);
}

Result<MetaBlock> Bitset::resize(MetaBlock root, std::uint64_t from, std::uint64_t to) {
  ENGINE_TRY_ASSIGN(root, flush(root));
  cached_.reset();
  // What past the end was left in the last word that stays would come to life by growing.
  const std::uint64_t kept = std::min(from, to);
  if (kept % kWordBits != 0) {
    const std::uint64_t last = kept / kWordBits;
    ENGINE_TRY_ASSIGN(Le64 word, words_.get(root, last));
    const std::uint64_t bits = word.value() & mask(last, kept);
    if (bits != word.value()) {
      word = bits;
      ENGINE_TRY_ASSIGN(root, words_.set(root, last, word));
    }
  }
  return words_.resize(root, div_ceil(from, kWordBits), div_ceil(to, kWordBits), Le64{});
}

Result<bool> Bitset::get(MetaBlock root, std::uint64_t bit) const {
  const std::uint64_t index = bit / kWordBits;
  std::uint64_t bits = 0;
  if (cached_ && cached_->index == index) {
    bits = cached_->word;
  } else {
    ENGINE_TRY_ASSIGN(const Le64 word, words_.get(root, index));
    bits = word.value();
  }
  return (bits >> bit % kWordBits & 1) != 0;
}

Result<MetaBlock> Bitset::set(MetaBlock root, std::uint64_t bit, bool on) {
  const std::uint64_t index = bit / kWordBits;
  if (!cached_ || cached_->index != index) {
    ENGINE_TRY_ASSIGN(root, flush(root));
    ENGINE_TRY_ASSIGN(const Le64 word, words_.get(root, index));
    cached_ = Cached{.index = index, .word = word.value()};
  }
  const std::uint64_t one = std::uint64_t{1} << bit % kWordBits;
  const std::uint64_t word = on ? cached_->word | one : cached_->word & ~one;
  if (word != cached_->word) {
    cached_->word = word;
    cached_->changed = true;
  }
  return root;
}

Result<MetaBlock> Bitset::flush(MetaBlock root) {
  if (flushed()) return root;
  Le64 word;
  word = cached_->word;
  ENGINE_TRY_ASSIGN(root, words_.set(root, cached_->index, word));
  cached_->changed = false;
  return root;
}

}   // namespace engine::pdata
