// Arrays of values of a fixed size, in Linux's format: a B-tree from 0, 1, 2... to array blocks.
//
// Invariants of an array of n entries: exactly div_ceil(n, capacity) array blocks, numbered without
// gaps; all but the last are full and the last holds the rest, so none is empty. The length is not
// stored: whoever keeps the root keeps it. (Linux leaves a stale last block when it shrinks an
// array to a multiple of the capacity. resize() removes such blocks, and no reader looks at them.)
//
// Each change returns the root's new place; blocks of the last commit are shadowed, never changed.
// Values are plain data. All functions suspend, hold at most six blocks at a time, and fail with
// what the transaction manager fails with, or with corrupt where a block breaks a rule or an entry
// is missing. When a change fails the array may be half changed: the transaction must be aborted.
// Callers serialise: one writer, or readers only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/pdata/array_format.h"
#include "engine/pdata/btree.h"
#include "engine/pdata/transaction_manager.h"

namespace engine::pdata {

struct ArrayOptions {
  std::uint32_t fan_out = 0;   // of the tree: as in BtreeOptions
  // Entries of a full array block, not above Linux's. 0: Linux's. It must be the same for an array
  // throughout its life.
  std::uint32_t entries = 0;
};

// The leaves of an array's tree refer to its blocks.
class ArrayBlockCounts final : public ValueCounts {
 public:
  explicit ArrayBlockCounts(TransactionManager& tm) noexcept : tm_{tm} {}
  Result<void> inc(ConstBytes values) override;
  Result<void> dec(ConstBytes values) override;
  [[nodiscard]] bool equal(ConstBytes a, ConstBytes b) const noexcept override;

 private:
  TransactionManager& tm_;
};

// Values as bytes; use Array below.
class ArrayBase {
 public:
  ArrayBase(const ArrayBase&) = delete;   // the tree refers to counts_
  ArrayBase& operator=(const ArrayBase&) = delete;

  // A new array without entries.
  [[nodiscard]] Result<MetaBlock> make_empty() { return tree_.make_empty(); }
  // Drops one reference to the array; the last one deletes it.
  [[nodiscard]] Result<void> destroy(MetaBlock root) { return tree_.destroy(root); }
  // How many entries are there, whatever the length should be. Looks at the last block alone.
  [[nodiscard]] Result<std::uint64_t> stored_size(MetaBlock root) const;
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

 protected:
  ArrayBase(TransactionManager& tm, std::uint32_t value_size, const ArrayOptions& options) noexcept;
  ~ArrayBase() = default;

  struct Owned {
    MetaBlock root;
    WriteRef ref;
  };
  // Blocks [begin, end) by their place in the array.
  [[nodiscard]] Result<std::vector<MetaBlock>> places(MetaBlock root, std::uint64_t begin,
                                                      std::uint64_t end) const;
  // At least `entries` of them must be there.
  [[nodiscard]] Result<ReadRef> read_block(MetaBlock place, std::uint64_t entries) const;
  [[nodiscard]] Result<Owned> own_block(MetaBlock root, std::uint64_t index);
  void prefetch(std::span<const MetaBlock> places, std::size_t index) const;

  [[nodiscard]] Result<ReadRef> find_block(MetaBlock root, std::uint64_t index,
                                           std::uint64_t entries) const;
  [[nodiscard]] Result<MetaBlock> set_bytes(MetaBlock root, std::uint64_t index, ConstBytes value);
  [[nodiscard]] Result<MetaBlock> resize_bytes(MetaBlock root, std::uint64_t from, std::uint64_t to,
                                               ConstBytes value);

 private:
  [[nodiscard]] Result<void> check_block(MetaBlock place, const ArrayBlockView& block,
                                         std::uint64_t entries) const;
  [[nodiscard]] Result<MetaBlock> cut(MetaBlock root, std::uint64_t size);
  [[nodiscard]] Result<MetaBlock> extend(MetaBlock root, std::uint64_t from, std::uint64_t to,
                                         ConstBytes value);

  TransactionManager& tm_;
  const std::uint32_t value_size_;
  const std::uint32_t capacity_;
  ArrayBlockCounts counts_;
  Btree<Le64> tree_;
};

// `Value` is an on-disk structure: alignment one, no padding, trivially copyable.
template <typename Value>
class Array : public ArrayBase {
  static_assert(alignof(Value) == 1 && std::is_trivially_copyable_v<Value>);

 public:
  explicit Array(TransactionManager& tm, const ArrayOptions& options = {}) noexcept
      : ArrayBase{tm, sizeof(Value), options} {}

  // Errors: corrupt also when there is no such entry.
  [[nodiscard]] Result<Value> get(MetaBlock root, std::uint64_t index) const {
    const auto slot = static_cast<std::uint32_t>(index % capacity());
    ENGINE_TRY_ASSIGN(const ReadRef ref, find_block(root, index / capacity(), slot + 1));
    return view_as<Value>(ArrayBlockView{ref.bytes()}.value(slot));
  }
  [[nodiscard]] Result<MetaBlock> set(MetaBlock root, std::uint64_t index, const Value& value) {
    return set_bytes(root, index, std::as_bytes(std::span{&value, 1}));
  }
  // From `from` entries to `to`; new ones are `value`. Also removes what is stored past `from`.
  [[nodiscard]] Result<MetaBlock> resize(MetaBlock root, std::uint64_t from, std::uint64_t to,
                                         const Value& value) {
    return resize_bytes(root, from, to, std::as_bytes(std::span{&value, 1}));
  }

  // Calls visit(index, value) -> Result<void> for the entries [0, size) in order. It may suspend;
  // it must not change the array.
  template <typename Visit>
  [[nodiscard]] Result<void> walk(MetaBlock root, std::uint64_t size, Visit&& visit) const {
    ENGINE_TRY_ASSIGN(const std::vector<MetaBlock> blocks,
                      places(root, 0, div_ceil(size, capacity())));
    std::uint64_t index = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const std::uint64_t count = std::min<std::uint64_t>(capacity(), size - index);
      prefetch(blocks, b);
      ENGINE_TRY_ASSIGN(const ReadRef ref, read_block(blocks[b], count));
      const ArrayBlockView block{ref.bytes()};
      for (std::uint32_t slot = 0; slot < count; ++slot, ++index)
        ENGINE_TRY(visit(index, view_as<Value>(block.value(slot))));
    }
    return {};
  }

  // Sets each of the entries [0, size) to change(index, old value). Blocks in which nothing changes
  // are not touched. `change` must not suspend, and may be asked twice about an entry.
  template <typename Change>
  [[nodiscard]] Result<MetaBlock> update(MetaBlock root, std::uint64_t size, Change&& change) {
    ENGINE_TRY_ASSIGN(const std::vector<MetaBlock> blocks,
                      places(root, 0, div_ceil(size, capacity())));
    std::uint64_t index = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const auto count =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(capacity(), size - index));
      prefetch(blocks, b);
      std::uint32_t slot = 0;
      {
        ENGINE_TRY_ASSIGN(const ReadRef ref, read_block(blocks[b], count));
        const ArrayBlockView block{ref.bytes()};
        while (slot < count) {
          const Value old = view_as<Value>(block.value(slot));
          if (!same(old, change(index + slot, old))) break;
          ++slot;
        }
      }
      if (slot < count) {
        ENGINE_TRY_ASSIGN(Owned owned, own_block(root, b));
        root = owned.root;
        ArrayBlockEdit block{owned.ref.bytes()};
        for (; slot < count; ++slot) {
          const Value value = change(index + slot, view_as<Value>(block.value(slot)));
          block.set_value(slot, std::as_bytes(std::span{&value, 1}));
        }
      }
      index += count;
    }
    return root;
  }

 private:
  [[nodiscard]] static bool same(const Value& a, const Value& b) noexcept {
    return std::memcmp(&a, &b, sizeof(Value)) == 0;
  }
};

}   // namespace engine::pdata
