// Insertion: one pass from the root down, every node on the way shadowed, and room made in a full
// node before stepping into it, so that a parent always has a free entry when a child splits. The
// choice of which siblings to touch is Linux's: even out with a neighbour that has room and is not
// shared, else split.
#include <algorithm>

#include "engine/pdata/btree.h"

namespace engine::pdata {

Result<MetaBlock> BtreeBase::make_empty() {
  ENGINE_TRY_ASSIGN(WriteRef ref, tm_.new_block(kNodeValidator));
  NodeEdit{ref.bytes()}.init(NodeKind::leaf, value_size_, leaf_entries_max_);
  return ref.block();
}

Result<void> BtreeBase::inc_children(const NodeView& node) {
  if (node.nr_entries() == 0) return {};
  if (node.leaf())
    return counts_ != nullptr ? counts_->inc(node.values(0, node.nr_entries())) : Result<void>{};
  for (std::uint32_t i = 0; i < node.nr_entries(); ++i)
    ENGINE_TRY(tm_.inc(node.child(i)));
  return {};
}

Result<WriteRef> BtreeBase::shadow_node(MetaBlock block) {
  ENGINE_TRY_ASSIGN(TransactionManager::Shadow shadow, tm_.shadow(block, kNodeValidator));
  const NodeView node{shadow.ref.bytes()};
  ENGINE_TRY(check_node(block, node));
  if (shadow.inc_children) ENGINE_TRY(inc_children(node));
  return std::move(shadow.ref);
}

Result<WriteRef> BtreeBase::shadow_child(NodeEdit& parent, std::uint32_t index) {
  ENGINE_TRY_ASSIGN(WriteRef child, shadow_node(parent.child(index)));
  parent.set_child(index, child.block());
  return child;
}

Result<BtreeBase::Inserted> BtreeBase::insert_bytes(MetaBlock root, std::uint64_t key,
                                                    ConstBytes value) {
  ENGINE_CHECK(value.size() == value_size_);
  WriteRef parent;   // none at the root
  Child at;
  ENGINE_TRY_ASSIGN(at.ref, shadow_node(root));
  root = at.ref.block();
  for (std::uint32_t depth = 0; depth < kTreeDepthMax; ++depth) {
    {
      NodeEdit node{at.ref.bytes()};
      if (node.full()) {
        const std::optional<std::uint32_t> index = node.last_at_most(key);
        const bool replaces = node.leaf() && index && node.key(*index) == key;
        if (!replaces && !parent) {
          ENGINE_TRY(split_beneath(node));
        } else if (!replaces) {
          NodeEdit above{parent.bytes()};
          ENGINE_TRY_ASSIGN(at, make_room(above, std::move(at), key));
        }
      }
    }
    NodeEdit node{at.ref.bytes()};
    const std::optional<std::uint32_t> below = node.last_at_most(key);
    if (node.leaf()) {
      if (!below || node.key(*below) != key) {
        node.insert(below ? *below + 1 : 0, key, value);
        return Inserted{root, true};
      }
      if (counts_ != nullptr && !counts_->equal(node.value(*below), value))
        ENGINE_TRY(counts_->dec(node.value(*below)));
      node.set_value(*below, value);
      return Inserted{root, false};
    }
    if (!below) node.set_key(0, key);   // less than all keys of the tree
    const std::uint32_t index = below.value_or(0);
    ENGINE_TRY_ASSIGN(WriteRef child, shadow_child(node, index));
    parent = std::move(at.ref);
    at = Child{std::move(child), index};
  }
  return fail(Errc::corrupt, root.value(), "tree depth");
}

Result<void> BtreeBase::split_beneath(NodeEdit& root) {
  // Both blocks before anything is written into either: a failure must not leave a block without a
  // header where a writer could meet it.
  ENGINE_TRY_ASSIGN(WriteRef left_ref, tm_.new_block(kNodeValidator));
  ENGINE_TRY_ASSIGN(WriteRef right_ref, tm_.new_block(kNodeValidator));
  NodeEdit left{left_ref.bytes()};
  NodeEdit right{right_ref.bytes()};
  left.copy_from(root);
  right.init_like(root);
  move_right(left, right, left.nr_entries() - left.nr_entries() / 2);
  root.init(NodeKind::internal, kChildSize, internal_entries_max_);
  root.insert_child(0, left.key(0), left_ref.block());
  root.insert_child(1, right.key(0), right_ref.block());
  return {};
}

// A sibling that may share the load: writable, unless it is shared (a copy would cost more than a
// split) or nearly full (the same would happen again a few insertions later). Says in `shared` when
// that was the reason.
Result<std::optional<WriteRef>> BtreeBase::roomy_sibling(NodeEdit& parent, std::uint32_t index,
                                                         bool& shared) {
  ENGINE_TRY_ASSIGN(shared, tm_.is_shared(parent.child(index)));
  if (shared) return std::optional<WriteRef>{};
  {
    ENGINE_TRY_ASSIGN(const ReadRef ref, read_node(parent.child(index)));
    const NodeView node{ref.bytes()};
    constexpr std::uint32_t kRoomy = 8;
    if (node.nr_free() < std::min(kRoomy, node.min_entries())) return std::optional<WriteRef>{};
  }
  ENGINE_TRY_ASSIGN(WriteRef ref, shadow_child(parent, index));
  return std::optional<WriteRef>{std::move(ref)};
}

namespace {

// Moves entries so that `left` has `target`.
void even_out(NodeEdit& left, NodeEdit& right, std::uint32_t target) {
  if (left.nr_entries() > target)
    move_right(left, right, left.nr_entries() - target);
  else
    move_left(left, right, target - left.nr_entries());
}

}   // namespace

Result<BtreeBase::Child> BtreeBase::make_room(NodeEdit& parent, Child full, std::uint64_t key) {
  const std::uint32_t index = full.index;
  const std::uint32_t last = parent.nr_entries() - 1;
  bool shared = false;
  if (index > 0) {
    ENGINE_TRY_ASSIGN(std::optional<WriteRef> sibling, roomy_sibling(parent, index - 1, shared));
    if (sibling) {
      NodeEdit left{sibling->bytes()};
      NodeEdit right{full.ref.bytes()};
      ENGINE_TRY(check_neighbours(sibling->block(), left, right));
      even_out(left, right, (left.nr_entries() + right.nr_entries()) / 2);
      parent.set_key(index, right.key(0));
      if (key < right.key(0)) return Child{std::move(*sibling), index - 1};
      return full;
    }
  }
  if (!shared && index < last) {
    ENGINE_TRY_ASSIGN(std::optional<WriteRef> sibling, roomy_sibling(parent, index + 1, shared));
    if (sibling) {
      NodeEdit left{full.ref.bytes()};
      NodeEdit right{sibling->bytes()};
      ENGINE_TRY(check_neighbours(sibling->block(), left, right));
      even_out(left, right, (left.nr_entries() + right.nr_entries()) / 2);
      parent.set_key(index + 1, right.key(0));
      if (key >= right.key(0)) return Child{std::move(*sibling), index + 1};
      return full;
    }
  }
  if (shared || last < 2 || index == 0 || index == last)
    return split_in_two(parent, std::move(full), key);
  return split_two_in_three(parent, std::move(full), key);
}

Result<BtreeBase::Child> BtreeBase::split_in_two(NodeEdit& parent, Child full, std::uint64_t key) {
  ENGINE_TRY_ASSIGN(WriteRef ref, tm_.new_block(kNodeValidator));
  NodeEdit left{full.ref.bytes()};
  NodeEdit right{ref.bytes()};
  right.init_like(left);
  even_out(left, right, left.nr_entries() / 2);
  parent.insert_child(full.index + 1, right.key(0), ref.block());
  if (key >= right.key(0)) return Child{std::move(ref), full.index + 1};
  return full;
}

Result<BtreeBase::Child> BtreeBase::split_two_in_three(NodeEdit& parent, Child full,
                                                       std::uint64_t key) {
  const std::uint32_t index = full.index;
  ENGINE_TRY_ASSIGN(WriteRef left_ref, shadow_child(parent, index - 1));
  ENGINE_TRY_ASSIGN(WriteRef middle_ref, tm_.new_block(kNodeValidator));
  NodeEdit left{left_ref.bytes()};
  NodeEdit middle{middle_ref.bytes()};
  NodeEdit right{full.ref.bytes()};
  ENGINE_TRY(check_neighbours(left_ref.block(), left, right));
  middle.init_like(right);

  const std::uint32_t total = left.nr_entries() + right.nr_entries();
  const std::uint32_t left_target = total / 3;
  const std::uint32_t middle_target = (total - left_target) / 2;
  if (left.nr_entries() < left_target) return fail(Errc::corrupt, left_ref.block().value(), "fill");
  move_right(left, middle, left.nr_entries() - left_target);
  if (middle.nr_entries() > middle_target)
    move_right(middle, right, middle.nr_entries() - middle_target);
  else
    move_left(middle, right, middle_target - middle.nr_entries());

  parent.set_key(index, right.key(0));
  parent.insert_child(index, middle.key(0), middle_ref.block());
  if (key >= right.key(0)) return Child{std::move(full.ref), index + 1};
  if (key >= middle.key(0)) return Child{std::move(middle_ref), index};
  return Child{std::move(left_ref), index - 1};
}

}   // namespace engine::pdata
