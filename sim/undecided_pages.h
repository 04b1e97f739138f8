// What a power cut leaves of a disk, so that all of it can be visited: which of several contents
// some sectors hold is decided when that is first looked at, or at once.
//
// Only sectors whose contents would differ count, so most of a block that was rewritten does not.
// Deciding late saves images: as long as nobody looks at a sector, all its contents are one case
// (the idea of H. Gorjiara, G. Xu, B. Demsky, "Jaaru: efficiently model checking persistent memory
// programs", ASPLOS 2021).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "sim/disk_image.h"

namespace sim {

// Sectors that go to the disk as one, of which a cut may leave one of several contents.
struct LooseSectors {
  std::uint64_t sector = 0;
  std::uint32_t sectors = 0;
  // Each of so many sectors' bytes, all different; null: zeroes. The first is what reads saw, the
  // next what was safe, where that is another; then what is under way.
  std::vector<const std::byte*> contents = {};

  // Also `content` may be left, if that is not known yet.
  void may_be(const std::byte* content);
};

// What decides it, and how much of it at a time.
enum class CutLeaves : std::uint8_t {
  // An image drawn at random, by a few decisions.
  drawn,
  // A decision for each group of sectors, all of them when the power goes: every image.
  each_image,
  // A decision for each group of sectors, when the page that it is in is first looked at: every
  // image, but that those of which the same was seen are one.
  each_reading,
  // One decision, when any of the pages is first looked at: so many images that each group has each
  // of its contents in one of them. For disks of which nobody looks at two sectors together.
  each_content,
};

// The name of those decisions, for Execution::choose().
inline constexpr const char* kCutLeaves = "cut leaves";

// Shared by the copies of an image, which must all hold the same. Not thread-safe.
class UndecidedPages {
 public:
  // Execution::choose().
  using Choose = std::function<std::uint32_t(const char* what, std::uint32_t count)>;

  // `seen` is what reads saw; the contents are copied. No group may lie in two pages.
  UndecidedPages(const DiskImage& seen, const std::vector<LooseSectors>& loose, CutLeaves leaves,
                 Choose choose);

  // Of all pages with loose sectors, in order.
  [[nodiscard]] const std::vector<std::uint64_t>& numbers() const noexcept { return numbers_; }
  // What page `number` of those holds.
  [[nodiscard]] const PageRef& decide(std::uint64_t number);
  [[nodiscard]] bool is_decided(std::uint64_t number) const { return pages_.at(number).is_decided; }
  // How many images there are that agree in what has been decided; where one decision is for all,
  // each of its answers has its share of them. Infinity if they are that many.
  [[nodiscard]] double alike() const noexcept { return alike_; }

 private:
  struct Group {
    std::uint32_t first;   // sector of its page
    std::uint32_t sectors;
    std::vector<std::vector<std::byte>> contents;
  };
  struct Undecided {
    PageRef page;   // as reads saw it, until it is decided
    std::vector<Group> groups;
    bool is_decided = false;
  };
  [[nodiscard]] std::uint32_t which(const Group& group);

  std::vector<std::uint64_t> numbers_;
  std::map<std::uint64_t, Undecided> pages_;
  CutLeaves leaves_;
  Choose choose_;
  double alike_ = 1;
  std::uint32_t contents_most_ = 1;   // of any group
  std::uint32_t decision_ = 0;        // for all groups
  bool has_decision_ = false;
};

}   // namespace sim
