// The contents of a simulated disk, as sparse 4 KiB pages that images share until written.
//
// A page that is absent reads as zeroes. Copying an image costs a reference per page. What some
// pages hold may be left undecided until somebody looks (undecided_pages.h). Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "engine/base/bytes.h"
#include "engine/base/sanitizers.h"
#include "engine/base/units.h"

namespace sim {

inline constexpr std::uint32_t kPageSize = 4096;
inline constexpr std::uint32_t kPageSectors = kPageSize / engine::kSectorSize;

struct Page {   // NOLINT(cppcoreguidelines-pro-type-member-init)
  std::uint32_t references = 0;
  std::array<std::byte, kPageSize> bytes;   // all of it is written when a page is made
#if !WAVETANK_ASAN && !WAVETANK_TSAN
  // From a pool of their own: each execution makes many and drops them, among those that images
  // keep for longer, and a heap would have to part and join its chunks each time.
  static void* operator new(std::size_t size);
  static void operator delete(void* memory) noexcept;
#endif
  friend void intrusive_ptr_add_ref(Page* page) noexcept { ++page->references; }
  friend void intrusive_ptr_release(Page* page) noexcept {
    if (--page->references == 0) delete page;
  }
};
using PageRef = boost::intrusive_ptr<Page>;   // null: zeroes

// Copies what lies from `sector` on. `page_of(number)` is a page, or null for one of zeroes.
template <typename PageOf>
void read_pages(engine::Sector sector, engine::MutableBytes bytes, PageOf page_of) noexcept {
  std::uint64_t at = sector.value() * engine::kSectorSize;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t offset = at % kPageSize;
    const std::size_t part = std::min<std::size_t>(bytes.size() - done, kPageSize - offset);
    if (const Page* const from = page_of(at / kPageSize)) {
      std::memcpy(bytes.data() + done, from->bytes.data() + offset, part);
    } else {
      std::memset(bytes.data() + done, 0, part);
    }
    done += part;
    at += part;
  }
}

// A map from page number to page that is quick to make, to look into and to clear.
class PageTable {
 public:
  struct Entry {
    std::uint64_t number;
    PageRef page;
  };
  [[nodiscard]] const Entry* find(std::uint64_t number) const noexcept;
  [[nodiscard]] Entry* find(std::uint64_t number) noexcept;
  // The entry of `number`, made if need be; `made` says so. Valid until the next put().
  Entry& put(std::uint64_t number, bool* made = nullptr);
  void clear() noexcept;
  // In the order in which they were made.
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] std::vector<Entry>& entries() noexcept { return entries_; }

 private:
  [[nodiscard]] std::size_t bucket(std::uint64_t number) const noexcept;
  void grow();
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> buckets_;   // 1 + index of an entry, 0 for none; a power of two
};

class UndecidedPages;

class DiskImage {
 public:
  explicit DiskImage(std::uint64_t sector_count = 0) noexcept : sectors_{sector_count} {}

  [[nodiscard]] std::uint64_t sectors() const noexcept { return sectors_; }
  // The tail beyond a smaller size is lost.
  void resize(std::uint64_t sector_count);
  // Whole sectors, within the image.
  void read(engine::Sector sector, engine::MutableBytes bytes) const noexcept;
  void write(engine::Sector sector, engine::ConstBytes bytes);

  [[nodiscard]] const Page* page(std::uint64_t number) const noexcept {
    if (undecided_) decide(number);
    const PageTable::Entry* const entry = pages_.find(number);
    return entry != nullptr ? entry->page.get() : nullptr;
  }
  // Where page `number` is kept, to be replaced. Valid until the next call.
  [[nodiscard]] PageRef& place(std::uint64_t number) {
    if (undecided_) decide(number);
    return pages_.put(number).page;
  }
  // Undecided ones as reads saw them.
  [[nodiscard]] const PageTable& pages() const noexcept { return pages_; }
  // Of all contents, but of pages that are undecided; the same for equal contents, however they
  // came about.
  [[nodiscard]] std::uint64_t digest() const;

  // Of these pages it is not known yet what they hold. None was undecided before.
  void leave_undecided(std::shared_ptr<UndecidedPages> pages);
  [[nodiscard]] bool was_undecided() const noexcept { return undecided_ != nullptr; }
  // Has pages() show, and digest() count, what looks at copies of this image have decided.
  void see_decided() const;
  // How many images this one stands for: UndecidedPages::alike(), 1 if nothing was undecided.
  [[nodiscard]] double alike() const noexcept;

 private:
  void decide(std::uint64_t number) const;

  std::uint64_t sectors_;
  // Looking at an undecided page decides it, which nobody who has looked before can tell.
  mutable PageTable pages_;
  std::shared_ptr<UndecidedPages> undecided_ = {};            // shared with copies; mostly null
  mutable std::vector<std::uint64_t> still_undecided_ = {};   // here, in order
};

using DiskImageRef = std::shared_ptr<const DiskImage>;

}   // namespace sim
