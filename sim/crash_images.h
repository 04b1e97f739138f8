// Every image that a power cut can leave of a disk, not a sample: sector by sector, each holds
// something that was on its way there or what a flush had made safe.
//
// Only sectors whose contents would differ count, so most of a block that was rewritten does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

// As many images of one disk are all visited. Of more, some are: everything as reads saw it,
// nothing, everything but one group, one group alone, and the first so many in the order of
// sectors.
inline constexpr std::uint64_t kImagesMax = 4096;
// The name of the choice among those: whoever explores takes a name that begins so for a choice
// that does not offer all there is.
inline constexpr const char* kSomeImages = "some of what a cut can leave";

// `choose(what, count)` decides: Execution::choose(). `image` holds what reads saw.
void settle(DiskImage& image, const std::vector<LooseSectors>& loose,
            const std::function<std::uint32_t(const char*, std::uint32_t)>& choose);

}   // namespace sim
