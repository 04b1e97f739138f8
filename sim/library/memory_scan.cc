#include "sim/library/memory_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sim {
namespace {

constexpr std::uintptr_t kPage = 4096;
// Of so much, most may never have been used.
constexpr std::uintptr_t kReservation = std::uintptr_t{1} << 30U;
constexpr std::uint64_t kPagesMost = (std::uint64_t{2} << 30U) / kPage;   // a second's work

constexpr std::size_t kWord = sizeof(std::uintptr_t);
// Of a pointer; the rest may be a tag. Least first, as below.
constexpr std::size_t kPointer = 6;
static_assert(std::endian::native == std::endian::little);

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool is_shared = false;
};

// At whole words only, or at each byte for a pointer and at what is shared.
enum class Look : bool { brief, close };

// What of this process can be written and counts.
std::optional<std::vector<Range>> writable(StackUse stacks) {
  const std::uintptr_t callers = stacks.callers;
  std::vector<Range> ranges;
  std::ifstream maps{"/proc/self/maps"};
  std::string line;
  Range guard;   // the mapping before, if nobody may touch it
  while (std::getline(maps, line)) {
    Range range;
    const char* const end = line.data() + line.size();
    const auto first = std::from_chars(line.data(), end, range.begin, 16);
    if (first.ec != std::errc{} || first.ptr == end) return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, end, range.end, 16);
    if (second.ec != std::errc{} || end - second.ptr < 5) return std::nullopt;
    const std::string_view rights{second.ptr + 1, 4};
    if (range.begin <= callers && callers < range.end) {
      range.begin = callers;
    } else if (guard.end == range.begin && guard.end - guard.begin == kPage) {
      range.begin += std::min<std::uintptr_t>(stacks.fiber_bytes, range.end - range.begin);
    }
    range.is_shared = rights == "rw-s";
    if ((range.is_shared || rights == "rw-p") && range.begin != range.end) ranges.push_back(range);
    guard = rights == "---p" ? range : Range{};
  }
  if (!maps.eof() || ranges.empty()) return std::nullopt;
  return ranges;
}

// Of pages as mincore() tells them, the first from there on that is in use. Most are not.
std::size_t next_used(std::span<const unsigned char> pages, std::size_t from) {
  for (; from < pages.size(); ++from) {
    std::uint64_t some = 0;
    for (; from + sizeof some <= pages.size(); from += sizeof some) {
      std::memcpy(&some, &pages[from], sizeof some);
      if ((some & 0x0101010101010101U) != 0) break;
    }
    if (from < pages.size() && (pages[from] & 1U) != 0) return from;
  }
  return pages.size();
}

class Scan {
 public:
  Scan(const ProgramHeap& heap, const std::vector<ProgramHeap::Block>& blocks, Look look)
      : begin_{heap.begin()},
        end_{heap.end()},
        blocks_{blocks},
        look_{look},
        lost_(blocks.size(), true) {}
  ~Scan() {
    if (memory_ >= 0) close(memory_);
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // False: memory cannot be read.
  bool look_through(const std::vector<Range>& ranges, std::uint32_t run) {
    memory_ = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (memory_ < 0) return false;
    for (const Range& range : ranges) {
      if (range.begin >= begin_ && range.begin < end_) continue;
      if (range.is_shared && look_ == Look::brief) continue;
      // To read a page of what is shared may be to make it.
      if (!range.is_shared && range.end - range.begin < kReservation) {
        look_at(range);
      } else if (!look_at_pages(range)) {
        return false;
      }
    }
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].run != run) keep(i);
    }
    // What is pointed to may point to others.
    while (!found_.empty()) {
      const ProgramHeap::Block& block = blocks_[found_.back()];
      found_.pop_back();
      look_at({begin_ + block.offset, begin_ + block.offset + block.room});
    }
    return true;
  }
  [[nodiscard]] std::vector<bool> lost() && { return std::move(lost_); }

 private:
  // Those that are in use. False: there are so many that it takes too long.
  bool look_at_pages(Range range) {
    constexpr std::uintptr_t kWindow = 4096 * kPage;
    std::array<unsigned char, 4096> used{};
    std::uintptr_t window = range.begin / kPage * kPage;
    for (; window < range.end; window += kWindow) {
      const std::uintptr_t end =
          std::min(window + kWindow, (range.end + kPage - 1) / kPage * kPage);
      if (mincore(reinterpret_cast<void*>(window), end - window, used.data()) != 0) continue;
      const std::span pages{used.data(), (end - window) / kPage};
      for (std::size_t i = next_used(pages, 0); i < pages.size(); i = next_used(pages, i + 1)) {
        if (++pages_ > kPagesMost) return false;
        const std::uintptr_t page = window + i * kPage;
        look_at({std::max(page, range.begin), std::min(page + kPage, range.end)});
      }
    }
    return true;
  }

  // Other threads may unmap it meanwhile, so it is read as a file is.
  void look_at(Range range) {
    if (look_ == Look::brief) {
      look_at_words(range);
    } else {
      look_at_bytes(range);
    }
  }

  void look_at_words(Range range) {
    std::array<std::uintptr_t, kPage / kWord> words{};
    std::uintptr_t at = (range.begin + kWord - 1) / kWord * kWord;
    while (at + kWord <= range.end) {
      const std::size_t wanted = std::min(sizeof words, (range.end - at) / kWord * kWord);
      const ssize_t got = pread(memory_, words.data(), wanted, static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(kWord)) return;
      const std::size_t count = static_cast<std::size_t>(got) / kWord;
      at += count * kWord;
      for (std::size_t i = 0; i < count; ++i) {
        if (words[i] - begin_ < end_ - begin_) look_up(words[i] - begin_);
      }
    }
  }

  void look_at_bytes(Range range) {
    std::array<unsigned char, kPage + kPointer> bytes{};
    for (std::uintptr_t at = range.begin; at + kPointer <= range.end;) {
      const std::size_t wanted = std::min(bytes.size(), range.end - at);
      const ssize_t got = pread(memory_, bytes.data(), wanted, static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(kPointer)) return;
      const auto count = static_cast<std::size_t>(got);
      look_at_bytes(bytes.data(), bytes.data() + count);
      at += count - (kPointer - 1);
    }
  }

  // By the highest byte of a pointer, which may be one of two.
  void look_at_bytes(const unsigned char* begin, const unsigned char* end) {
    constexpr std::size_t kHighest = kPointer - 1;
    constexpr unsigned kShift = 8 * kHighest;
    for (std::uintptr_t top = begin_ >> kShift; top <= (end_ - 1) >> kShift; ++top) {
      const unsigned char* at = begin + kHighest;
      while (at < end) {
        at = static_cast<const unsigned char*>(
            std::memchr(at, static_cast<int>(top), static_cast<std::size_t>(end - at)));
        if (at == nullptr) break;
        std::uintptr_t pointer = 0;
        std::memcpy(&pointer, at - kHighest, kPointer);
        if (pointer - begin_ < end_ - begin_) look_up(pointer - begin_);
        ++at;
      }
    }
  }

  void look_up(std::size_t offset) {
    const auto after = std::upper_bound(
        blocks_.begin(), blocks_.end(), offset,
        [](std::size_t at, const ProgramHeap::Block& block) { return at < block.offset; });
    if (after == blocks_.begin()) return;
    const auto block = std::prev(after);
    if (offset - block->offset < block->room)
      keep(static_cast<std::size_t>(block - blocks_.begin()));
  }

  void keep(std::size_t block) {
    if (!lost_[block]) return;
    lost_[block] = false;
    found_.push_back(block);
  }

  const std::uintptr_t begin_;
  const std::uintptr_t end_;
  const std::vector<ProgramHeap::Block>& blocks_;
  const Look look_;
  std::vector<bool> lost_;
  std::vector<std::size_t> found_;   // blocks whose contents have to be looked at
  std::uint64_t pages_ = 0;          // looked at
  int memory_ = -1;
};

}   // namespace

std::vector<ProgramHeap::Block> lost_of(const ProgramHeap& heap, std::uint32_t run,
                                        StackUse stacks) {
  const auto ranges = writable(stacks);
  if (!ranges) return {};
  const std::vector<ProgramHeap::Block> blocks = heap.blocks();
  std::vector<ProgramHeap::Block> lost;
  for (const Look look : {Look::brief, Look::close}) {
    Scan scan{heap, blocks, look};
    if (!scan.look_through(*ranges, run)) return {};
    const std::vector<bool> are_lost = std::move(scan).lost();
    lost.clear();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (are_lost[i]) lost.push_back(blocks[i]);
    }
    if (lost.empty()) return {};
  }
  std::sort(lost.begin(), lost.end(),
            [](const auto& a, const auto& b) { return a.ordinal < b.ordinal; });
  return lost;
}

}   // namespace sim
