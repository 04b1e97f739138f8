#include "engine/pdata/array.h"

namespace engine::pdata {

Result<void> ArrayValidator::check_content(MetaBlock block, ConstBytes bytes) const {
  const ArrayBlockView view{bytes};
  if (view.value_size() == 0 || view.value_size() > kMetaBlockSize)
    return fail(Errc::corrupt, block.value(), "array block value_size");
  if (view.max_entries() == 0 || view.max_entries() > array_entries_for(view.value_size()))
    return fail(Errc::corrupt, block.value(), "array block max_entries");
  if (view.nr_entries() > view.max_entries())
    return fail(Errc::corrupt, block.value(), "array block nr_entries");
  return {};
}

void ArrayBlockEdit::init(std::uint32_t value_size, std::uint32_t max_entries) noexcept {
  ENGINE_CHECK(max_entries != 0);
  ENGINE_CHECK(max_entries <= array_entries_for(value_size));
  ArrayHeaderDisk& header = mutable_header();
  header.max_entries = max_entries;
  header.nr_entries = 0;
  header.value_size = value_size;
}

void ArrayBlockEdit::set_value(std::uint32_t slot, ConstBytes value) noexcept {
  ENGINE_CHECK(slot < nr_entries());
  ENGINE_CHECK(value.size() == value_size());
  std::memcpy(mutable_.subspan(offset(slot), value.size()).data(), value.data(), value.size());
}

void ArrayBlockEdit::resize(std::uint32_t nr_entries, ConstBytes value) noexcept {
  ENGINE_CHECK(nr_entries <= max_entries());
  const std::uint32_t before = this->nr_entries();
  mutable_header().nr_entries = nr_entries;
  for (std::uint32_t slot = before; slot < nr_entries; ++slot)
    set_value(slot, value);
  if (nr_entries < before)
    std::memset(mutable_.subspan(offset(nr_entries)).data(), 0,
                offset(before) - offset(nr_entries));
}

Result<void> ArrayBlockCounts::inc(ConstBytes values) {
  for (std::size_t at = 0; at < values.size(); at += 8)
    ENGINE_TRY(tm_.inc(MetaBlock{view_as<Le64>(values.subspan(at, 8)).value()}));
  return {};
}

Result<void> ArrayBlockCounts::dec(ConstBytes values) {
  for (std::size_t at = 0; at < values.size(); at += 8)
    ENGINE_TRY(tm_.dec(MetaBlock{view_as<Le64>(values.subspan(at, 8)).value()}));
  return {};
}

bool ArrayBlockCounts::equal(ConstBytes a, ConstBytes b) const noexcept {
  return view_as<Le64>(a).value() == view_as<Le64>(b).value();
}

ArrayBase::ArrayBase(TransactionManager& tm, std::uint32_t value_size,
                     const ArrayOptions& options) noexcept
    : tm_{tm},
      value_size_{value_size},
      capacity_{options.entries == 0 ? array_entries_for(value_size)
                                     : std::min(options.entries, array_entries_for(value_size))},
      counts_{tm},
      tree_{tm, {.fan_out = options.fan_out, .counts = &counts_}} {}

Result<void> ArrayBase::check_block(MetaBlock place, const ArrayBlockView& block,
                                    std::uint64_t entries) const {
  if (block.value_size() != value_size_)
    return fail(Errc::corrupt, place.value(), "value_size of another kind of array");
  if (block.max_entries() != capacity_)
    return fail(Errc::corrupt, place.value(), "array block capacity");
  if (block.nr_entries() < entries)
    return fail(Errc::corrupt, place.value(), "array block with too few entries");
  return {};
}

Result<ReadRef> ArrayBase::read_block(MetaBlock place, std::uint64_t entries) const {
  ENGINE_TRY_ASSIGN(ReadRef ref, tm_.read(place, kArrayValidator));
  ENGINE_TRY(check_block(place, ArrayBlockView{ref.bytes()}, entries));
  return ref;
}

Result<ReadRef> ArrayBase::find_block(MetaBlock root, std::uint64_t index,
                                      std::uint64_t entries) const {
  ENGINE_TRY_ASSIGN(const std::optional<Le64> place, tree_.lookup(root, index));
  if (!place) return fail(Errc::corrupt, root.value(), "array without an entry that it must have");
  return read_block(MetaBlock{place->value()}, entries);
}

Result<std::vector<MetaBlock>> ArrayBase::places(MetaBlock root, std::uint64_t begin,
                                                 std::uint64_t end) const {
  std::vector<MetaBlock> result;
  if (begin == end) return result;
  ENGINE_TRY(
      tree_.walk(root, begin, end, [&](std::uint64_t key, const Le64& place) -> Result<bool> {
        if (key != begin + result.size()) return false;
        result.push_back(MetaBlock{place.value()});
        return true;
      }));
  if (result.size() != end - begin)
    return fail(Errc::corrupt, root.value(), "array with a block missing");
  return result;
}

void ArrayBase::prefetch(std::span<const MetaBlock> places, std::size_t index) const {
  constexpr std::size_t kReadAhead = 32;
  const std::size_t end = std::min(places.size(), index + kReadAhead);
  for (std::size_t i = index == 0 ? 1 : index + kReadAhead - 1; i < end; ++i)
    tm_.prefetch(places[i], kArrayValidator);
}

// The tree first: should its leaf be shared, copying it counts the blocks once more, and only then
// is it right to say whether ours is shared.
Result<ArrayBase::Owned> ArrayBase::own_block(MetaBlock root, std::uint64_t index) {
  auto entry = tree_.own(root, index);
  if (!entry) {
    if (entry.error().code != Errc::not_found) return Failure{entry.error()};
    return fail(Errc::corrupt, root.value(), "array without an entry that it must have");
  }
  const MetaBlock place{entry->value().value()};
  ENGINE_TRY_ASSIGN(TransactionManager::Shadow shadow, tm_.shadow(place, kArrayValidator));
  ENGINE_TRY(check_block(place, ArrayBlockView{shadow.ref.bytes()}, 0));
  entry->value() = shadow.ref.block().value();
  return Owned{entry->root(), std::move(shadow.ref)};
}

Result<std::uint64_t> ArrayBase::stored_size(MetaBlock root) const {
  ENGINE_TRY_ASSIGN(const std::optional<std::uint64_t> last, tree_.highest_key(root));
  if (!last) return std::uint64_t{0};
  // Far more than any array of ours; also keeps the product below in range.
  if (*last > UINT32_MAX) return fail(Errc::corrupt, root.value(), "array too long");
  ENGINE_TRY_ASSIGN(const ReadRef ref, find_block(root, *last, 0));
  return *last * capacity_ + ArrayBlockView{ref.bytes()}.nr_entries();
}

Result<MetaBlock> ArrayBase::set_bytes(MetaBlock root, std::uint64_t index, ConstBytes value) {
  const auto slot = static_cast<std::uint32_t>(index % capacity_);
  ENGINE_TRY_ASSIGN(Owned owned, own_block(root, index / capacity_));
  ArrayBlockEdit block{owned.ref.bytes()};
  ENGINE_TRY(check_block(owned.ref.block(), block, slot + 1));
  block.set_value(slot, value);
  return owned.root;
}

// Leaves `size` entries of an array that has at least as many.
Result<MetaBlock> ArrayBase::cut(MetaBlock root, std::uint64_t size) {
  const std::uint64_t blocks = div_ceil(size, capacity_);
  ENGINE_TRY_ASSIGN(const std::optional<std::uint64_t> last, tree_.highest_key(root));
  if (last && *last >= blocks) {
    ENGINE_TRY_ASSIGN(const auto removed, tree_.remove_range(root, blocks, UINT64_MAX));
    root = removed.root;
  }
  if (blocks == 0) return root;
  const std::uint64_t rest = size - (blocks - 1) * capacity_;
  {
    ENGINE_TRY_ASSIGN(const ReadRef ref, find_block(root, blocks - 1, rest));
    if (ArrayBlockView{ref.bytes()}.nr_entries() == rest) return root;
  }
  ENGINE_TRY_ASSIGN(Owned owned, own_block(root, blocks - 1));
  ArrayBlockEdit{owned.ref.bytes()}.resize(static_cast<std::uint32_t>(rest), {});
  return owned.root;
}

Result<MetaBlock> ArrayBase::extend(MetaBlock root, std::uint64_t from, std::uint64_t to,
                                    ConstBytes value) {
  const auto entries_of = [&](std::uint64_t index) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(capacity_, to - index * capacity_));
  };
  if (from == to) return root;
  if (from % capacity_ != 0) {
    const std::uint64_t tail = from / capacity_;
    ENGINE_TRY_ASSIGN(Owned owned, own_block(root, tail));
    root = owned.root;
    ArrayBlockEdit{owned.ref.bytes()}.resize(entries_of(tail), value);
  }
  for (std::uint64_t index = div_ceil(from, capacity_); index < div_ceil(to, capacity_); ++index) {
    Le64 place;
    {
      ENGINE_TRY_ASSIGN(WriteRef ref, tm_.new_block(kArrayValidator));
      ArrayBlockEdit block{ref.bytes()};
      block.init(value_size_, capacity_);
      block.resize(entries_of(index), value);
      place = ref.block().value();
    }
    ENGINE_TRY_ASSIGN(const auto inserted, tree_.insert(root, index, place));
    if (!inserted.added) return fail(Errc::corrupt, place.value(), "array block out of order");
    root = inserted.root;
  }
  return root;
}

Result<MetaBlock> ArrayBase::resize_bytes(MetaBlock root, std::uint64_t from, std::uint64_t to,
                                          ConstBytes value) {
  ENGINE_CHECK(value.size() == value_size_);
  // Also where it only grows: what is stored past its end must not come back to life.
  ENGINE_TRY_ASSIGN(root, cut(root, std::min(from, to)));
  return extend(root, std::min(from, to), to, value);
}

}   // namespace engine::pdata
