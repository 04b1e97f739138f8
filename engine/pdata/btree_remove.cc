// Removal: one pass from the root down, every node on the way shadowed. Before stepping into a node
// that has no entry to spare it is filled up from its neighbours or merged with them, so no node
// but the root ever falls below a third (Linux does the same before every step, needed or not).
//
// Every node copied on the way counts its children or values again where the original lives on
// (shadow_node); that holds for the siblings, for leaves as well as internal nodes, and for an only
// child that the root absorbs.
#include <algorithm>

#include "engine/pdata/btree.h"

namespace engine::pdata {

namespace {

// Gives `left` and `right` their targets; the center gets the rest. Each round moves what the
// center can give or take on one side and then the other, so entries that have to travel across it
// do so without it ever overflowing or running dry.
void even_out_three(NodeEdit& left, NodeEdit& center, NodeEdit& right, std::uint32_t left_target,
                    std::uint32_t right_target) {
  while (left.nr_entries() != left_target || right.nr_entries() != right_target) {
    const std::uint32_t before = center.nr_entries();
    if (left.nr_entries() > left_target)
      move_right(left, center, std::min(left.nr_entries() - left_target, center.nr_free()));
    else
      move_left(left, center, std::min(left_target - left.nr_entries(), center.nr_entries()));
    const std::uint32_t between = center.nr_entries();
    if (right.nr_entries() > right_target)
      move_left(center, right, std::min(right.nr_entries() - right_target, center.nr_free()));
    else
      move_right(center, right, std::min(right_target - right.nr_entries(), center.nr_entries()));
    ENGINE_CHECK(before != between || between != center.nr_entries());
  }
}

}   // namespace

Result<void> BtreeBase::absorb_only_child(NodeEdit& node) {
  const MetaBlock block = node.child(0);
  ENGINE_TRY_ASSIGN(const ReadRef ref, read_node(block));
  const NodeView child{ref.bytes()};
  ENGINE_TRY_ASSIGN(const bool shared, tm_.is_shared(block));
  // A child that lives on keeps its own references to what is now also ours.
  if (shared) ENGINE_TRY(inc_children(child));
  ENGINE_TRY(tm_.dec(block));
  node.copy_from(child);
  return {};
}

Result<void> BtreeBase::drop_child(NodeEdit& parent, std::uint32_t index, WriteRef& child) {
  // Its entries are elsewhere by now, so what they refer to keeps its counts.
  const MetaBlock block = child.block();
  child.release();
  parent.erase(index, index + 1);
  return tm_.dec(block);
}

Result<void> BtreeBase::rebalance_two(NodeEdit& parent, std::uint32_t left_index, WriteRef& left,
                                      WriteRef& right) {
  NodeEdit l{left.bytes()};
  NodeEdit r{right.bytes()};
  const std::uint32_t total = l.nr_entries() + r.nr_entries();
  // A merged node, and each of two kept ones, has an entry to spare above the minimum.
  if (total < 2 * (l.min_entries() + 1)) {
    move_left(l, r, r.nr_entries());
    return drop_child(parent, left_index + 1, right);
  }
  const std::uint32_t target = total / 2;
  if (l.nr_entries() > target)
    move_right(l, r, l.nr_entries() - target);
  else
    move_left(l, r, target - l.nr_entries());
  parent.set_key(left_index + 1, r.key(0));
  return {};
}

Result<void> BtreeBase::rebalance_three(NodeEdit& parent, std::uint32_t left_index, WriteRef& left,
                                        WriteRef& center, WriteRef& right) {
  NodeEdit l{left.bytes()};
  NodeEdit c{center.bytes()};
  NodeEdit r{right.bytes()};
  const std::uint32_t total = l.nr_entries() + c.nr_entries() + r.nr_entries();
  if (total < 4 * l.min_entries() + 1) {
    move_left(l, c, std::min(c.nr_entries(), l.nr_free()));
    move_right(c, r, c.nr_entries());
    ENGINE_TRY(drop_child(parent, left_index + 1, center));
    return rebalance_two(parent, left_index, left, right);
  }
  const std::uint32_t right_target = total / 3;
  const std::uint32_t left_target = right_target + (total % 3 != 0 ? 1 : 0);
  even_out_three(l, c, r, left_target, right_target);
  parent.set_key(left_index + 1, c.key(0));
  parent.set_key(left_index + 2, r.key(0));
  return {};
}

Result<BtreeBase::Child> BtreeBase::fill_up(NodeEdit& parent, Child thin, std::uint64_t key) {
  const std::uint32_t index = thin.index;
  const std::uint32_t last = parent.nr_entries() - 1;
  WriteRef refs[3];
  std::uint32_t first_index = index;
  if (index > 0 && index < last) {
    first_index = index - 1;
    refs[1] = std::move(thin.ref);
    ENGINE_TRY_ASSIGN(refs[0], shadow_child(parent, index - 1));
    ENGINE_TRY_ASSIGN(refs[2], shadow_child(parent, index + 1));
  } else if (index == 0) {
    refs[0] = std::move(thin.ref);
    ENGINE_TRY_ASSIGN(refs[1], shadow_child(parent, 1));
  } else {
    first_index = index - 1;
    refs[1] = std::move(thin.ref);
    ENGINE_TRY_ASSIGN(refs[0], shadow_child(parent, first_index));
  }
  for (std::uint32_t i = 1; i < 3 && refs[i]; ++i) {
    ENGINE_TRY(check_neighbours(refs[i].block(), NodeView{refs[i - 1].bytes()},
                                NodeView{refs[i].bytes()}));
  }
  if (refs[2])
    ENGINE_TRY(rebalance_three(parent, first_index, refs[0], refs[1], refs[2]));
  else
    ENGINE_TRY(rebalance_two(parent, first_index, refs[0], refs[1]));

  const std::optional<std::uint32_t> now = parent.last_at_most(key);
  if (!now) return fail(Errc::not_found, key, "key");
  for (WriteRef& ref : refs) {
    if (ref && ref.block() == parent.child(*now)) return Child{std::move(ref), *now};
  }
  // The key did not lie in the child it came from: the parent's keys are out of order.
  return fail(Errc::corrupt, parent.child(*now).value(), "parent key");
}

Result<BtreeBase::OwnedBase> BtreeBase::own_thin_leaf(MetaBlock root, std::uint64_t key) {
  ENGINE_TRY_ASSIGN(WriteRef ref, shadow_node(root));
  root = ref.block();
  for (std::uint32_t depth = 0; depth < kTreeDepthMax; ++depth) {
    NodeEdit node{ref.bytes()};
    if (node.leaf()) return OwnedBase{root, std::move(ref), node.first_at_least(key)};
    if (node.nr_entries() == 1) {   // only a root
      ENGINE_TRY(absorb_only_child(node));
      continue;
    }
    const std::optional<std::uint32_t> index = node.last_at_most(key);
    if (!index) return fail(Errc::not_found, key, "key");
    Child child;
    child.index = *index;
    ENGINE_TRY_ASSIGN(child.ref, shadow_child(node, *index));
    const NodeView below{child.ref.bytes()};
    if (below.nr_entries() <= below.min_entries()) {
      ENGINE_TRY_ASSIGN(child, fill_up(node, std::move(child), key));
    }
    ref = std::move(child.ref);
  }
  return fail(Errc::corrupt, root.value(), "tree depth");
}

Result<MetaBlock> BtreeBase::remove(MetaBlock root, std::uint64_t key) {
  ENGINE_TRY_ASSIGN(OwnedBase owned, own_thin_leaf(root, key));
  NodeEdit leaf{owned.leaf.bytes()};
  if (owned.index == leaf.nr_entries() || leaf.key(owned.index) != key)
    return fail(Errc::not_found, key, "key");
  if (counts_ != nullptr) ENGINE_TRY(counts_->dec(leaf.value(owned.index)));
  leaf.erase(owned.index, owned.index + 1);
  return owned.root;
}

Result<BtreeBase::Removed> BtreeBase::remove_range(MetaBlock root, std::uint64_t begin,
                                                   std::uint64_t end) {
  Removed removed{root, 0};
  while (begin < end) {
    std::uint64_t key = 0;
    {
      ENGINE_TRY_ASSIGN(const std::optional<Found> found, find_next(removed.root, begin));
      if (!found) break;
      key = NodeView{found->leaf.bytes()}.key(found->index);
    }
    if (key >= end) break;
    ENGINE_TRY_ASSIGN(OwnedBase owned, own_thin_leaf(removed.root, key));
    NodeEdit leaf{owned.leaf.bytes()};
    // As many at once as this leaf can lose; what is left of the range takes another descent.
    const std::uint32_t first = owned.index;
    const std::uint32_t range_end = leaf.first_at_least(end);
    const std::uint32_t spare = owned.leaf.block() == owned.root
                                    ? leaf.nr_entries()
                                    : leaf.nr_entries() - leaf.min_entries();
    const std::uint32_t last = std::min(range_end, first + spare);
    if (first >= last || leaf.key(first) != key)
      return fail(Errc::corrupt, owned.leaf.block().value(), "key order across nodes");
    begin = leaf.key(last - 1) + 1;
    if (counts_ != nullptr) ENGINE_TRY(counts_->dec(leaf.values(first, last)));
    leaf.erase(first, last);
    removed.root = owned.root;
    removed.count += last - first;
    if (begin == 0) break;   // the greatest of all keys is gone
  }
  return removed;
}

Result<BtreeBase::OwnedBase> BtreeBase::own_entry(MetaBlock root, std::uint64_t key) {
  ENGINE_TRY_ASSIGN(WriteRef ref, shadow_node(root));
  root = ref.block();
  for (std::uint32_t depth = 0; depth < kTreeDepthMax; ++depth) {
    NodeEdit node{ref.bytes()};
    const std::optional<std::uint32_t> index = node.last_at_most(key);
    if (!index) break;
    if (node.leaf()) {
      if (node.key(*index) != key) break;
      return OwnedBase{root, std::move(ref), *index};
    }
    ENGINE_TRY_ASSIGN(ref, shadow_child(node, *index));
  }
  return fail(Errc::not_found, key, "key");
}

}   // namespace engine::pdata
