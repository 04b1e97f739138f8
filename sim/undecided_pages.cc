#include "sim/undecided_pages.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "engine/base/check.h"

namespace sim {

using engine::kSectorSize;

namespace {

constexpr std::array<std::byte, kPageSize> kBlank{};

const std::byte* bytes_of(const std::byte* content) {
  return content != nullptr ? content : kBlank.data();
}

}   // namespace

void LooseSectors::may_be(const std::byte* content) {
  const std::size_t size = std::size_t{sectors} * kSectorSize;
  ENGINE_CHECK(size <= kPageSize, "{} sectors go to the disk as one", sectors);
  const bool known = std::any_of(contents.begin(), contents.end(), [&](const std::byte* other) {
    return std::memcmp(bytes_of(other), bytes_of(content), size) == 0;
  });
  if (!known) contents.push_back(content);
}

UndecidedPages::UndecidedPages(const DiskImage& seen, const std::vector<LooseSectors>& loose,
                               CutLeaves leaves, Choose choose)
    : leaves_{leaves}, choose_{std::move(choose)} {
  for (const LooseSectors& each : loose) {
    const std::uint64_t number = each.sector / kPageSectors;
    const auto first = static_cast<std::uint32_t>(each.sector % kPageSectors);
    ENGINE_CHECK(first + each.sectors <= kPageSectors, "sectors that go as one lie in two pages");
    Undecided& page = pages_[number];
    page.page = PageRef{const_cast<Page*>(seen.page(number))};
    Group group{.first = first, .sectors = each.sectors, .contents = {}};
    for (const std::byte* const content : each.contents) {
      const std::byte* const bytes = bytes_of(content);
      group.contents.emplace_back(bytes, bytes + std::size_t{each.sectors} * kSectorSize);
    }
    const auto contents = static_cast<std::uint32_t>(group.contents.size());
    alike_ *= contents;
    contents_most_ = std::max(contents_most_, contents);
    page.groups.push_back(std::move(group));
  }
  for (const auto& [number, page] : pages_)
    numbers_.push_back(number);
}

// Which of its contents the group holds.
std::uint32_t UndecidedPages::which(const Group& group) {
  const auto contents = static_cast<std::uint32_t>(group.contents.size());
  if (leaves_ != CutLeaves::each_content) {
    alike_ /= contents;
    return choose_(kCutLeaves, contents);
  }
  if (!has_decision_) {
    alike_ /= contents_most_;
    decision_ = choose_(kCutLeaves, contents_most_);
    has_decision_ = true;
  }
  return std::min(decision_, contents - 1);
}

const PageRef& UndecidedPages::decide(std::uint64_t number) {
  Undecided& undecided = pages_.at(number);
  if (undecided.is_decided) return undecided.page;
  undecided.is_decided = true;
  const PageRef seen = undecided.page;
  undecided.page = new Page;
  undecided.page->bytes = seen ? seen->bytes : kBlank;
  for (const Group& group : undecided.groups) {
    const std::vector<std::byte>& content = group.contents[which(group)];
    std::memcpy(undecided.page->bytes.data() + std::size_t{group.first} * kSectorSize,
                content.data(), content.size());
  }
  return undecided.page;
}

}   // namespace sim
