// One B-tree node as it lies on disk, and views of it that check indices. docs/format/btree.md.
//
// A block that passed kNodeValidator has bounds that fit, nr_entries <= max_entries, and ascending
// keys, so the views below stay inside the block for any index below nr_entries. What the value
// size means is the tree's affair: it must compare value_size() with what it expects.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/units.h"
#include "engine/pdata/validator.h"

namespace engine::pdata {

struct NodeHeaderDisk {
  Le32 checksum;
  Le32 flags;   // kNodeInternal or kNodeLeaf
  Le64 block;
  Le32 nr_entries;
  Le32 max_entries;
  Le32 value_size;
  Le32 padding;
  // then max_entries keys of 8 bytes, then max_entries values
};
static_assert(sizeof(NodeHeaderDisk) == 32 && alignof(NodeHeaderDisk) == 1);
static_assert(offsetof(NodeHeaderDisk, nr_entries) == 16);

inline constexpr std::uint32_t kNodeInternal = 1;
inline constexpr std::uint32_t kNodeLeaf = 2;
inline constexpr std::uint32_t kNodeHeaderSize = sizeof(NodeHeaderDisk);
inline constexpr std::uint32_t kChildSize = 8;   // internal nodes: block numbers of children
inline constexpr std::uint32_t kFanOutMin = 6;
// No tree of real use is deeper; a chain of hostile blocks might be.
inline constexpr std::uint32_t kTreeDepthMax = 24;

// How many entries Linux puts into a node: as many as fit, rounded down to a multiple of three.
constexpr std::uint32_t max_entries_for(std::uint32_t value_size) noexcept {
  return (kMetaBlockSize - kNodeHeaderSize) / (8 + value_size) / 3 * 3;
}
static_assert(max_entries_for(8) == 252 && max_entries_for(4) == 336);
static_assert(max_entries_for(16) == 168 && max_entries_for(24) == 126);

class NodeValidator final : public Validator {
 public:
  constexpr NodeValidator() noexcept : Validator{"btree node", kBtreeNodeSalt} {}
  constexpr ~NodeValidator() override {}

 protected:
  [[nodiscard]] Result<void> check_content(MetaBlock block, ConstBytes bytes) const override;
};
inline constexpr NodeValidator kNodeValidator{};

class NodeView {
 public:
  explicit NodeView(ConstBytes bytes) noexcept : bytes_{bytes} {}

  [[nodiscard]] bool leaf() const noexcept { return header().flags.value() == kNodeLeaf; }
  [[nodiscard]] std::uint32_t nr_entries() const noexcept { return header().nr_entries.value(); }
  [[nodiscard]] std::uint32_t max_entries() const noexcept { return header().max_entries.value(); }
  // The fewest entries a node that is not a root may have.
  [[nodiscard]] std::uint32_t min_entries() const noexcept { return max_entries() / 3; }
  [[nodiscard]] std::uint32_t value_size() const noexcept { return header().value_size.value(); }
  [[nodiscard]] bool full() const noexcept { return nr_entries() == max_entries(); }
  [[nodiscard]] std::uint32_t nr_free() const noexcept { return max_entries() - nr_entries(); }

  [[nodiscard]] std::uint64_t key(std::uint32_t index) const noexcept {
    ENGINE_CHECK(index < nr_entries());
    return raw_key(index);
  }
  [[nodiscard]] ConstBytes value(std::uint32_t index) const noexcept {
    ENGINE_CHECK(index < nr_entries());
    return bytes_.subspan(value_offset(index), value_size());
  }
  // Values [begin, end) lie side by side.
  [[nodiscard]] ConstBytes values(std::uint32_t begin, std::uint32_t end) const noexcept {
    ENGINE_CHECK(begin <= end);
    ENGINE_CHECK(end <= nr_entries());
    return bytes_.subspan(value_offset(begin), std::size_t{end - begin} * value_size());
  }
  // Internal nodes.
  [[nodiscard]] MetaBlock child(std::uint32_t index) const noexcept {
    return MetaBlock{view_as<Le64>(value(index)).value()};
  }

  // The last index whose key is at most `key`; none if even the first is greater.
  [[nodiscard]] std::optional<std::uint32_t> last_at_most(std::uint64_t key) const noexcept {
    const std::uint32_t above = first_above(key);
    if (above == 0) return std::nullopt;
    return above - 1;
  }
  // The first index whose key is at least `key`; nr_entries if there is none.
  [[nodiscard]] std::uint32_t first_at_least(std::uint64_t key) const noexcept {
    const std::uint32_t above = first_above(key);
    return above != 0 && raw_key(above - 1) == key ? above - 1 : above;
  }

 protected:
  [[nodiscard]] const NodeHeaderDisk& header() const noexcept {
    return view_as<NodeHeaderDisk>(bytes_);
  }
  [[nodiscard]] static std::size_t key_offset(std::uint32_t index) noexcept {
    return kNodeHeaderSize + std::size_t{index} * 8;
  }
  [[nodiscard]] std::size_t value_offset(std::uint32_t index) const noexcept {
    return key_offset(max_entries()) + std::size_t{index} * value_size();
  }
  [[nodiscard]] std::uint64_t raw_key(std::uint32_t index) const noexcept {
    return view_as<Le64>(bytes_.subspan(key_offset(index), 8)).value();
  }
  // Keys ascend, so none behind the (key - first)th is at most `key`. Where there are no gaps,
  // as in most leaves, that one is it, and few of the node's cache lines have been touched.
  [[nodiscard]] std::uint32_t first_above(std::uint64_t key) const noexcept {
    if (nr_entries() == 0 || key < raw_key(0)) return 0;
    const auto last =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(nr_entries() - 1, key - raw_key(0)));
    if (raw_key(last) <= key) return last + 1;
    std::uint32_t begin = 1;
    std::uint32_t count = last - 1;
    while (count > 0) {
      const std::uint32_t half = count / 2;
      if (raw_key(begin + half) <= key) {
        begin += half + 1;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    return begin;
  }

  ConstBytes bytes_;
};

enum class NodeKind : std::uint8_t { internal, leaf };

// A node that may be changed. Entries that are no longer used keep stale bytes, as on Linux; they
// are deterministic, since nodes start zeroed.
class NodeEdit : public NodeView {
 public:
  explicit NodeEdit(MutableBytes bytes) noexcept : NodeView{bytes}, mutable_{bytes} {}

  // An empty node.
  void init(NodeKind kind, std::uint32_t value_size, std::uint32_t max_entries) noexcept;
  // An empty node of the same kind and sizes as `other`.
  void init_like(const NodeView& other) noexcept;
  // Everything of `other` but checksum and number.
  void copy_from(const NodeView& other) noexcept;

  void set_key(std::uint32_t index, std::uint64_t key) noexcept;
  void set_value(std::uint32_t index, ConstBytes value) noexcept;
  void set_child(std::uint32_t index, MetaBlock child) noexcept;
  [[nodiscard]] MutableBytes mutable_value(std::uint32_t index) noexcept;
  // The node must not be full.
  void insert(std::uint32_t index, std::uint64_t key, ConstBytes value) noexcept;
  void insert_child(std::uint32_t index, std::uint64_t key, MetaBlock child) noexcept;
  void erase(std::uint32_t begin, std::uint32_t end) noexcept;

 private:
  friend void move_right(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept;
  friend void move_left(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept;
  [[nodiscard]] NodeHeaderDisk& mutable_header() noexcept {
    return view_as<NodeHeaderDisk>(mutable_);
  }
  void set_nr_entries(std::uint32_t count) noexcept { mutable_header().nr_entries = count; }
  // Entries [from, nr_entries) to `to`, without changing the count; they must fit.
  void shift(std::uint32_t from, std::uint32_t to) noexcept;
  void copy_entries(std::uint32_t to, const NodeView& source, std::uint32_t begin,
                    std::uint32_t end) noexcept;

  MutableBytes mutable_;
};

// The last `count` entries of `left` become the first of `right`; they must fit. Both nodes are of
// one kind and size.
void move_right(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept;
// The first `count` entries of `right` become the last of `left`.
void move_left(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept;

[[nodiscard]] bool same_shape(const NodeView& a, const NodeView& b) noexcept;
// Before entries move between two nodes under one parent: they must agree in shape and be in order,
// which bytes from a device may not. Errors: corrupt, naming `block`.
[[nodiscard]] Result<void> check_neighbours(MetaBlock block, const NodeView& left,
                                            const NodeView& right);

}   // namespace engine::pdata
