#include "real-io/overlay_device.h"

#include <algorithm>
#include <cstring>

#include "engine/fiber/context.h"

namespace real_io {

using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;
using engine::Sector;

// A read that the device below has a part in. Frees itself.
struct OverlayDevice::Lookup {
  OverlayDevice& overlay;
  Bio& bio;
  Bio below{};
};

OverlayDevice::OverlayDevice(engine::BlockDevice& below, Writes writes, std::uint64_t sectors_min)
    : BlockDevice{below.name()}, below_{below}, writes_{writes}, sectors_min_{sectors_min} {}

OverlayDevice::~OverlayDevice() = default;

engine::DeviceLimits OverlayDevice::limits() const noexcept {
  engine::DeviceLimits limits = below_.limits();
  limits.sectors = std::max(limits.sectors, sectors_min_);
  return limits;
}

void OverlayDevice::do_submit(Bio& bio) {
  switch (bio.op) {
    case BioOp::read:
      return read(bio);
    case BioOp::write:
    case BioOp::write_zeroes:
      if (writes_ == Writes::keep) keep(bio);
      return complete(object(), bio, Errc::ok);
    case BioOp::discard:
      return complete(object(), bio,
                      limits().discard_sectors_max == 0 ? Errc::not_supported : Errc::ok);
    case BioOp::flush:
      return complete(object(), bio, Errc::ok);
  }
}

// What is written while the device below is asked is in flight together with the read, and may be
// seen by it; what was written before is.
void OverlayDevice::read(Bio& bio) {
  const std::uint64_t begin = bio.sector.value();
  if (lay_over(begin, bio.sectors, bio.data)) return complete(object(), bio, Errc::ok);
  const std::uint64_t end_below = std::max(begin, below_.limits().sectors);
  const std::uint64_t sectors_below = std::min(bio.sectors, end_below - begin);
  std::memset(bio.data + sectors_below * kSectorSize, 0,
              (bio.sectors - sectors_below) * kSectorSize);
  if (sectors_below == 0) {
    lay_over(begin, bio.sectors, bio.data);
    return complete(object(), bio, Errc::ok);
  }
  auto* const lookup = new Lookup{.overlay = *this, .bio = bio};
  lookup->below.sector = bio.sector;
  lookup->below.sectors = sectors_below;
  lookup->below.data = bio.data;
  lookup->below.owner = lookup;
  lookup->below.end_io = [](Bio& ended) {
    const std::unique_ptr<Lookup> done{static_cast<Lookup*>(ended.owner)};
    Bio& whole = done->bio;
    done->overlay.lay_over(whole.sector.value(), whole.sectors, whole.data);
    complete(done->overlay.object(), whole, ended.status);
  };
  below_.submit(lookup->below);
}

void OverlayDevice::keep(const Bio& bio) {
  const std::lock_guard lock{mutex_};
  for (std::uint64_t i = 0; i < bio.sectors; ++i) {
    const std::uint64_t sector = bio.sector.value() + i;
    std::unique_ptr<Page>& page = pages_[sector / kPageSectors];
    if (!page) page = std::make_unique<Page>();
    const std::uint64_t place = sector % kPageSectors;
    std::byte* const to = page->bytes.data() + place * kSectorSize;
    if (bio.op == BioOp::write)
      std::memcpy(to, bio.data + i * kSectorSize, kSectorSize);
    else
      std::memset(to, 0, kSectorSize);
    page->written = static_cast<std::uint8_t>(page->written | 1U << place);
  }
}

bool OverlayDevice::lay_over(std::uint64_t begin, std::uint64_t sectors, std::byte* data) {
  const std::lock_guard lock{mutex_};
  bool all = true;
  for (std::uint64_t i = 0; i < sectors; ++i) {
    const auto page = pages_.find((begin + i) / kPageSectors);
    const std::uint64_t place = (begin + i) % kPageSectors;
    if (page == pages_.end() || (page->second->written >> place & 1U) == 0)
      all = false;
    else
      std::memcpy(data + i * kSectorSize, page->second->bytes.data() + place * kSectorSize,
                  kSectorSize);
  }
  return all;
}

}   // namespace real_io
