#include "sim/sim_device.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <xxhash.h>

#include "sim/sim_device_io.h"
#include "sim/tsan.h"

namespace sim {

using engine::Bio;
using engine::BioOp;
using engine::Errc;
using engine::kSectorSize;
using engine::OpKind;
using engine::Sector;

SimDevice::SimDevice(Execution& execution, const char* name, SimDeviceOptions options)
    : BlockDevice{name},
      execution_{execution},
      options_{std::move(options)},
      sectors_{options_.sectors},
      index_{execution.next_device()} {
  if (sectors_ == 0 && options_.image) sectors_ = options_.image->sectors();
  ENGINE_CHECK(options_.atomic_sectors != 0 && kPageSectors % options_.atomic_sectors == 0,
               "{}: {} atomic sectors", name, options_.atomic_sectors);
}

SimDevice::~SimDevice() {
  const Hush hush;
  for (const auto& io : ios_)
    execution_.withdraw(*io);
}

engine::DeviceLimits SimDevice::limits() const noexcept {
  const Hush hush;   // a disk may grow under its users
  return {.sectors = sectors_,
          .logical_block_sectors = options_.logical_block_sectors,
          .discard_sectors_max = options_.discard_sectors_max,
          .discard_granularity_sectors = options_.discard_granularity_sectors,
          .transfer_sectors_max = options_.transfer_sectors_max};
}

// --- an I/O's life ---

void SimDevice::do_submit(Bio& bio) {
  const Hush hush;
  if (free_ios_.empty()) {
    ios_.push_back(std::make_unique<Io>(*this));
    free_ios_.push_back(ios_.back().get());
  }
  Io& io = *free_ios_.back();
  free_ios_.pop_back();
  ++submissions_;
  io.id = ActorId{ActorKind::io, index_, submissions_};
  io.bio = &bio;
  io.ticket = execution_.sent();
  io.record = {.ordinal = submissions_,
               .op = bio.op,
               .fua = bio.fua,
               .sector = bio.sector,
               .sectors = bio.sectors,
               .status = Errc::ok,
               .data = bio.data};
  io.place = in_flight_.size();
  in_flight_.push_back(&io);
  if (bio.op == BioOp::discard) engine::also_touches(object());   // sim_device_io.h
  for (DeviceObserver* const observer : observers_)
    observer->submitted(*this, io.record);
  const bool unsupported = bio.op == BioOp::discard && options_.discard_sectors_max == 0;
  if (!powered()) io.record.status = Errc::power_lost;
  if (unsupported) io.record.status = Errc::not_supported;
  io.kind = io.record.status == Errc::ok ? ChoiceKind::effect : ChoiceKind::complete;
  handed_over(&io);
  choose_latency(io);
  io.offer(Io::Late::effect);
}

// What fails at once is never slow.
void SimDevice::choose_latency(Io& io) {
  const Latency& latency = options_.latency;
  io.late = Io::Late::no;
  if (io.kind != ChoiceKind::effect || (latency.ops & op_bit(io.record.op)) == 0) return;
  constexpr std::uint32_t kCount = static_cast<std::uint32_t>(Io::Late::end) + 1;
  std::uint32_t late = 0;
  if (stalls_ < latency.stalls_max) {
    late = execution_.choose("a stall", kCount, latency.stall_one_in);
    if (late != 0) ++stalls_;
    io.delay = latency.stall;
  }
  if (late == 0 && latency.usual != engine::Nanos{0}) {
    late = execution_.choose("latency", kCount);
    io.delay = latency.usual;
  }
  io.late = static_cast<Io::Late>(late);
}

void SimDevice::take_effect(Io& io) {
  const Bio& bio = *io.bio;
  io.record.status = fault_of(bio);
  if (io.record.status == Errc::ok) {
    apply(bio);
  } else if (changes_data(bio.op)) {
    // A write that failed may have been done all the same.
    if (execution_.choose("failed write is on the disk", 2) != 0) apply(bio);
  }
  io.flushes = flushes_;
  io.versions = between_.size();
  if (execution_.digests_data() && bio.data != nullptr)
    execution_.digest_value(XXH64(bio.data, bio.size_bytes(), bio.sector.value()));
  engine::trace_event(OpKind::bio_effect, &object(), std::source_location::current(),
                      bio.sector.value(), bio.sectors,
                      static_cast<std::uint64_t>(bio.op) | (bio.fua ? 0x100U : 0U));
  for (DeviceObserver* const observer : observers_)
    observer->took_effect(*this, io.record);
}

SimFiber* SimDevice::start_completion(Io& io) {
  return execution_.start_for_step(io.id, name(), [this, &io] { end(io); });
}

void SimDevice::end(Io& io) {
  taken_over(&io);
  Bio& bio = *io.bio;
  const Errc status = retire(io);
  engine::complete(object(), bio, status);   // *this may be gone afterwards
}

Errc SimDevice::retire(Io& io) {
  const Hush hush;
  execution_.received(io.ticket);
  if (io.record.status == Errc::ok && powered() && (io.bio->fua || !options_.write_cache) &&
      changes_data(io.bio->op))
    make_durable(io);
  for (DeviceObserver* const observer : observers_)
    observer->completed(*this, io.record);
  Io* const last = in_flight_.back();
  in_flight_[io.place] = last;
  last->place = io.place;
  in_flight_.pop_back();
  free_ios_.push_back(&io);
  return io.record.status;
}

Errc SimDevice::fault_of(const Bio& bio) {
  const std::uint64_t first = bio.sector.value();
  const std::uint64_t end = first + std::max<std::uint64_t>(bio.sectors, 1);
  for (const BadRange& bad : bad_) {
    if ((bad.ops & op_bit(bio.op)) != 0 && first < bad.end && bad.first < end) return bad.status;
  }
  rule_states_.resize(options_.faults.rules.size());
  for (std::size_t i = 0; i < options_.faults.rules.size(); ++i) {
    const FaultRule& rule = options_.faults.rules[i];
    RuleState& state = rule_states_[i];
    if (state.struck >= rule.count_max || (rule.ops & op_bit(bio.op)) == 0) continue;
    const std::uint64_t rule_first = rule.sector.value();
    if (end <= rule_first || (first > rule_first && first - rule_first >= rule.sectors)) continue;
    ++state.matched;
    const bool strikes = rule.nth != 0      ? state.matched == rule.nth
                         : rule.one_in == 1 ? true
                                            : execution_.choose("fault", 2, rule.one_in) != 0;
    if (!strikes) continue;
    ++state.struck;
    if (rule.lasting) {
      const std::uint64_t room = ~std::uint64_t{0} - rule_first;
      const std::uint64_t rule_end = rule_first + std::min(rule.sectors, room);
      bad_.push_back({rule.ops, std::max(first, rule_first), std::min(end, rule_end), rule.status});
    }
    return rule.status;
  }
  return Errc::ok;
}

// --- contents ---

void SimDevice::apply(const Bio& bio) {
  switch (bio.op) {
    case BioOp::read:
      peek(bio.sector, {bio.data, bio.size_bytes()});
      return;
    case BioOp::write:
      change(bio.sector.value(), bio.sectors, bio.data);
      return;
    case BioOp::write_zeroes:
      change(bio.sector.value(), bio.sectors, nullptr);
      return;
    case BioOp::discard:
      discard(bio);
      return;
    case BioOp::flush:
      durable_.clear();
      between_.clear();
      ++flushes_;
      return;
  }
}

void SimDevice::discard(const Bio& bio) {
  DiscardLeaves leaves = options_.discard_leaves;
  if (leaves == DiscardLeaves::chosen)
    leaves = static_cast<DiscardLeaves>(execution_.choose("discard leaves", 3));
  if (leaves == DiscardLeaves::old_data) return;
  if (leaves == DiscardLeaves::zeroes) {
    change(bio.sector.value(), bio.sectors, nullptr);
    return;
  }
  std::array<std::byte, kSectorSize> words;
  for (std::uint64_t i = 0; i < bio.sectors; ++i) {
    fill_with_garbage(bio.sector.value() + i, words.data());
    change(bio.sector.value() + i, 1, words.data());
  }
}

void SimDevice::fill_with_garbage(std::uint64_t sector, std::byte* bytes) noexcept {
  const std::uint64_t word = kGarbage + sector;
  for (std::size_t at = 0; at < kSectorSize; at += sizeof word)
    std::memcpy(bytes + at, &word, sizeof word);
}

const Page* SimDevice::page(std::uint64_t number) const noexcept {
  if (const PageTable::Entry* const entry = now_.find(number)) return entry->page.get();
  return options_.image ? options_.image->page(number) : nullptr;
}

PageRef SimDevice::page_ref(std::uint64_t number) const noexcept {
  return PageRef{const_cast<Page*>(page(number))};
}

void SimDevice::peek(Sector sector, engine::MutableBytes bytes) const noexcept {
  const Hush hush;
  read_pages(sector, bytes, [this](std::uint64_t number) { return page(number); });
}

void SimDevice::change(std::uint64_t sector, std::uint64_t count, const std::byte* data) {
  while (count != 0) {
    const auto first = static_cast<std::uint32_t>(sector % kPageSectors);
    const auto part =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(count, kPageSectors - first));
    change_page(sector / kPageSectors, first, part, data);
    sector += part;
    count -= part;
    if (data != nullptr) data += std::size_t{part} * kSectorSize;
  }
}

void SimDevice::change_page(std::uint64_t number, std::uint32_t first, std::uint32_t count,
                            const std::byte* data) {
  bool made = false;
  PageTable::Entry& durable = durable_.put(number, &made);
  if (made) {
    durable.page = page_ref(number);
  } else if (options_.keeps_versions) {
    between_.push_back({number, page_ref(number)});
  }
  PageTable::Entry& entry = now_.put(number, &made);
  if (made && options_.image) entry.page = PageRef{const_cast<Page*>(options_.image->page(number))};
  if (data == nullptr && (count == kPageSectors || !entry.page)) {
    entry.page = nullptr;
    return;
  }
  if (!entry.page || entry.page->references > 1) {
    const PageRef old = entry.page;
    entry.page = new Page;
    if (count != kPageSectors) {
      if (old) {
        entry.page->bytes = old->bytes;
      } else {
        entry.page->bytes.fill(std::byte{0});
      }
    }
  }
  std::byte* const to = entry.page->bytes.data() + std::size_t{first} * kSectorSize;
  const std::size_t size = std::size_t{count} * kSectorSize;
  if (data != nullptr) {
    std::memcpy(to, data, size);
  } else {
    std::memset(to, 0, size);
  }
}

}   // namespace sim
