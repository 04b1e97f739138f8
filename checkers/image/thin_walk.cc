#include "checkers/image/thin_walk.h"

#include <fmt/format.h>

namespace checkers::image {

std::optional<NodeView> parse_node(Findings& findings, const TreeSpec& tree, std::uint64_t block,
                                   const std::byte* bytes) {
  constexpr auto& kFields = thin_format::kNodeFields;
  using thin_format::at;
  using thin_format::load32;
  const std::uint32_t flags = load32(bytes, at(kFields, "flags"));
  const std::uint32_t nr = load32(bytes, at(kFields, "nr_entries"));
  const std::uint32_t max = load32(bytes, at(kFields, "max_entries"));
  const std::uint32_t value_size = load32(bytes, at(kFields, "value_size"));
  const std::uint32_t padding = load32(bytes, at(kFields, "padding"));
  const auto wrong = [&](const char* field, std::uint32_t found, std::string expected) {
    findings.add(Rule::node_shape, Severity::fatal, block, field, fmt::format("{}", found),
                 std::move(expected));
  };
  if (flags != thin_format::kInternal && flags != thin_format::kLeaf) {
    wrong("flags", flags, "1 (internal) or 2 (leaf)");
    return std::nullopt;
  }
  const bool leaf = flags == thin_format::kLeaf;
  const std::uint32_t size = leaf ? tree.value_size : thin_format::kInternalValueSize;
  if (value_size != size) {
    wrong("value_size", value_size, fmt::format("{} in {}", size, block_type_name(tree.type)));
    return std::nullopt;
  }
  const std::uint32_t most = thin_format::max_entries(size);
  if (max > most || max % 3 != 0 || max < thin_format::kMaxEntriesLeast) {
    wrong("max_entries", max,
          fmt::format("a multiple of 3 from {} to {}", thin_format::kMaxEntriesLeast, most));
    if (max > most || max == 0) return std::nullopt;
  }
  if (nr > max) {
    wrong("nr_entries", nr, fmt::format("at most max_entries {}", max));
    return std::nullopt;
  }
  if (!leaf && nr == 0) {
    wrong("nr_entries", nr, "at least 1 in an internal node");
    return std::nullopt;
  }
  if (padding != 0) {
    findings.add(Rule::node_shape, Severity::warn, block, "padding", fmt::format("{:#x}", padding),
                 "0");
  }
  return NodeView{bytes, nr, max, value_size, leaf};
}

std::optional<std::uint32_t> TreeWalk::known(const TreeSpec& tree, std::uint64_t block,
                                             const Pointer& from, const KeyRange& range,
                                             Place& place) {
  if (place.depth >= kDepthMax) {
    image_.findings().add(Rule::node_shape, Severity::fatal, from.block, from.text(),
                          fmt::format("a tree of more than {} levels", kDepthMax),
                          "a tree that ends");
    lost();
    return kNone;
  }
  const auto entry = image_.enter(block, tree.type, from, place.counted);
  if (entry == ThinImage::Entry::refused) return kNone;
  // What hangs below a block counts once, however often the block itself is reached.
  if (entry == ThinImage::Entry::first) {
    place.counted = ThinImage::Counted::yes;
    return std::nullopt;
  }
  place.counted = ThinImage::Counted::no;
  const std::uint32_t slot = image_.node_slot(block);
  if (slot == 0) return kNone;   // it was no good the first time, and that has been said
  const NodeInfo& info = infos_[slot - 1];
  const bool twice = info.open || info.owner == tree.owner || tree.sharing == Sharing::none;
  if (twice) {
    image_.findings().add(
        Rule::reached_twice, Severity::fatal, from.block, from.text(),
        fmt::format("block {}, {}", block,
                    info.open ? "which lies above it" : "reached before in the same tree"),
        fmt::format("{} that nothing else in the tree points at", block_type_name(tree.type)));
    return kNone;
  }
  if (tree.sharing == Sharing::by_held) return std::nullopt;
  if (info.nr > 0) check_range(block, info.first_key, info.last_key, range, from);
  if (!place.root) check_fill(block, info);
  return slot - 1;
}

bool TreeWalk::check_order(std::uint64_t block, const NodeView& node) {
  for (std::uint32_t i = 1; i < node.nr; ++i) {
    if (node.key(i) > node.key(i - 1)) [[likely]]
      continue;
    image_.findings().add(Rule::node_shape, Severity::fatal, block, fmt::format("keys[{}]", i),
                          fmt::format("{}", node.key(i)),
                          fmt::format("more than keys[{}] {}", i - 1, node.key(i - 1)));
    return false;
  }
  return true;
}

void TreeWalk::check_range(std::uint64_t block, std::uint64_t first, std::uint64_t last,
                           const KeyRange& range, const Pointer& from) {
  if (first < range.first) {
    image_.findings().add(Rule::node_shape, Severity::fatal, block, "keys[0]",
                          fmt::format("{}", first),
                          fmt::format("at least {}, as block {} says", range.first, from.block));
  }
  if (last > range.last) {
    image_.findings().add(Rule::node_shape, Severity::fatal, block, "last key",
                          fmt::format("{}", last),
                          fmt::format("at most {}, as block {} says", range.last, from.block));
  }
}

void TreeWalk::check_fill(std::uint64_t block, const NodeInfo& info) {
  if (info.nr >= info.max / 3) return;
  image_.findings().add(
      Rule::node_shape, Severity::repairable, block, "nr_entries", fmt::format("{}", info.nr),
      fmt::format("at least {}, a third of max_entries", std::uint32_t{info.max} / 3));
}

void TreeWalk::check_sibling(std::uint64_t block, std::uint32_t first, std::uint32_t other) {
  const NodeInfo& a = infos_[first];
  const NodeInfo& b = infos_[other];
  if (a.height != b.height) {
    image_.findings().add(Rule::node_shape, Severity::fatal, block, "levels below",
                          fmt::format("{}", b.height),
                          fmt::format("{}, as its first sibling has", a.height));
  } else if (a.max != b.max) {
    image_.findings().add(Rule::node_shape, Severity::fatal, block, "max_entries",
                          fmt::format("{}", b.max),
                          fmt::format("{}, as its first sibling has", a.max));
  }
}

}   // namespace checkers::image
