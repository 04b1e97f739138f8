#include "checkers/image/thin_space_map.h"

#include <algorithm>

#include <fmt/format.h>

namespace checkers::image {
namespace {

using thin_format::kEntriesPerBitmap;

IndexEntry parse_entry(const std::byte* bytes, Pointer from) {
  constexpr auto& kFields = thin_format::kIndexEntryFields;
  IndexEntry entry;
  entry.from = from;
  entry.bitmap = thin_format::load64(bytes, thin_format::at(kFields, "bitmap"));
  entry.nr_free = thin_format::load32(bytes, thin_format::at(kFields, "nr_free"));
  entry.none_free_before = thin_format::load32(bytes, thin_format::at(kFields, "none_free_before"));
  return entry;
}

struct IndexVisitor {
  std::vector<IndexEntry>& index;
  Findings& findings;

  void leaf(const NodeView& node, std::uint64_t block, const NodeInfo&, ThinImage::Counted) {
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      // Entry i must be bitmap i; what does not follow on from the last is of no use.
      if (node.key(i) != index.size()) {
        findings.add(Rule::index_keys, Severity::fatal, block, fmt::format("keys[{}]", i),
                     fmt::format("{}", node.key(i)), fmt::format("{}", index.size()));
        if (node.key(i) < index.size()) continue;
        return;
      }
      index.push_back(parse_entry(node.value(i), {block, "values", i}));
    }
  }
  void again(const NodeInfo&, std::uint64_t) {}
};

struct OverflowVisitor {
  std::vector<std::pair<std::uint64_t, std::uint32_t>>& overflow;
  Findings& findings;
  std::uint64_t nr_blocks = 0;
  bool ordered{true};

  void leaf(const NodeView& node, std::uint64_t block, const NodeInfo&, ThinImage::Counted) {
    for (std::uint32_t i = 0; i < node.nr; ++i) {
      const std::uint64_t key = node.key(i);
      const std::uint32_t value = thin_format::load32(node.value(i), 0);
      if (key >= nr_blocks) {
        findings.add(Rule::overflow, Severity::fatal, block, fmt::format("keys[{}]", i),
                     fmt::format("{}", key), fmt::format("below {}", nr_blocks));
        continue;
      }
      if (value < thin_format::kOverflowLeast) {
        findings.add(Rule::overflow, Severity::fatal, block, fmt::format("values[{}]", i),
                     fmt::format("{}", value), "at least 3");
      }
      if (!overflow.empty() && key <= overflow.back().first) {
        ordered = false;
        continue;
      }
      overflow.emplace_back(key, value);
    }
  }
  void again(const NodeInfo&, std::uint64_t) {}
};

}   // namespace

void ThinSpaceMap::load(const SpaceMapRoot& root, std::uint64_t super) {
  root_ = root;
  super_ = super;
  allocated_ = 0;
  counted_all_ = true;
  freed_unsaid_.reset();
  overflow_complete_ = true;
  index_.clear();
  overflow_.clear();
  if (kind_ == Kind::metadata) {
    load_metadata_index();
  } else {
    load_data_index();
  }
  const std::uint64_t needed =
      root_.nr_blocks / kEntriesPerBitmap + (root_.nr_blocks % kEntriesPerBitmap != 0 ? 1 : 0);
  if (index_.size() != needed) {
    image_.findings().add(
        Rule::index_keys, Severity::fatal, super_,
        root_field("metadata_space_map_root.bitmap_root", "data_space_map_root.bitmap_root"),
        fmt::format("{} bitmaps", index_.size()),
        fmt::format("{} for {} blocks", needed, root_.nr_blocks));
    counted_all_ = false;
  }
  for (std::size_t i = 0; i < index_.size() && i < needed; ++i)
    enter_bitmap(index_[i]);
  load_overflow();
}

void ThinSpaceMap::load_metadata_index() {
  const Pointer from{super_, "metadata_space_map_root.bitmap_root"};
  const std::uint64_t block = root_.bitmap_root;
  const auto entry = image_.enter(block, BlockType::metadata_index, from, ThinImage::Counted::yes);
  if (entry == ThinImage::Entry::refused) return;
  const std::byte* bytes = image_.load(block, BlockType::metadata_index, 0);
  if (bytes == nullptr) return;
  if (thin_format::load32(bytes, 4) != 0) {
    image_.findings().add(Rule::index_keys, Severity::warn, block, "padding", "not 0", "0");
  }
  const std::uint64_t needed =
      (std::min(root_.nr_blocks, thin_format::kMetadataBlocksMax) + kEntriesPerBitmap - 1) /
      kEntriesPerBitmap;
  for (std::uint64_t i = 0; i < thin_format::kMetadataIndexEntries; ++i) {
    const std::byte* at = bytes + 16 + 16 * i;
    if (i < needed) {
      index_.push_back(parse_entry(at, {block, "index", i}));
    } else if (thin_format::load64(at, 0) != 0 || thin_format::load64(at, 8) != 0) {
      image_.findings().add(Rule::index_keys, Severity::warn, block, fmt::format("index[{}]", i),
                            "not zero", fmt::format("zero from entry {} on", needed));
    }
  }
}

void ThinSpaceMap::load_data_index() {
  IndexVisitor visitor{index_, image_.findings()};
  const TreeSpec tree{BlockType::data_index, 16, Sharing::none, 0};
  walk_.walk(tree, visitor, root_.bitmap_root, {super_, "data_space_map_root.bitmap_root"},
             ThinImage::Counted::yes);
}

void ThinSpaceMap::load_overflow() {
  const bool before = image_.complete();
  image_.set_complete(true);
  OverflowVisitor visitor{overflow_, image_.findings(), root_.nr_blocks};
  const BlockType type =
      kind_ == Kind::metadata ? BlockType::metadata_overflow : BlockType::data_overflow;
  const Pointer from{super_, root_field("metadata_space_map_root.ref_count_root",
                                        "data_space_map_root.ref_count_root")};
  walk_.walk({type, 4, Sharing::none, 0}, visitor, root_.ref_count_root, from,
             ThinImage::Counted::yes);
  overflow_complete_ = image_.complete() && visitor.ordered;
  image_.set_complete(before && image_.complete());
}

void ThinSpaceMap::enter_bitmap(IndexEntry& entry) {
  const BlockType type =
      kind_ == Kind::metadata ? BlockType::metadata_bitmap : BlockType::data_bitmap;
  const auto entered = image_.enter(entry.bitmap, type, entry.from, ThinImage::Counted::yes);
  entry.usable = entered == ThinImage::Entry::first;
  if (entered == ThinImage::Entry::again) {
    image_.findings().add(Rule::reached_twice, Severity::fatal, entry.from.block, entry.from.text(),
                          fmt::format("block {}, the bitmap of another entry", entry.bitmap),
                          "a bitmap of its own");
  }
}

std::uint64_t ThinSpaceMap::capacity() const {
  // The index has been read, so that its size is bounded by the image's.
  std::uint64_t blocks =
      std::min<std::uint64_t>(root_.nr_blocks, index_.size() * kEntriesPerBitmap);
  if (kind_ == Kind::metadata) blocks = std::min(blocks, image_.nr_blocks());
  return blocks;
}

bool ThinSpaceMap::overflow_count(std::uint64_t block, std::uint64_t bitmap, std::uint64_t& count) {
  if (!overflow_complete_) return false;
  skip_overflow(block, bitmap);
  if (overflow_next_ < overflow_.size() && overflow_[overflow_next_].first == block) {
    count = overflow_[overflow_next_++].second;
    return true;
  }
  image_.findings().add(Rule::overflow, Severity::fatal, bitmap,
                        fmt::format("pair of {} block {}", root_field("metadata", "data"), block),
                        "11", "an entry in the overflow tree as well");
  return false;
}

// Overflow entries below `end` that no pair 11 asked for.
void ThinSpaceMap::skip_overflow(std::uint64_t end, std::uint64_t bitmap) {
  if (!overflow_complete_) return;
  for (; overflow_next_ < overflow_.size() && overflow_[overflow_next_].first < end;
       ++overflow_next_) {
    const auto& [block, value] = overflow_[overflow_next_];
    image_.findings().add(Rule::overflow, Severity::fatal, bitmap,
                          fmt::format("pair of {} block {}", root_field("metadata", "data"), block),
                          "not 11", fmt::format("11, as the overflow tree says {}", value));
  }
}

void ThinSpaceMap::differ(std::uint64_t block, std::uint64_t bitmap, std::uint64_t stored,
                          std::uint64_t refs) {
  const bool low = stored < refs;
  // With parts of the trees unseen, what was found is only a lower bound.
  if (!low && !image_.complete()) return;
  const bool metadata = kind_ == Kind::metadata;
  const Rule rule = low ? (metadata ? Rule::metadata_count_low : Rule::data_count_low)
                        : (metadata ? Rule::metadata_count_high : Rule::data_count_high);
  const Severity severity = low ? Severity::fatal : Severity::leak;
  if (!image_.findings().keeps(rule, severity)) {
    image_.findings().count(rule, severity);
    return;
  }
  image_.findings().add(
      rule, severity, bitmap,
      fmt::format("reference count of {} block {}", metadata ? "metadata" : "data", block),
      fmt::format("{}", stored), fmt::format("{}", refs));
}

void ThinSpaceMap::check_tail(const std::byte* bytes, std::uint64_t bitmap, std::uint64_t from) {
  for (std::uint64_t i = from; i < kEntriesPerBitmap; ++i) {
    if (i % 32 == 0) {
      while (i + 32 <= kEntriesPerBitmap && thin_format::load64(bytes, 16 + i / 4) == 0)
        i += 32;
      if (i >= kEntriesPerBitmap) return;
    }
    if (thin_format::pair_at(bytes, i) == 0) continue;
    image_.findings().add(Rule::bitmap_tail, Severity::warn, bitmap, fmt::format("pair {}", i),
                          fmt::format("{}", thin_format::pair_at(bytes, i)),
                          fmt::format("0 beyond the {} blocks it covers", from));
    return;
  }
}

void ThinSpaceMap::check_entry(std::uint64_t number, const IndexEntry& entry, const Tally& tally) {
  const std::uint64_t covered =
      std::min(root_.nr_blocks - number * kEntriesPerBitmap, kEntriesPerBitmap);
  const std::uint64_t free = kEntriesPerBitmap - tally.used;
  const std::uint64_t truncated = covered - std::min(tally.used, covered);
  const std::uint64_t first_free = std::min(tally.first_free, kEntriesPerBitmap);
  const bool hides = entry.none_free_before > first_free;
  if (hides && kind_ == Kind::metadata && !freed_unsaid_ &&
      entry.none_free_before <= std::min(tally.second_free, kEntriesPerBitmap)) {
    const bool free_known = entry.nr_free == free || entry.nr_free == truncated;
    if (free_known || entry.nr_free + 1 == free || entry.nr_free + 1 == truncated) {
      freed_unsaid_ = FreedUnsaid{entry, free, first_free};
      return;   // judged with the totals
    }
  }
  if (entry.nr_free != free) {
    // The last bitmap as thin_restore 0.9.0 leaves it; the kernel then loses space on growing.
    total(entry.nr_free == truncated ? Severity::warn : Severity::repairable, entry.from.block,
          entry.from.text() + ".nr_free", entry.nr_free, fmt::format("{}", free));
  }
  if (hides) {
    total(Severity::repairable, entry.from.block, entry.from.text() + ".none_free_before",
          entry.none_free_before, fmt::format("at most {}", first_free));
  }
}

void ThinSpaceMap::check_totals() {
  const bool one_more = counted_all_ && root_.nr_allocated == allocated_ + 1;
  const Severity severity = freed_unsaid_ && one_more ? Severity::warn : Severity::repairable;
  if (freed_unsaid_) {
    const auto& [entry, free, first_free] = *freed_unsaid_;
    if (entry.nr_free != free) {
      total(severity, entry.from.block, entry.from.text() + ".nr_free", entry.nr_free,
            fmt::format("{}", free));
    }
    total(severity, entry.from.block, entry.from.text() + ".none_free_before",
          entry.none_free_before, fmt::format("at most {}", first_free));
  }
  if (!counted_all_ || root_.nr_allocated == allocated_) return;
  total(severity, super_,
        root_field("metadata_space_map_root.nr_allocated", "data_space_map_root.nr_allocated"),
        root_.nr_allocated, fmt::format("{}", allocated_));
}

void ThinSpaceMap::total(Severity severity, std::uint64_t block, std::string field,
                         std::uint64_t found, std::string expected) {
  image_.findings().add(Rule::space_map_totals, severity, block, std::move(field),
                        fmt::format("{}", found), std::move(expected));
}

}   // namespace checkers::image
