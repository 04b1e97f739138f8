#include "sim/crash_images.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/base/check.h"

namespace sim {
namespace {

constexpr std::array<std::byte, kPageSize> kBlank{};

const std::byte* bytes_of(const std::byte* content) {
  return content != nullptr ? content : kBlank.data();
}

void put(DiskImage& image, const LooseSectors& loose, std::size_t which) {
  const std::size_t size = std::size_t{loose.sectors} * engine::kSectorSize;
  image.write(engine::Sector{loose.sector}, {bytes_of(loose.contents[which]), size});
}

}   // namespace

void LooseSectors::may_be(const std::byte* content) {
  const std::size_t size = std::size_t{sectors} * engine::kSectorSize;
  ENGINE_CHECK(size <= kPageSize, "{} sectors go to the disk as one", sectors);
  const bool known = std::any_of(contents.begin(), contents.end(), [&](const std::byte* other) {
    return std::memcmp(bytes_of(other), bytes_of(content), size) == 0;
  });
  if (!known) contents.push_back(content);
}

void settle(DiskImage& image, const std::vector<LooseSectors>& loose,
            const std::function<std::uint32_t(const char*, std::uint32_t)>& choose) {
  std::uint64_t images = 1;
  for (const LooseSectors& each : loose)
    images = std::min(images * each.contents.size(), kImagesMax + 1);
  if (images <= kImagesMax) {
    for (const LooseSectors& each : loose) {
      const auto contents = static_cast<std::uint32_t>(each.contents.size());
      if (const std::uint32_t which = choose("cut leaves", contents); which != 0)
        put(image, each, which);
    }
    return;
  }
  // 0: all as it was seen; then all otherwise, one otherwise, one as it was, the first so many.
  const auto count = static_cast<std::uint32_t>(loose.size());
  std::uint32_t which = choose(kSomeImages, 2 + 3 * count);
  for (std::uint32_t i = 0; i < count && which != 0; ++i) {
    const bool lost = which == 1              ? true
                      : which < 2 + count     ? i == which - 2
                      : which < 2 + 2 * count ? i != which - 2 - count
                                              : i > which - 2 - 2 * count;
    if (lost) put(image, loose[i], 1);
  }
}

}   // namespace sim
