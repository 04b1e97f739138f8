#include "engine/pdata/btree_format.h"

namespace engine::pdata {

Result<void> NodeValidator::check_content(MetaBlock block, ConstBytes bytes) const {
  const auto& header = view_as<NodeHeaderDisk>(bytes);
  const std::uint32_t flags = header.flags.value();
  const std::uint32_t value_size = header.value_size.value();
  const std::uint32_t max_entries = header.max_entries.value();
  const std::uint32_t nr_entries = header.nr_entries.value();
  if (flags != kNodeInternal && flags != kNodeLeaf)
    return fail(Errc::corrupt, block.value(), "node flags");
  if (value_size == 0 || value_size > kMetaBlockSize)
    return fail(Errc::corrupt, block.value(), "node value_size");
  if (flags == kNodeInternal && value_size != kChildSize)
    return fail(Errc::corrupt, block.value(), "internal node value_size");
  if (max_entries < kFanOutMin || max_entries % 3 != 0 || max_entries > max_entries_for(value_size))
    return fail(Errc::corrupt, block.value(), "node max_entries");
  if (nr_entries > max_entries) return fail(Errc::corrupt, block.value(), "node nr_entries");
  if (flags == kNodeInternal && nr_entries == 0)
    return fail(Errc::corrupt, block.value(), "internal node without entries");
  const NodeView node{bytes};
  for (std::uint32_t i = 1; i < nr_entries; ++i) {
    if (node.key(i - 1) >= node.key(i)) return fail(Errc::corrupt, block.value(), "node key order");
  }
  return {};
}

void NodeEdit::init(NodeKind kind, std::uint32_t value_size, std::uint32_t max_entries) noexcept {
  ENGINE_CHECK(max_entries >= kFanOutMin);
  ENGINE_CHECK(max_entries <= max_entries_for(value_size));
  NodeHeaderDisk& header = mutable_header();
  header.flags = kind == NodeKind::leaf ? kNodeLeaf : kNodeInternal;
  header.nr_entries = 0;
  header.max_entries = max_entries;
  header.value_size = value_size;
  header.padding = 0;
}

void NodeEdit::init_like(const NodeView& other) noexcept {
  init(other.leaf() ? NodeKind::leaf : NodeKind::internal, other.value_size(), other.max_entries());
}

void NodeEdit::copy_from(const NodeView& other) noexcept {
  init_like(other);
  copy_entries(0, other, 0, other.nr_entries());
  set_nr_entries(other.nr_entries());
}

void NodeEdit::set_key(std::uint32_t index, std::uint64_t key) noexcept {
  ENGINE_CHECK(index < nr_entries());
  view_as<Le64>(mutable_.subspan(key_offset(index), 8)) = key;
}

MutableBytes NodeEdit::mutable_value(std::uint32_t index) noexcept {
  ENGINE_CHECK(index < nr_entries());
  return mutable_.subspan(value_offset(index), value_size());
}

void NodeEdit::set_value(std::uint32_t index, ConstBytes value) noexcept {
  ENGINE_CHECK(value.size() == value_size());
  std::memcpy(mutable_value(index).data(), value.data(), value.size());
}

void NodeEdit::set_child(std::uint32_t index, MetaBlock child) noexcept {
  view_as<Le64>(mutable_value(index)) = child.value();
}

void NodeEdit::insert(std::uint32_t index, std::uint64_t key, ConstBytes value) noexcept {
  ENGINE_CHECK(!full());
  ENGINE_CHECK(index <= nr_entries());
  shift(index, index + 1);
  set_nr_entries(nr_entries() + 1);
  set_key(index, key);
  set_value(index, value);
}

void NodeEdit::insert_child(std::uint32_t index, std::uint64_t key, MetaBlock child) noexcept {
  Le64 value;
  value = child.value();
  insert(index, key, std::as_bytes(std::span{&value, 1}));
}

void NodeEdit::erase(std::uint32_t begin, std::uint32_t end) noexcept {
  ENGINE_CHECK(begin <= end);
  ENGINE_CHECK(end <= nr_entries());
  shift(end, begin);
  set_nr_entries(nr_entries() - (end - begin));
}

void NodeEdit::shift(std::uint32_t from, std::uint32_t to) noexcept {
  ENGINE_CHECK(from <= nr_entries());
  const std::uint32_t count = nr_entries() - from;
  ENGINE_CHECK(to + count <= max_entries());
  if (count == 0) return;
  std::memmove(mutable_.data() + key_offset(to), mutable_.data() + key_offset(from),
               std::size_t{count} * 8);
  std::memmove(mutable_.data() + value_offset(to), mutable_.data() + value_offset(from),
               std::size_t{count} * value_size());
}

void NodeEdit::copy_entries(std::uint32_t to, const NodeView& source, std::uint32_t begin,
                            std::uint32_t end) noexcept {
  ENGINE_CHECK(same_shape(*this, source));
  ENGINE_CHECK(to + (end - begin) <= max_entries());
  for (std::uint32_t i = begin; i < end; ++i)
    view_as<Le64>(mutable_.subspan(key_offset(to + i - begin), 8)) = source.key(i);
  const ConstBytes values = source.values(begin, end);
  if (!values.empty())
    std::memcpy(mutable_.data() + value_offset(to), values.data(), values.size());
}

void move_right(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept {
  ENGINE_CHECK(count <= left.nr_entries());
  ENGINE_CHECK(count <= right.nr_free());
  const std::uint32_t kept = left.nr_entries() - count;
  right.shift(0, count);
  right.copy_entries(0, left, kept, left.nr_entries());
  right.set_nr_entries(right.nr_entries() + count);
  left.set_nr_entries(kept);
}

void move_left(NodeEdit& left, NodeEdit& right, std::uint32_t count) noexcept {
  ENGINE_CHECK(count <= right.nr_entries());
  ENGINE_CHECK(count <= left.nr_free());
  left.copy_entries(left.nr_entries(), right, 0, count);
  left.set_nr_entries(left.nr_entries() + count);
  right.erase(0, count);
}

bool same_shape(const NodeView& a, const NodeView& b) noexcept {
  return a.leaf() == b.leaf() && a.value_size() == b.value_size() &&
         a.max_entries() == b.max_entries();
}

Result<void> check_neighbours(MetaBlock block, const NodeView& left, const NodeView& right) {
  if (!same_shape(left, right)) return fail(Errc::corrupt, block.value(), "unlike siblings");
  if (left.nr_entries() == 0 || right.nr_entries() == 0)
    return fail(Errc::corrupt, block.value(), "empty node below a root");
  if (left.key(left.nr_entries() - 1) >= right.key(0))
    return fail(Errc::corrupt, block.value(), "key order across nodes");
  return {};
}

}   // namespace engine::pdata
