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
// From here on it is asked which pages are in use before they are read.
constexpr std::uintptr_t kSparse = std::uintptr_t{1} << 20U;
constexpr std::uint64_t kPagesMost = (std::uint64_t{2} << 30U) / kPage;   // a second's work

constexpr std::size_t kWord = sizeof(std::uintptr_t);
// Of a pointer; the rest may be a tag. Least first, as below.
constexpr std::size_t kPointer = 6;
static_assert(std::endian::native == std::endian::little);

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool is_shared = false;
  bool is_writable = true;   // else it may have been: what nobody has written to does not count
};

// At whole words only; or at each byte for a pointer, and also at what is shared or can no longer
// be written.
enum class Scrutiny : bool { brief, close };

// What of this process can be read and counts.
std::optional<std::vector<Range>> readable(StackUse stacks) {
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
    range.is_shared = rights[3] == 's';
    range.is_writable = rights[1] == 'w';   // which this processor lets read as well
    if (range.begin <= callers && callers < range.end) {
      range.begin = callers;
    } else if (range.is_writable && guard.end == range.begin && guard.end - guard.begin == kPage) {
      range.begin += std::min<std::uintptr_t>(stacks.fiber_bytes, range.end - range.begin);
    }
    if ((rights[0] == 'r' || range.is_writable) && range.begin != range.end)
      ranges.push_back(range);
    guard = rights == "---p" ? range : Range{};
  }
  if (!maps.eof() || ranges.empty()) return std::nullopt;
  return ranges;
}

// Of pages as used_pages() tells them, the first from there on that is in use. Most are not.
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
  static constexpr std::size_t kWindow = 4096;   // pages asked about at a time

 public:
  // `found`: told of each place outside of the heap that holds a block of the run; may be null.
  Scan(const ProgramHeap& heap, const std::vector<ProgramHeap::Block>& blocks, std::uint32_t run,
       Scrutiny look, Holders* found)
      : begin_{heap.begin()},
        end_{heap.end()},
        blocks_{blocks},
        run_{run},
        look_{look},
        holders_{found},
        lost_(blocks.size(), true),
        missing_(
            static_cast<std::size_t>(std::ranges::count(blocks, run, &ProgramHeap::Block::run))) {}
  ~Scan() {
    if (memory_ >= 0) close(memory_);
    if (pages_of_ >= 0) close(pages_of_);
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // False: memory cannot be read.
  bool look_through(const std::vector<Range>& ranges) {
    if (!open_memory()) return false;
    for (const Range& range : ranges) {
      if (range.begin >= begin_ && range.begin < end_) continue;
      if (look_ == Scrutiny::brief && (range.is_shared || !range.is_writable)) continue;
      if (!look_at_range(range)) return false;
      if (all_there()) return true;
    }
    follow();
    return true;
  }
  // The same, but at those places only.
  bool look_at_holders(const Holders& holders) {
    if (!open_memory()) return false;
    for (const std::uintptr_t place : holders.places())
      look_at_bytes(Range{place, place + kPointer});
    follow();
    return true;
  }
  [[nodiscard]] bool all_there() const noexcept { return missing_ == 0; }
  // That is why it was not looked through.
  [[nodiscard]] bool is_too_much() const noexcept { return pages_ > kPagesMost; }
  [[nodiscard]] std::vector<bool> lost() && { return std::move(lost_); }

 private:
  [[nodiscard]] bool open_memory() {
    memory_ = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    pages_of_ = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);   // there is none everywhere
    return memory_ >= 0;
  }

  // What is pointed to may point to others, and so may what other runs have left.
  void follow() {
    in_heap_ = true;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i].run != run_) keep(i, 0);
    }
    while (!found_.empty() && !all_there()) {
      const ProgramHeap::Block& block = blocks_[found_.back()];
      found_.pop_back();
      look_at({begin_ + block.offset, begin_ + block.offset + block.room});
    }
  }

  bool look_at_range(Range range) {
    const std::uintptr_t size = range.end - range.begin;
    const bool is_vast = size >= kReservation || range.is_shared;
    const bool by_page = pages_of_ < 0 ? is_vast : is_vast || size >= kSparse || !range.is_writable;
    if (by_page) return look_at_pages(range, is_vast);
    look_at(range);
    return true;
  }

  // Those that are in use. False: there are so many of something vast that it takes too long.
  bool look_at_pages(Range range, bool is_vast) {
    std::array<unsigned char, kWindow> used{};
    const std::uintptr_t last = (range.end + kPage - 1) / kPage * kPage;
    Range part{};   // pages in a row
    for (std::uintptr_t window = range.begin / kPage * kPage; window < last;
         window += kWindow * kPage) {
      const std::span pages{used.data(), std::min(kWindow, (last - window) / kPage)};
      if (!used_pages(range, window, pages)) continue;
      for (std::size_t i = next_used(pages, 0); i < pages.size(); i = next_used(pages, i + 1)) {
        if (is_vast && ++pages_ > kPagesMost) return false;
        const std::uintptr_t page = window + i * kPage;
        if (part.end != page) {
          look_at(part);
          part.begin = std::max(page, range.begin);
        }
        part.end = page + kPage;
      }
    }
    part.end = std::min(part.end, range.end);
    look_at(part);
    return true;
  }

  // Sets `pages` to 1 for those from `begin` on that are in use. False: none is there any more.
  // What is shared may be in use by others, and to read a page of it may be to make it, so we ask
  // mincore(), which does not know of pages that were swapped out.
  bool used_pages(Range range, std::uintptr_t begin, std::span<unsigned char> pages) const {
    if (range.is_shared || pages_of_ < 0)
      return mincore(reinterpret_cast<void*>(begin), pages.size() * kPage, pages.data()) == 0;
    constexpr std::uint64_t kThere = std::uint64_t{3} << 62U;    // or swapped out
    constexpr std::uint64_t kOfFile = std::uint64_t{1} << 61U;   // as the file has it
    std::array<std::uint64_t, kWindow> entries{};
    const ssize_t got = pread(pages_of_, entries.data(), pages.size() * sizeof entries[0],
                              static_cast<off_t>(begin / kPage * sizeof entries[0]));
    if (got <= 0) return false;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      const bool counts = range.is_writable || (entries[i] & kOfFile) == 0;
      pages[i] = (entries[i] & kThere) != 0 && counts ? 1 : 0;
    }
    return true;
  }

  // Other threads may unmap it meanwhile, so it is read as a file is.
  void look_at(Range range) {
    if (look_ == Scrutiny::brief) {
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
      for (std::size_t i = 0; i < count; ++i) {
        if (words[i] - begin_ < end_ - begin_) look_up(words[i] - begin_, at + i * kWord);
      }
      at += count * kWord;
    }
  }

  void look_at_bytes(Range range) {
    std::array<unsigned char, kPage + kPointer> bytes{};
    for (std::uintptr_t at = range.begin; at + kPointer <= range.end;) {
      const std::size_t wanted = std::min(bytes.size(), range.end - at);
      const ssize_t got = pread(memory_, bytes.data(), wanted, static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(kPointer)) return;
      const auto count = static_cast<std::size_t>(got);
      look_at_bytes(bytes.data(), bytes.data() + count, at);
      at += count - (kPointer - 1);
    }
  }

  // By the highest byte of a pointer, which may be one of two. Those bytes were read at `place`.
  void look_at_bytes(const unsigned char* begin, const unsigned char* end, std::uintptr_t place) {
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
        if (pointer - begin_ < end_ - begin_) {
          look_up(pointer - begin_, place + static_cast<std::size_t>(at - kHighest - begin));
        }
        ++at;
      }
    }
  }

  // What is at `offset` is pointed to from `place`.
  void look_up(std::size_t offset, std::uintptr_t place) {
    const auto after = std::upper_bound(
        blocks_.begin(), blocks_.end(), offset,
        [](std::size_t at, const ProgramHeap::Block& block) { return at < block.offset; });
    if (after == blocks_.begin()) return;
    const auto block = std::prev(after);
    if (offset - block->offset < block->room)
      keep(static_cast<std::size_t>(block - blocks_.begin()), place);
  }

  void keep(std::size_t block, std::uintptr_t place) {
    if (!lost_[block]) return;
    lost_[block] = false;
    found_.push_back(block);
    if (blocks_[block].run != run_) return;
    --missing_;
    if (!in_heap_ && holders_ != nullptr) holders_->note(place);
  }

  const std::uintptr_t begin_;
  const std::uintptr_t end_;
  const std::vector<ProgramHeap::Block>& blocks_;
  const std::uint32_t run_;
  const Scrutiny look_;
  Holders* const holders_;
  std::vector<bool> lost_;
  std::size_t missing_;              // blocks of the run that are lost so far
  bool in_heap_ = false;             // is where we look
  std::vector<std::size_t> found_;   // blocks whose contents have to be looked at
  std::uint64_t pages_ = 0;          // looked at
  int memory_ = -1;
  int pages_of_ = -1;
};

}   // namespace

void Holders::note(std::uintptr_t place) {
  if (std::ranges::find(places_, place) != places_.end()) return;
  if (places_.size() < kMost) {
    places_.push_back(place);
  } else {
    places_[next_++ % kMost] = place;
  }
}

bool held_by(const Holders& holders, const ProgramHeap& heap, std::uint32_t run) {
  const std::vector<ProgramHeap::Block> blocks = heap.blocks();
  Scan scan{heap, blocks, run, Scrutiny::brief, nullptr};
  return scan.look_at_holders(holders) && scan.all_there();
}

tl::expected<std::vector<ProgramHeap::Block>, std::string_view> lost_of(const ProgramHeap& heap,
                                                                        std::uint32_t run,
                                                                        StackUse stacks,
                                                                        Holders& holders) {
  const auto ranges = readable(stacks);
  if (!ranges) return tl::unexpected(std::string_view{"/proc/self/maps cannot be read"});
  const std::vector<ProgramHeap::Block> blocks = heap.blocks();
  std::vector<ProgramHeap::Block> lost;
  for (const Scrutiny look : {Scrutiny::brief, Scrutiny::close}) {
    Scan scan{heap, blocks, run, look, &holders};
    if (!scan.look_through(*ranges)) {
      return tl::unexpected(scan.is_too_much()
                                ? std::string_view{"more than 2 GiB are in use of what the process "
                                                   "shares or has reserved by the GiB"}
                                : std::string_view{"/proc/self/mem cannot be read"});
    }
    if (scan.all_there()) return std::vector<ProgramHeap::Block>{};
    const std::vector<bool> are_lost = std::move(scan).lost();
    lost.clear();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (are_lost[i]) lost.push_back(blocks[i]);
    }
  }
  std::sort(lost.begin(), lost.end(),
            [](const auto& a, const auto& b) { return a.ordinal < b.ordinal; });
  return lost;
}

}   // namespace sim
