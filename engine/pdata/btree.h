// Copy-on-write B-trees with u64 keys and values of a fixed size, in Linux's format.
//
// A tree is its root block; each change returns the root's new place. Trees may share nodes, also
// with the trees of the last commit: only blocks of this transaction that have one parent are
// changed, all else is shadowed first (transaction_manager.h). Whoever makes a second reference to
// a root counts it: tm.inc(root).
//
// Invariants of every tree: keys ascend within a node and across nodes; a parent's key for a child
// is at most the child's first and above all keys of the child before; every node but the root has
// at least max_entries / 3 entries; all leaves are at one depth; an empty tree is an empty leaf.
//
// Values may be references, counted through ValueCounts when leaves come to be shared, values are
// replaced or removed, trees deleted. A tree of trees is a tree whose values are roots.
//
// All functions suspend unless they say otherwise, hold at most six blocks at a time, and fail
// with what the transaction manager fails with, or with corrupt where a node breaks a rule. When a
// change fails the tree may be half changed: the transaction must be aborted. Callers serialise:
// one writer, or readers only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/pdata/btree_format.h"
#include "engine/pdata/transaction_manager.h"

namespace engine::pdata {

// What a tree's values refer to. `values` are one or more whole values side by side.
class ValueCounts {
 public:
  // Suspend. A leaf was copied (inc), or entries went away (dec).
  virtual Result<void> inc(ConstBytes values) = 0;
  virtual Result<void> dec(ConstBytes values) = 0;
  // Do both refer to the same thing? Then replacing one by the other changes no count.
  [[nodiscard]] virtual bool equal(ConstBytes a, ConstBytes b) const noexcept = 0;

 protected:
  ~ValueCounts() = default;
};

struct BtreeOptions {
  // Entries of a full node in new trees and new internal levels: a multiple of 3, at least
  // kFanOutMin, not above Linux's. 0: Linux's.
  std::uint32_t fan_out = 0;
  ValueCounts* counts = nullptr;   // must outlive the tree; null: values are plain data
};

// Values as bytes; use Btree below.
class BtreeBase {
 public:
  // A new empty tree.
  [[nodiscard]] Result<MetaBlock> make_empty();
  // Drops one reference to the tree: when it was the last, deletes all that only it referred to.
  [[nodiscard]] Result<void> destroy(MetaBlock root);

  // The greatest and the least key; nullopt: empty.
  [[nodiscard]] Result<std::optional<std::uint64_t>> highest_key(MetaBlock root) const;
  [[nodiscard]] Result<std::optional<std::uint64_t>> lowest_key(MetaBlock root) const;

  // Removes the entry. Errors: not_found, and then the tree is as it was but for shadowing and
  // rebalancing: take the abort path, or look up first.
  [[nodiscard]] Result<MetaBlock> remove(MetaBlock root, std::uint64_t key);

  struct Removed {
    MetaBlock root;
    std::uint64_t count = 0;
  };
  // Removes all keys in [begin, end), with or without gaps.
  [[nodiscard]] Result<Removed> remove_range(MetaBlock root, std::uint64_t begin,
                                             std::uint64_t end);

  struct Inserted {
    MetaBlock root;
    bool added = false;   // false: the key was there, its value was replaced
  };

 protected:
  friend class CursorBase;
  enum class Wait : bool { no, yes };
  struct Found {
    ReadRef leaf;
    std::uint32_t index = 0;
  };
  struct OwnedBase {
    MetaBlock root;
    WriteRef leaf;
    std::uint32_t index = 0;
  };

  BtreeBase(TransactionManager& tm, std::uint32_t value_size, const BtreeOptions& options) noexcept;

  // With Wait::no: any context, never suspends, would_block.
  [[nodiscard]] Result<std::optional<Found>> find(MetaBlock root, std::uint64_t key,
                                                  Wait wait) const;
  // The first entry whose key is at least `key`.
  [[nodiscard]] Result<std::optional<Found>> find_next(MetaBlock root, std::uint64_t key) const;
  [[nodiscard]] Result<Inserted> insert_bytes(MetaBlock root, std::uint64_t key, ConstBytes value);
  // Errors: not_found, as remove().
  [[nodiscard]] Result<OwnedBase> own_entry(MetaBlock root, std::uint64_t key);

 private:
  // A writable node on the way down, and which entry of its parent it is.
  struct Child {
    WriteRef ref;
    std::uint32_t index = 0;
  };
  enum class Beside : bool { left, right };

  // Common.
  [[nodiscard]] Result<void> check_node(MetaBlock block, const NodeView& node) const;
  [[nodiscard]] Result<ReadRef> read_node(MetaBlock block, Wait wait = Wait::yes) const;
  [[nodiscard]] Result<WriteRef> shadow_node(MetaBlock block);
  // The child `index` of `parent`, shadowed; the parent points at its new place.
  [[nodiscard]] Result<WriteRef> shadow_child(NodeEdit& parent, std::uint32_t index);
  [[nodiscard]] Result<void> inc_children(const NodeView& node);
  [[nodiscard]] Result<std::optional<std::uint64_t>> end_key(MetaBlock root, Beside side) const;

  // btree_insert.cc
  [[nodiscard]] Result<void> split_beneath(NodeEdit& root);
  [[nodiscard]] Result<Child> make_room(NodeEdit& parent, Child full, std::uint64_t key);
  [[nodiscard]] Result<std::optional<WriteRef>> roomy_sibling(NodeEdit& parent, std::uint32_t index,
                                                              bool& shared);
  [[nodiscard]] Result<Child> split_in_two(NodeEdit& parent, Child full, std::uint64_t key);
  [[nodiscard]] Result<Child> split_two_in_three(NodeEdit& parent, Child full, std::uint64_t key);

  // btree_remove.cc
  [[nodiscard]] Result<OwnedBase> own_thin_leaf(MetaBlock root, std::uint64_t key);
  [[nodiscard]] Result<void> absorb_only_child(NodeEdit& node);
  [[nodiscard]] Result<Child> fill_up(NodeEdit& parent, Child thin, std::uint64_t key);
  [[nodiscard]] Result<void> rebalance_two(NodeEdit& parent, std::uint32_t left_index,
                                           WriteRef& left, WriteRef& right);
  [[nodiscard]] Result<void> rebalance_three(NodeEdit& parent, std::uint32_t left_index,
                                             WriteRef& left, WriteRef& center, WriteRef& right);
  [[nodiscard]] Result<void> drop_child(NodeEdit& parent, std::uint32_t index, WriteRef& child);

  [[nodiscard]] Result<void> destroy_below(MetaBlock block, std::uint32_t depth);

  TransactionManager& tm_;
  const std::uint32_t value_size_;
  const std::uint32_t leaf_entries_max_;
  const std::uint32_t internal_entries_max_;
  ValueCounts* const counts_;
};

// An ordered walk. Holds the block of the present leaf between calls; the tree must not change
// meanwhile.
class CursorBase {
 public:
  CursorBase(const BtreeBase& tree, MetaBlock root) noexcept : tree_{&tree}, root_{root} {}

  // To the first entry with a key of at least `key`.
  [[nodiscard]] Result<void> seek(std::uint64_t key);
  // To the entry after the present one. Suspends only at the end of a leaf.
  [[nodiscard]] Result<void> next();
  // At an entry; false past the end.
  [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(leaf_); }
  [[nodiscard]] std::uint64_t key() const noexcept { return NodeView{leaf_.bytes()}.key(index_); }

 protected:
  [[nodiscard]] ConstBytes bytes() const noexcept { return NodeView{leaf_.bytes()}.value(index_); }

 private:
  const BtreeBase* tree_;
  MetaBlock root_;
  ReadRef leaf_;
  std::uint32_t index_ = 0;
};

// `Value` is an on-disk structure: alignment one, no padding, trivially copyable.
template <typename Value>
class Btree : public BtreeBase {
  static_assert(alignof(Value) == 1 && std::is_trivially_copyable_v<Value>);

 public:
  explicit Btree(TransactionManager& tm, const BtreeOptions& options = {}) noexcept
      : BtreeBase{tm, sizeof(Value), options} {}

  struct Entry {
    std::uint64_t key;
    Value value;
  };

  // nullopt: no such key.
  [[nodiscard]] Result<std::optional<Value>> lookup(MetaBlock root, std::uint64_t key) const {
    return value_of(find(root, key, Wait::yes));
  }
  // Any context, never suspends: would_block when a node is not in memory or being changed.
  [[nodiscard]] Result<std::optional<Value>> try_lookup(MetaBlock root, std::uint64_t key) const {
    return value_of(find(root, key, Wait::no));
  }
  // The entry with the least key that is at least `key`.
  [[nodiscard]] Result<std::optional<Entry>> lookup_next(MetaBlock root, std::uint64_t key) const {
    ENGINE_TRY_ASSIGN(const std::optional<Found> found, find_next(root, key));
    if (!found) return std::optional<Entry>{};
    const NodeView leaf{found->leaf.bytes()};
    return std::optional<Entry>{
        Entry{leaf.key(found->index), view_as<Value>(leaf.value(found->index))}};
  }

  // Inserts, or replaces: then the old value is dec'ed unless equal to the new. A reference that
  // `value` stands for is the caller's and goes over to the tree.
  [[nodiscard]] Result<Inserted> insert(MetaBlock root, std::uint64_t key, const Value& value) {
    return insert_bytes(root, key, std::as_bytes(std::span{&value, 1}));
  }

  // An existing entry, to be changed in place while this lives: the path to it is shadowed, so what
  // the value refers to belongs to this tree alone as far as the tree above it is concerned.
  class Owned {
   public:
    [[nodiscard]] MetaBlock root() const noexcept { return base_.root; }
    // No count changes when it is assigned to.
    [[nodiscard]] Value& value() noexcept {
      return view_as<Value>(NodeEdit{base_.leaf.bytes()}.mutable_value(base_.index));
    }

   private:
    friend class Btree;
    explicit Owned(OwnedBase&& base) noexcept : base_{std::move(base)} {}
    OwnedBase base_;
  };
  // Errors: also not_found.
  [[nodiscard]] Result<Owned> own(MetaBlock root, std::uint64_t key) {
    ENGINE_TRY_ASSIGN(OwnedBase base, own_entry(root, key));
    return Owned{std::move(base)};
  }

  class Cursor : public CursorBase {
   public:
    using CursorBase::CursorBase;
    [[nodiscard]] const Value& value() const noexcept { return view_as<Value>(bytes()); }
  };
  [[nodiscard]] Cursor cursor(MetaBlock root) const noexcept { return Cursor{*this, root}; }

  // Calls visit(key, value) -> Result<bool> for the keys of [begin, end) in order until it returns
  // false. It may suspend; it must not change the tree.
  template <typename Visit>
  [[nodiscard]] Result<void> walk(MetaBlock root, std::uint64_t begin, std::uint64_t end,
                                  Visit&& visit) const {
    Cursor at = cursor(root);
    ENGINE_TRY(at.seek(begin));
    while (at.valid() && at.key() < end) {
      ENGINE_TRY_ASSIGN(const bool more, visit(at.key(), at.value()));
      if (!more) break;
      ENGINE_TRY(at.next());
    }
    return {};
  }

 private:
  [[nodiscard]] static Result<std::optional<Value>> value_of(
      Result<std::optional<Found>>&& result) {
    if (!result) return Failure{result.error()};
    if (!*result) return std::optional<Value>{};
    const Found& found = **result;
    return std::optional<Value>{view_as<Value>(NodeView{found.leaf.bytes()}.value(found.index))};
  }
};

}   // namespace engine::pdata
