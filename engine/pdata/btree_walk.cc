// Deleting whole trees.
#include <vector>

#include "engine/pdata/btree.h"

namespace engine::pdata {

Result<void> BtreeBase::destroy(MetaBlock root) {
  return destroy_below(root, 0);
}

Result<void> BtreeBase::destroy_below(MetaBlock block, std::uint32_t depth) {
  if (depth == kTreeDepthMax) return fail(Errc::corrupt, block.value(), "tree depth");
  ENGINE_TRY_ASSIGN(const bool shared, tm_.is_shared(block));
  if (shared) return tm_.dec(block);
  // A copy of what is below, so that no block is held on the way down: the values of a tree of
  // trees are deleted from here too.
  std::vector<MetaBlock> children;
  std::vector<std::byte> values;
  {
    ENGINE_TRY_ASSIGN(const ReadRef ref, read_node(block));
    const NodeView node{ref.bytes()};
    if (!node.leaf()) {
      children.reserve(node.nr_entries());
      for (std::uint32_t i = 0; i < node.nr_entries(); ++i)
        children.push_back(node.child(i));
    } else if (counts_ != nullptr) {
      const ConstBytes bytes = node.values(0, node.nr_entries());
      values.assign(bytes.begin(), bytes.end());
    }
  }
  // Before the children: bytes that make a node its own descendant then meet a count of zero.
  ENGINE_TRY(tm_.dec(block));
  for (const MetaBlock child : children)
    ENGINE_TRY(destroy_below(child, depth + 1));
  if (!values.empty()) ENGINE_TRY(counts_->dec(values));
  return {};
}

}   // namespace engine::pdata
