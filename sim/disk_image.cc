#include "sim/disk_image.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <xxhash.h>

#include <boost/pool/singleton_pool.hpp>

#include "engine/base/check.h"
#include "engine/base/sanitizers.h"
#include "sim/undecided_pages.h"

namespace sim {

namespace {
constexpr std::size_t kBucketsMin = 16;
// Shared by all threads, and never smaller again.
using PagePool = boost::singleton_pool<Page, sizeof(Page)>;
}   // namespace

#if !WAVETANK_ASAN && !WAVETANK_TSAN
void* Page::operator new(std::size_t /*size*/) {
  void* const memory = PagePool::malloc();
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}
void Page::operator delete(void* memory) noexcept {
  PagePool::free(memory);
}
#endif

std::size_t PageTable::bucket(std::uint64_t number) const noexcept {
  const std::size_t mask = buckets_.size() - 1;
  std::size_t at = static_cast<std::size_t>(number * 0x9E3779B97F4A7C15ULL >> 32U) & mask;
  while (buckets_[at] != 0 && entries_[buckets_[at] - 1].number != number)
    at = (at + 1) & mask;
  return at;
}

const PageTable::Entry* PageTable::find(std::uint64_t number) const noexcept {
  if (entries_.empty()) return nullptr;
  const std::uint32_t index = buckets_[bucket(number)];
  return index != 0 ? &entries_[index - 1] : nullptr;
}

PageTable::Entry* PageTable::find(std::uint64_t number) noexcept {
  return const_cast<Entry*>(static_cast<const PageTable*>(this)->find(number));
}

PageTable::Entry& PageTable::put(std::uint64_t number, bool* made) {
  if ((entries_.size() + 1) * 2 > buckets_.size()) grow();
  std::uint32_t& index = buckets_[bucket(number)];
  if (made != nullptr) *made = index == 0;
  if (index == 0) {
    entries_.push_back({number, nullptr});
    index = static_cast<std::uint32_t>(entries_.size());
  }
  return entries_[index - 1];
}

void PageTable::clear() noexcept {
  if (entries_.empty()) return;
  entries_.clear();
  std::fill(buckets_.begin(), buckets_.end(), 0);
}

void PageTable::grow() {
  buckets_.assign(std::max(kBucketsMin, buckets_.size() * 2), 0);
  for (std::uint32_t i = 0; i < entries_.size(); ++i)
    buckets_[bucket(entries_[i].number)] = i + 1;
}

void DiskImage::leave_undecided(std::shared_ptr<UndecidedPages> pages) {
  ENGINE_CHECK(!undecided_, "pages are undecided already");
  still_undecided_ = pages->numbers();
  undecided_ = std::move(pages);
}

double DiskImage::alike() const noexcept {
  return undecided_ ? undecided_->alike() : 1;
}

void DiskImage::decide(std::uint64_t number) const {
  const auto at = std::lower_bound(still_undecided_.begin(), still_undecided_.end(), number);
  if (at == still_undecided_.end() || *at != number) return;
  still_undecided_.erase(at);
  pages_.put(number).page = undecided_->decide(number);
}

void DiskImage::see_decided() const {
  const std::vector<std::uint64_t> numbers = still_undecided_;
  for (const std::uint64_t number : numbers) {
    if (undecided_->is_decided(number)) decide(number);
  }
}

void DiskImage::resize(std::uint64_t sector_count) {
  if (sector_count < sectors_) {
    DiskImage shorter{sector_count};
    while (!still_undecided_.empty())
      decide(still_undecided_.front());
    std::array<std::byte, engine::kSectorSize> sector{};
    for (const PageTable::Entry& entry : pages_.entries()) {
      const std::uint64_t first = entry.number * kPageSectors;
      if (first + kPageSectors <= sector_count) {
        shorter.pages_.put(entry.number).page = entry.page;
        continue;
      }
      for (std::uint64_t s = first; s < sector_count; ++s) {
        read(engine::Sector{s}, sector);
        shorter.write(engine::Sector{s}, sector);
      }
    }
    *this = std::move(shorter);
  }
  sectors_ = sector_count;
}

void DiskImage::read(engine::Sector sector, engine::MutableBytes bytes) const noexcept {
  read_pages(sector, bytes, [this](std::uint64_t number) { return page(number); });
}

void DiskImage::write(engine::Sector sector, engine::ConstBytes bytes) {
  ENGINE_CHECK(bytes.size() % engine::kSectorSize == 0);
  ENGINE_CHECK(sector.value() + bytes.size() / engine::kSectorSize <= sectors_);
  std::uint64_t at = sector.value() * engine::kSectorSize;
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t offset = at % kPageSize;
    const std::size_t part = std::min<std::size_t>(bytes.size() - done, kPageSize - offset);
    PageRef& target = place(at / kPageSize);
    if (!target || target->references > 1) {
      const PageRef old = target;
      target = new Page;
      if (old) {
        target->bytes = old->bytes;
      } else {
        target->bytes.fill(std::byte{0});
      }
    }
    std::memcpy(target->bytes.data() + offset, bytes.data() + done, part);
    done += part;
    at += part;
  }
}

std::uint64_t DiskImage::digest() const {
  const auto is_undecided = [this](std::uint64_t number) {
    return std::binary_search(still_undecided_.begin(), still_undecided_.end(), number);
  };
  std::vector<const PageTable::Entry*> sorted;
  for (const PageTable::Entry& entry : pages_.entries()) {
    if (!entry.page || is_undecided(entry.number)) continue;
    const auto& bytes = entry.page->bytes;
    if (std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; }))
      sorted.push_back(&entry);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->number < b->number; });
  std::uint64_t digest = sectors_;
  for (const PageTable::Entry* const entry : sorted) {
    digest = XXH64(&entry->number, sizeof entry->number, digest);
    digest = XXH64(entry->page->bytes.data(), kPageSize, digest);
  }
  return digest;
}

}   // namespace sim
