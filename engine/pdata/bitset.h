// Sets of bits in Linux's format: an array of u64, bit n being bit n % 64 of word n / 64.
//
// Invariants: div_ceil(n, 64) words for n bits; the bits past the end of the last word are written
// as zeroes and ignored when read. As for arrays, whoever keeps the root keeps the length.
//
// set() keeps the word that it changed last in memory: get() and all changes know of it, but the
// array on disk does not before flush(), which must come before a commit. A bitset object serves
// one set at a time; after an abort it must be made anew.
//
// Suspending, errors and callers are as for arrays.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

#include "engine/pdata/array.h"

namespace engine::pdata {

class Bitset {
 public:
  explicit Bitset(TransactionManager& tm, const ArrayOptions& options = {}) noexcept
      : words_{tm, options} {}

  [[nodiscard]] Result<MetaBlock> make_empty() { return words_.make_empty(); }
  // Drops one reference to the set; the last one deletes it.
  [[nodiscard]] Result<void> destroy(MetaBlock root);

  // How many bits there is room for, whatever the length should be.
  [[nodiscard]] Result<std::uint64_t> stored_size(MetaBlock root) const {
    ENGINE_TRY_ASSIGN(const std::uint64_t words, words_.stored_size(root));
    return words * kWordBits;
  }

  // New bits are clear.
  [[nodiscard]] Result<MetaBlock> resize(MetaBlock root, std::uint64_t from, std::uint64_t to);
  [[nodiscard]] Result<bool> get(MetaBlock root, std::uint64_t bit) const;
  [[nodiscard]] Result<MetaBlock> set(MetaBlock root, std::uint64_t bit, bool on);
  [[nodiscard]] Result<MetaBlock> flush(MetaBlock root);
  [[nodiscard]] bool flushed() const noexcept { return !cached_ || !cached_->changed; }

  // Calls visit(bit) -> Result<void> for the bits of [0, size) that are set, in order.
  template <typename Visit>
  [[nodiscard]] Result<void> walk(MetaBlock root, std::uint64_t size, Visit&& visit) const {
    return words_.walk(
        root, div_ceil(size, kWordBits),
        [&](std::uint64_t index, const Le64& word) -> Result<void> {
          for (std::uint64_t bits = value_of(index, word) & mask(index, size); bits != 0;
               bits &= bits - 1)
            ENGINE_TRY(visit(index * kWordBits + static_cast<unsigned>(std::countr_zero(bits))));
          return {};
        });
  }

  // Sets each bit of [0, size) to on(bit). Blocks in which nothing changes are not touched. `on`
  // must not suspend, and may be asked twice about a bit.
  template <typename On>
  [[nodiscard]] Result<MetaBlock> assign(MetaBlock root, std::uint64_t size, On&& on) {
    cached_.reset();   // nothing of it lasts
    return words_.update(root, div_ceil(size, kWordBits), [&](std::uint64_t index, const Le64&) {
      std::uint64_t bits = 0;
      for (std::uint64_t bit = index * kWordBits; bit < std::min(size, (index + 1) * kWordBits);
           ++bit) {
        if (on(bit)) bits |= std::uint64_t{1} << bit % kWordBits;
      }
      Le64 word;
      word = bits;
      return word;
    });
  }

 private:
  static constexpr std::uint64_t kWordBits = 64;
  struct Cached {
    std::uint64_t index = 0;
    std::uint64_t word = 0;
    bool changed = false;
  };

  // The bits of word `index` that a set of `size` has.
  [[nodiscard]] static std::uint64_t mask(std::uint64_t index, std::uint64_t size) noexcept {
    const std::uint64_t first = index * kWordBits;
    if (size >= first + kWordBits) return UINT64_MAX;
    return size <= first ? 0 : (std::uint64_t{1} << (size - first)) - 1;
  }
  [[nodiscard]] std::uint64_t value_of(std::uint64_t index, const Le64& word) const noexcept {
    return cached_ && cached_->index == index ? cached_->word : word.value();
  }

  Array<Le64> words_;
  std::optional<Cached> cached_;
};

}   // namespace engine::pdata
