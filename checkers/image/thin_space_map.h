// One space map of an image: reads where its bitmaps lie and its overflow tree while the trees are
// walked, and at the end compares every stored count with the references that were found.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkers/image/thin_image.h"
#include "checkers/image/thin_walk.h"

namespace checkers::image {

struct IndexEntry {
  Pointer from;              // where the entry lies
  std::uint64_t bitmap{0};   // block number
  std::uint32_t nr_free{0};
  std::uint32_t none_free_before{0};
  bool usable{false};   // the bitmap was entered and may be read
};

// What the walks counted of metadata blocks, for ThinSpaceMap::compare().
struct MetadataRefs {
  const ThinImage& image;

  [[nodiscard]] std::uint64_t refs(std::uint64_t block) const { return image.refs(block); }
  void extra(std::uint64_t) {}
};

class ThinSpaceMap {
 public:
  enum class Kind : std::uint8_t { metadata, data };

  ThinSpaceMap(ThinImage& image, TreeWalk& walk, Kind kind)
      : image_{image}, walk_{walk}, kind_{kind} {}

  // Reads index and overflow tree; `super` is where the root lies.
  void load(const SpaceMapRoot& root, std::uint64_t super);

  // Blocks whose counts the bitmaps can hold: never more than nr_blocks.
  [[nodiscard]] std::uint64_t capacity() const;
  [[nodiscard]] std::uint64_t nr_blocks() const { return root_.nr_blocks; }
  // Blocks with a stored count above zero; exact after compare().
  [[nodiscard]] std::uint64_t allocated() const { return allocated_; }

  // Refs: `std::uint64_t refs(block)` and `void extra(block)`, called for every block.
  template <typename Refs>
  void compare(Refs& refs);

 private:
  // What one bitmap says in total, for comparison with its index entry.
  struct Tally {
    std::uint64_t used{0};
    std::uint64_t first_free{~std::uint64_t{0}};
    std::uint64_t second_free{~std::uint64_t{0}};
  };

  // thin_restore 0.9.0 frees one metadata block without correcting the totals: the bitmap that has
  // it hides it, and nr_allocated counts it. Accepted, if all agree.
  struct FreedUnsaid {
    IndexEntry entry;
    std::uint64_t free;
    std::uint64_t first_free;
  };

  void load_metadata_index();
  void load_data_index();
  void load_overflow();
  void enter_bitmap(IndexEntry& entry);

  [[nodiscard]] const char* root_field(const char* metadata, const char* data) const {
    return kind_ == Kind::metadata ? metadata : data;
  }
  // The true stored count of a block whose pair is 11; false when it cannot be told.
  bool overflow_count(std::uint64_t block, std::uint64_t bitmap, std::uint64_t& count);
  void skip_overflow(std::uint64_t end, std::uint64_t bitmap);
  void differ(std::uint64_t block, std::uint64_t bitmap, std::uint64_t stored, std::uint64_t refs);
  void check_tail(const std::byte* bytes, std::uint64_t bitmap, std::uint64_t from);
  void check_entry(std::uint64_t number, const IndexEntry& entry, const Tally& tally);
  void check_totals();
  void total(Severity severity, std::uint64_t block, std::string field, std::uint64_t found,
             std::string expected);

  ThinImage& image_;
  TreeWalk& walk_;
  Kind kind_;
  SpaceMapRoot root_;
  std::uint64_t super_{0};
  std::uint64_t allocated_{0};
  std::optional<FreedUnsaid> freed_unsaid_;
  bool counted_all_{true};
  bool overflow_complete_{true};
  std::size_t overflow_next_{0};
  std::vector<IndexEntry> index_;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> overflow_;
};

template <typename Refs>
void ThinSpaceMap::compare(Refs& refs) {
  const std::uint64_t end = capacity();
  overflow_next_ = 0;
  for (std::uint64_t number = 0; number < index_.size(); ++number) {
    const IndexEntry& entry = index_[number];
    const std::uint64_t base = number * thin_format::kEntriesPerBitmap;
    if (base >= end) break;
    const std::uint64_t count = std::min(end - base, thin_format::kEntriesPerBitmap);
    const BlockType type =
        kind_ == Kind::metadata ? BlockType::metadata_bitmap : BlockType::data_bitmap;
    const std::byte* bytes = entry.usable ? image_.load(entry.bitmap, type, 0) : nullptr;
    if (bytes == nullptr) {
      counted_all_ = false;
      while (overflow_next_ < overflow_.size() && overflow_[overflow_next_].first < base + count) {
        ++overflow_next_;
      }
      continue;
    }
    Tally tally;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t block = base + i;
      const unsigned pair = thin_format::pair_at(bytes, i);
      const std::uint64_t found = refs.refs(block);
      refs.extra(block);
      if (pair == 0) {
        if (tally.first_free == ~std::uint64_t{0}) {
          tally.first_free = i;
        } else if (tally.second_free == ~std::uint64_t{0}) {
          tally.second_free = i;
        }
      } else {
        ++tally.used;
      }
      if (pair < thin_format::kOverflowLeast && pair == found) [[likely]]
        continue;
      std::uint64_t stored = pair;
      if (pair == thin_format::kOverflowLeast && !overflow_count(block, entry.bitmap, stored)) {
        continue;
      }
      if (stored != found) differ(block, entry.bitmap, stored, found);
    }
    skip_overflow(base + count, entry.bitmap);
    if (thin_format::load32(bytes, 4) != 0) {
      image_.findings().add(Rule::bitmap_tail, Severity::warn, entry.bitmap, "unused", "not 0",
                            "0");
    }
    check_tail(bytes, entry.bitmap, count);
    allocated_ += tally.used;
    check_entry(number, entry, tally);
  }
  check_totals();
}

}   // namespace checkers::image
