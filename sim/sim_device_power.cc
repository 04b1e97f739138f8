// What survives a power cut: durability, and the choice of what else is left.
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <utility>

#include "sim/rng.h"
#include "sim/sim_device_io.h"
#include "sim/tsan.h"
#include "sim/undecided_pages.h"

namespace sim {

using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;

namespace {

// Puts sectors [first, first + count) of `from` into `to`, which may be shared or null.
void copy_sectors(PageRef& to, const Page* from, std::uint32_t first, std::uint32_t count) {
  if (to.get() == from) return;
  if (!to || to->references > 1) {
    const PageRef old = to;
    to = new Page;
    if (old) {
      to->bytes = old->bytes;
    } else {
      to->bytes.fill(std::byte{0});
    }
  }
  std::byte* const target = to->bytes.data() + std::size_t{first} * kSectorSize;
  const std::size_t size = std::size_t{count} * kSectorSize;
  if (from != nullptr) {
    std::memcpy(target, from->bytes.data() + std::size_t{first} * kSectorSize, size);
  } else {
    std::memset(target, 0, size);
  }
}

}   // namespace

// What was there when it had taken effect, and no older version of these sectors comes back. What
// has come over it since may be lost. Where a flush has taken effect meanwhile, that is so already.
void SimDevice::make_durable(const Io& io) {
  if (io.flushes != flushes_) return;
  std::uint64_t sector = io.record.sector.value();
  std::uint64_t count = io.record.sectors;
  const auto later = between_.begin() + static_cast<std::ptrdiff_t>(io.versions);
  while (count != 0) {
    const std::uint64_t number = sector / kPageSectors;
    const auto first = static_cast<std::uint32_t>(sector % kPageSectors);
    const auto part =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(count, kPageSectors - first));
    const auto since = std::find_if(later, between_.end(), [&](const PageTable::Entry& version) {
      return version.number == number;
    });
    const PageRef safe = since != between_.end() ? since->page : page_ref(number);
    const auto keep = [&](PageTable::Entry& entry) {
      if (part == kPageSectors) {
        entry.page = safe;
      } else {
        copy_sectors(entry.page, safe.get(), first, part);
      }
    };
    if (PageTable::Entry* const entry = durable_.find(number)) keep(*entry);
    for (auto version = between_.begin(); version != later; ++version) {
      if (version->number == number) keep(*version);
    }
    sector += part;
    count -= part;
  }
}

// --- power ---

void SimDevice::power_cut() {
  const Hush hush;
  if (!powered()) return;
  crash_ = options_.cut_leaves != CutLeaves::drawn ? undecided_image() : choose_crash_image();
  for (DeviceObserver* const observer : observers_)
    observer->power_cut(*this);
  for (Io* const io : in_flight_) {
    io->record.status = Errc::power_lost;
    io->kind = ChoiceKind::complete;
    execution_.hurry(*io);
  }
}

DiskImageRef SimDevice::snapshot() const {
  const Hush hush;
  auto image = options_.image ? std::make_shared<DiskImage>(*options_.image)
                              : std::make_shared<DiskImage>(sectors_);
  for (const PageTable::Entry& entry : now_.entries())
    image->place(entry.number) = entry.page;
  image->resize(sectors_);
  return image;
}

DiskImageRef SimDevice::durable_snapshot() const {
  const Hush hush;
  auto image = std::make_shared<DiskImage>(*snapshot());
  for (const PageTable::Entry& entry : durable_.entries())
    image->place(entry.number) = entry.page;
  return image;
}

DiskImageRef SimDevice::undecided_image() {
  const std::uint32_t group = options_.atomic_sectors;
  std::map<std::uint64_t, LooseSectors> by_sector;
  const auto content = [](const Page* page, std::uint64_t sector) {
    return page != nullptr ? page->bytes.data() + sector % kPageSectors * kSectorSize : nullptr;
  };
  const auto at = [&](std::uint64_t sector) -> LooseSectors& {
    LooseSectors& loose = by_sector[sector];
    if (loose.contents.empty()) {
      loose = {.sector = sector, .sectors = group, .contents = {}};
      loose.may_be(content(page(sector / kPageSectors), sector));
    }
    return loose;
  };
  const auto add = [&](const std::vector<PageTable::Entry>& versions) {
    for (const PageTable::Entry& entry : versions) {
      const std::uint64_t first = entry.number * kPageSectors;
      const std::uint64_t end = std::min<std::uint64_t>(first + kPageSectors, sectors_);
      for (std::uint64_t s = first; s + group <= end; s += group)
        at(s).may_be(content(entry.page.get(), s));
    }
  };
  add(durable_.entries());
  add(between_);
  // What discards under way would leave, a group each, alive until the contents are copied.
  std::deque<std::vector<std::byte>> garbage;
  for (const Io* const io : in_flight_) {
    if (io->kind != ChoiceKind::effect || !engine::changes_data(io->record.op)) continue;
    const bool discards = io->record.op == BioOp::discard;
    const auto leaves = [&](DiscardLeaves what) {
      return discards &&
             (options_.discard_leaves == what || options_.discard_leaves == DiscardLeaves::chosen);
    };
    for (std::uint64_t s = 0; s + group <= io->record.sectors; s += group) {
      LooseSectors& loose = at(io->record.sector.value() + s);
      if (!discards || leaves(DiscardLeaves::zeroes))
        loose.may_be(io->record.data != nullptr ? io->record.data + s * kSectorSize : nullptr);
      if (!leaves(DiscardLeaves::garbage)) continue;
      std::vector<std::byte>& words = garbage.emplace_back(std::size_t{group} * kSectorSize);
      for (std::uint64_t i = 0; i < group; ++i)
        fill_with_garbage(loose.sector + i, words.data() + i * kSectorSize);
      loose.may_be(words.data());
    }
  }
  std::vector<LooseSectors> loose;
  for (auto& [sector, each] : by_sector) {
    if (each.contents.size() > 1) loose.push_back(std::move(each));
  }
  auto image = std::make_shared<DiskImage>(*snapshot());
  auto undecided = std::make_shared<UndecidedPages>(
      *image, loose, options_.cut_leaves,
      [&execution = execution_](const char* what, std::uint32_t count) {
        return execution.choose(what, count);
      });
  const std::vector<std::uint64_t> numbers = undecided->numbers();
  image->leave_undecided(std::move(undecided));
  if (options_.cut_leaves == CutLeaves::each_image) {
    for (const std::uint64_t number : numbers)
      static_cast<void>(image->page(number));
  }
  return image;
}

DiskImageRef SimDevice::choose_crash_image() {
  const auto keeps =
      static_cast<Keeps>(execution_.choose("cut keeps", static_cast<std::uint32_t>(Keeps::kCount)));
  // Writes under way may reach the disk in part.
  const bool torn = execution_.choose("cut tears writes in flight", 2) != 0;
  std::uint32_t subset = 0;
  if (torn || (keeps != Keeps::all && keeps != Keeps::none))
    subset = execution_.choose("cut subset", ~0U);
  Rng rng{subset};
  if (torn) {
    const std::size_t count = in_flight_.size();
    for (std::size_t i = 0; i < count; ++i) {
      const Io& io = *in_flight_[i];
      if (io.kind != ChoiceKind::effect) continue;
      if (io.record.op != BioOp::write && io.record.op != BioOp::write_zeroes) continue;
      const std::uint64_t group = options_.atomic_sectors;
      for (std::uint64_t s = 0; s < io.record.sectors; s += group) {
        if (rng.one_in(2)) continue;
        const std::uint64_t part = std::min(group, io.record.sectors - s);
        change(io.record.sector.value() + s, part,
               io.record.data != nullptr ? io.record.data + s * kSectorSize : nullptr);
      }
    }
  }
  auto image = std::make_shared<DiskImage>(*snapshot());
  if (keeps == Keeps::between) {
    keep_versions(*image, rng);
  } else if (keeps != Keeps::all) {
    keep_some(*image, keeps, rng);
  }
  if (torn) tear_discards(*image, Rng{~std::uint64_t{subset}});
  return image;
}

// What was safe takes the place of what is lost.
void SimDevice::keep_some(DiskImage& image, Keeps keeps, Rng& rng) const {
  const auto pages = static_cast<std::uint32_t>(durable_.entries().size());
  const std::uint32_t kept = keeps == Keeps::prefix && pages != 0 ? rng.below(pages + 1) : 0;
  std::uint32_t place = 0;
  for (const PageTable::Entry& entry : durable_.entries()) {
    PageRef& now = image.place(entry.number);
    const bool lost = keeps == Keeps::none || (keeps == Keeps::prefix && place >= kept) ||
                      (keeps == Keeps::pages && rng.one_in(2));
    ++place;
    if (lost) {
      now = entry.page;
    } else if (keeps == Keeps::sectors) {
      for (std::uint32_t s = 0; s < kPageSectors; s += options_.atomic_sectors) {
        if (rng.one_in(2)) copy_sectors(now, entry.page.get(), s, options_.atomic_sectors);
      }
    }
  }
}

// Of each group of sectors of a discard under way: it has happened to it, or it has not.
void SimDevice::tear_discards(DiskImage& image, Rng rng) const {
  const std::uint64_t group = options_.atomic_sectors;
  std::vector<std::byte> bytes(group * kSectorSize);
  for (const Io* const io : in_flight_) {
    if (io->kind != ChoiceKind::effect || io->record.op != BioOp::discard) continue;
    for (std::uint64_t s = 0; s + group <= io->record.sectors; s += group) {
      const std::uint64_t sector = io->record.sector.value() + s;
      DiscardLeaves leaves = options_.discard_leaves;
      if (leaves == DiscardLeaves::chosen) leaves = static_cast<DiscardLeaves>(rng.below(3));
      if (rng.one_in(2) || leaves == DiscardLeaves::old_data) continue;
      std::fill(bytes.begin(), bytes.end(), std::byte{0});
      for (std::uint64_t i = 0; i < group && leaves == DiscardLeaves::garbage; ++i)
        fill_with_garbage(sector + i, bytes.data() + i * kSectorSize);
      image.write(engine::Sector{sector}, bytes);
    }
  }
}

// Of each group of sectors any version since the last flush, independently of the others.
void SimDevice::keep_versions(DiskImage& image, Rng& rng) const {
  std::vector<PageRef> versions;
  for (const PageTable::Entry& entry : durable_.entries()) {
    PageRef& now = image.place(entry.number);
    versions = {now, entry.page};
    for (const PageTable::Entry& each : between_) {
      if (each.number == entry.number) versions.push_back(each.page);
    }
    for (std::uint32_t s = 0; s < kPageSectors; s += options_.atomic_sectors) {
      const PageRef& kept = versions[rng.below(static_cast<std::uint32_t>(versions.size()))];
      copy_sectors(now, kept.get(), s, options_.atomic_sectors);
    }
  }
}

}   // namespace sim
