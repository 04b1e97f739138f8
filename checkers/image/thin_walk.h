// Walks B-trees. Every node is checked for its shape when it is first reached and is read once;
// later arrivals by other parents are checked against what was remembered of it, so that trees
// which share nodes cost what they have in distinct nodes. Depth is bounded; a node reached again
// below itself is a finding, not a loop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "checkers/image/thin_image.h"

namespace checkers::image {

struct NodeView {
  const std::byte* bytes;
  std::uint32_t nr;
  std::uint32_t max;
  std::uint32_t value_size;
  bool leaf;

  [[nodiscard]] std::uint64_t key(std::uint32_t i) const {
    return thin_format::load64(bytes, thin_format::kNodeHeader + std::size_t{8} * i);
  }
  [[nodiscard]] const std::byte* value(std::uint32_t i) const {
    return bytes + thin_format::kNodeHeader + std::size_t{8} * max + std::size_t{value_size} * i;
  }
  [[nodiscard]] std::uint64_t value64(std::uint32_t i) const {
    return thin_format::load64(value(i), 0);
  }
};

// What is remembered of a node: of itself and of all beneath it.
struct NodeInfo {
  std::uint64_t first_key{0};
  std::uint64_t last_key{0};   // highest key anywhere beneath
  std::uint64_t entries{0};    // leaf entries beneath, saturating
  std::uint32_t newest{0};     // highest mapping time beneath
  std::uint32_t owner{0};      // whose walk came first
  std::uint16_t nr{0};
  std::uint16_t max{0};
  std::uint8_t height{0};   // 0: a leaf
  bool open{true};          // its walk is not over: arriving now means a cycle
};

// Which nodes of a tree may be reached more than once.
enum class Sharing : std::uint8_t {
  none,      // a space map's: never
  by_held,   // the device tree's and top mapping tree's: once more by the held copy
  free,      // a device's: any number of times, by different parents
};

struct TreeSpec {
  BlockType type;
  std::uint32_t value_size;
  Sharing sharing;
  std::uint32_t owner;   // tells the walks of one kind of tree apart
};

// The keys that a parent allows beneath a pointer, both ends included.
struct KeyRange {
  std::uint64_t first{0};
  std::uint64_t last{~std::uint64_t{0}};
};

// Makes sense of a node's header; nothing, after a finding, where the rest cannot be read by it.
[[nodiscard]] std::optional<NodeView> parse_node(Findings& findings, const TreeSpec& tree,
                                                 std::uint64_t block, const std::byte* bytes);

class TreeWalk {
 public:
  static constexpr unsigned kDepthMax = 32;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr unsigned kFirstSlot = 2;   // slots below are the superblocks'

  explicit TreeWalk(ThinImage& image) : image_{image} {}
  void reset() { infos_.clear(); }

  // Walks the tree at `root`. `visitor.leaf(node, block, info, counted)` is called for each leaf
  // reached for the first time (with by_held: in this walk), `counted` saying whether what it
  // points at gains a reference by that; `visitor.again(info, block)` for a shared node. The root's
  // info, or null where there was none to be had.
  template <typename Visitor>
  const NodeInfo* walk(const TreeSpec& tree, Visitor& visitor, std::uint64_t root,
                       const Pointer& from, ThinImage::Counted counted) {
    const std::uint32_t index =
        node(tree, visitor, root, from, {}, {.root = true, .depth = 0, .counted = counted});
    return index == kNone ? nullptr : &infos_[index];
  }

 private:
  struct Place {
    bool root;
    unsigned depth;
    ThinImage::Counted counted;
  };

  // Entry by a pointer: an index to return at once, or nothing when the node is to be read.
  std::optional<std::uint32_t> known(const TreeSpec& tree, std::uint64_t block, const Pointer& from,
                                     const KeyRange& range, Place& place);
  bool check_order(std::uint64_t block, const NodeView& node);
  void check_range(std::uint64_t block, std::uint64_t first, std::uint64_t last,
                   const KeyRange& range, const Pointer& from);
  void check_fill(std::uint64_t block, const NodeInfo& info);
  void check_sibling(std::uint64_t block, std::uint32_t first, std::uint32_t other);
  void lost() { image_.set_complete(false); }

  template <typename Visitor>
  std::uint32_t node(const TreeSpec& tree, Visitor& visitor, std::uint64_t block,
                     const Pointer& from, const KeyRange& range, Place place);
  template <typename Visitor>
  void children(const TreeSpec& tree, Visitor& visitor, std::uint64_t block, const NodeView& view,
                const KeyRange& range, Place place, std::uint32_t index);

  ThinImage& image_;
  std::vector<NodeInfo> infos_;
};

template <typename Visitor>
std::uint32_t TreeWalk::node(const TreeSpec& tree, Visitor& visitor, std::uint64_t block,
                             const Pointer& from, const KeyRange& range, Place place) {
  if (const auto index = known(tree, block, from, range, place)) {
    if (*index != kNone) visitor.again(infos_[*index], block);
    return *index;
  }
  const std::byte* bytes = image_.load(block, tree.type, kFirstSlot + place.depth);
  if (bytes == nullptr) return kNone;
  const auto view = parse_node(image_.findings(), tree, block, bytes);
  if (!view) {
    lost();
    return kNone;
  }
  const auto index = static_cast<std::uint32_t>(infos_.size());
  NodeInfo info;
  info.owner = tree.owner;
  info.nr = static_cast<std::uint16_t>(view->nr);
  info.max = static_cast<std::uint16_t>(view->max);
  if (view->nr > 0) {
    info.first_key = view->key(0);
    info.last_key = view->key(view->nr - 1);
  }
  infos_.push_back(info);
  image_.node_slot(block) = index + 1;

  const bool ordered = check_order(block, *view);
  if (view->nr > 0) check_range(block, info.first_key, info.last_key, range, from);
  if (!place.root) check_fill(block, info);
  if (view->leaf) {
    NodeInfo& mine = infos_[index];
    mine.entries = view->nr;
    visitor.leaf(*view, block, mine, place.counted);
  } else {
    // Without order there is no telling what a child may hold.
    children(tree, visitor, block, *view, ordered ? range : KeyRange{1, 0}, place, index);
  }
  infos_[index].open = false;
  return index;
}

template <typename Visitor>
void TreeWalk::children(const TreeSpec& tree, Visitor& visitor, std::uint64_t block,
                        const NodeView& view, const KeyRange& range, Place place,
                        std::uint32_t index) {
  const bool ranged = range.first <= range.last;
  std::uint32_t first_child = kNone;
  for (std::uint32_t i = 0; i < view.nr; ++i) {
    KeyRange allowed;
    if (ranged) {
      allowed.first = view.key(i);
      allowed.last = i + 1 < view.nr ? view.key(i + 1) - 1 : range.last;
    }
    const std::uint64_t child_block = view.value64(i);
    const std::uint32_t child =
        node(tree, visitor, child_block, Pointer{block, "values", i}, allowed,
             {.root = false, .depth = place.depth + 1, .counted = place.counted});
    if (child == kNone) continue;
    if (first_child == kNone) {
      first_child = child;
      infos_[index].height = static_cast<std::uint8_t>(infos_[child].height + 1);
    } else {
      check_sibling(child_block, first_child, child);
    }
    NodeInfo& mine = infos_[index];
    const NodeInfo& its = infos_[child];
    mine.newest = std::max(mine.newest, its.newest);
    mine.last_key = std::max(mine.last_key, its.last_key);
    const std::uint64_t sum = mine.entries + its.entries;
    mine.entries = sum < mine.entries ? ~std::uint64_t{0} : sum;
  }
}

}   // namespace checkers::image
