// Finding entries: nothing here changes a tree, and at most two blocks are held at a time.
#include "engine/pdata/btree.h"

namespace engine::pdata {

BtreeBase::BtreeBase(TransactionManager& tm, std::uint32_t value_size,
                     const BtreeOptions& options) noexcept
    : tm_{tm},
      value_size_{value_size},
      leaf_entries_max_{options.fan_out == 0
                            ? max_entries_for(value_size)
                            : std::min(options.fan_out, max_entries_for(value_size))},
      internal_entries_max_{options.fan_out == 0
                                ? max_entries_for(kChildSize)
                                : std::min(options.fan_out, max_entries_for(kChildSize))},
      counts_{options.counts} {
  ENGINE_CHECK(leaf_entries_max_ >= kFanOutMin);
  ENGINE_CHECK(internal_entries_max_ >= kFanOutMin);
  ENGINE_CHECK(options.fan_out % 3 == 0);
}

Result<void> BtreeBase::check_node(MetaBlock block, const NodeView& node) const {
  // All else the validator has seen to, but that a leaf is of this kind of tree only we know.
  if (node.leaf() && node.value_size() != value_size_)
    return fail(Errc::corrupt, block.value(), "value_size of another kind of tree");
  return {};
}

Result<ReadRef> BtreeBase::read_node(MetaBlock block, Wait wait) const {
  ENGINE_TRY_ASSIGN(ReadRef ref, wait == Wait::yes ? tm_.read(block, kNodeValidator)
                                                   : tm_.try_read(block, kNodeValidator));
  ENGINE_TRY(check_node(block, NodeView{ref.bytes()}));
  return ref;
}

Result<std::optional<BtreeBase::Found>> BtreeBase::find(MetaBlock root, std::uint64_t key,
                                                        Wait wait) const {
  ENGINE_TRY_ASSIGN(ReadRef ref, read_node(root, wait));
  for (std::uint32_t depth = 0; depth < kTreeDepthMax; ++depth) {
    const NodeView node{ref.bytes()};
    const std::optional<std::uint32_t> index = node.last_at_most(key);
    if (!index) return std::optional<Found>{};
    if (node.leaf()) {
      if (node.key(*index) != key) return std::optional<Found>{};
      return std::optional<Found>{Found{std::move(ref), *index}};
    }
    ENGINE_TRY_ASSIGN(ref, read_node(node.child(*index), wait));
  }
  return fail(Errc::corrupt, root.value(), "tree depth");
}

Result<std::optional<BtreeBase::Found>> BtreeBase::find_next(MetaBlock root,
                                                             std::uint64_t key) const {
  // Each round looks into one leaf. If that has nothing, the next round begins at the first key of
  // the leaf beside it; since a parent's key may be lower than the leaf's first, and nothing lies
  // between, one more round finds an entry in any tree that is sound.
  for (;;) {
    std::optional<std::uint64_t> beyond;   // where what lies right of the present path begins
    ENGINE_TRY_ASSIGN(ReadRef ref, read_node(root));
    std::uint32_t depth = 0;
    while (!NodeView{ref.bytes()}.leaf()) {
      const NodeView node{ref.bytes()};
      const std::uint32_t index = node.last_at_most(key).value_or(0);
      if (index + 1 < node.nr_entries()) beyond = node.key(index + 1);
      if (++depth == kTreeDepthMax) return fail(Errc::corrupt, root.value(), "tree depth");
      ENGINE_TRY_ASSIGN(ref, read_node(node.child(index)));
    }
    const NodeView leaf{ref.bytes()};
    const std::uint32_t index = leaf.first_at_least(key);
    if (index < leaf.nr_entries()) return std::optional<Found>{Found{std::move(ref), index}};
    if (!beyond) return std::optional<Found>{};
    // Bounds the rounds, whatever the bytes say.
    if (*beyond <= key) return fail(Errc::corrupt, ref.block().value(), "key order across nodes");
    key = *beyond;
  }
}

Result<std::optional<std::uint64_t>> BtreeBase::end_key(MetaBlock root, Beside side) const {
  ENGINE_TRY_ASSIGN(ReadRef ref, read_node(root));
  for (std::uint32_t depth = 0; depth < kTreeDepthMax; ++depth) {
    const NodeView node{ref.bytes()};
    if (node.nr_entries() == 0) {
      if (depth != 0) return fail(Errc::corrupt, ref.block().value(), "empty leaf below a root");
      return std::optional<std::uint64_t>{};
    }
    const std::uint32_t index = side == Beside::left ? 0 : node.nr_entries() - 1;
    if (node.leaf()) return std::optional<std::uint64_t>{node.key(index)};
    ENGINE_TRY_ASSIGN(ref, read_node(node.child(index)));
  }
  return fail(Errc::corrupt, root.value(), "tree depth");
}

Result<std::optional<std::uint64_t>> BtreeBase::highest_key(MetaBlock root) const {
  return end_key(root, Beside::right);
}

Result<std::optional<std::uint64_t>> BtreeBase::lowest_key(MetaBlock root) const {
  return end_key(root, Beside::left);
}

Result<void> CursorBase::seek(std::uint64_t key) {
  leaf_.release();
  ENGINE_TRY_ASSIGN(std::optional<BtreeBase::Found> found, tree_->find_next(root_, key));
  if (!found) return {};
  leaf_ = std::move(found->leaf);
  index_ = found->index;
  return {};
}

Result<void> CursorBase::next() {
  ENGINE_CHECK(valid());
  const NodeView leaf{leaf_.bytes()};
  if (index_ + 1 < leaf.nr_entries()) {
    ++index_;
    return {};
  }
  const std::uint64_t last = key();
  leaf_.release();
  if (last == UINT64_MAX) return {};
  return seek(last + 1);
}

}   // namespace engine::pdata
