#include "checkers/data_oracle.h"

#include <algorithm>
#include <cstring>

namespace checkers {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::uint64_t kSectorBits = 24;   // sector number within a stamp
constexpr std::uint64_t kSectorMask = (std::uint64_t{1} << kSectorBits) - 1;
constexpr Stamp kTorn = ~Stamp{0} - 1;

}   // namespace

Stamp stamp_of(std::uint64_t write_id, std::uint64_t sector) noexcept {
  return write_id << kSectorBits | (sector & kSectorMask);
}

void fill_stamped(std::span<std::byte> bytes, std::uint64_t write_id, std::uint64_t first_sector) {
  std::memset(bytes.data(), 0, bytes.size());
  for (std::size_t at = 0; at + kSector <= bytes.size(); at += kSector) {
    const Stamp stamp = stamp_of(write_id, first_sector + at / kSector);
    std::memcpy(&bytes[at], &stamp, sizeof stamp);
    std::memcpy(&bytes[at + kSector - sizeof stamp], &stamp, sizeof stamp);
  }
}

Stamp read_stamp(std::span<const std::byte, 512> sector) noexcept {
  Stamp head = 0;
  Stamp tail = 0;
  std::memcpy(&head, sector.data(), sizeof head);
  std::memcpy(&tail, &sector[kSector - sizeof tail], sizeof tail);
  return head == tail ? head : kTorn;
}

std::string describe(Stamp stamp, std::uint64_t sector) {
  if (stamp == kZeroes) return "zeroes";
  if (stamp == kAnything) return "anything";
  if (stamp == kTorn) return "a torn or foreign sector";
  const std::uint64_t of = stamp & kSectorMask;
  if (of == (sector & kSectorMask)) return fmt::format("write {}", stamp >> kSectorBits);
  return fmt::format("{:#x} (looks like write {} of sector {})", stamp, stamp >> kSectorBits, of);
}

Stamp DataOracle::below(const Device& device, std::uint64_t sector) noexcept {
  return sector < device.base.sectors ? stamp_of(device.base.write_id, sector) : kZeroes;
}

SectorHistory DataOracle::initial(const Device& device, std::uint64_t sector) const {
  if (sector < device.base.sectors) return SectorHistory::holding(below(device, sector));
  return options_.zeroed ? SectorHistory{} : SectorHistory::unknown();
}

std::uint64_t DataOracle::new_write_id() {
  const std::lock_guard lock{mutex_};
  return next_write_id_++;
}

SectorHistory& DataOracle::history(Device& device, std::uint64_t sector) {
  const auto found = device.touched.find(sector);
  if (found != device.touched.end()) return found->second;
  return device.touched.emplace(sector, initial(device, sector)).first->second;
}

void DataOracle::create(std::uint32_t device, std::uint64_t sectors, Base base) {
  const std::lock_guard lock{mutex_};
  devices_.insert_or_assign(device, Device{.sectors = sectors, .base = base, .touched = {}});
}

void DataOracle::closed(std::uint32_t device) {
  const std::lock_guard lock{mutex_};
  const auto found = devices_.find(device);
  if (found != devices_.end() && options_.may_roll_back) found->second.opened = ++clock_;
}

void DataOracle::remove(std::uint32_t device) {
  const std::lock_guard lock{mutex_};
  devices_.erase(device);
}

bool DataOracle::knows(std::uint32_t device) const {
  const std::lock_guard lock{mutex_};
  return devices_.contains(device);
}

std::uint64_t DataOracle::size(std::uint32_t device) const {
  const std::lock_guard lock{mutex_};
  const auto found = devices_.find(device);
  return found == devices_.end() ? 0 : found->second.sectors;
}

void DataOracle::snapshot(std::uint32_t snapshot, std::uint32_t origin, Moment begun) {
  const std::lock_guard lock{mutex_};
  const auto found = devices_.find(origin);
  if (found == devices_.end()) return;
  ++clock_;
  Device copy{.sectors = found->second.sectors, .base = found->second.base, .touched = {}};
  for (const auto& [sector, history] : found->second.touched)
    copy.touched.emplace(sector, history.snapshot(begun, clock_));
  devices_.insert_or_assign(snapshot, std::move(copy));
}

// It looks at the past as a read does, so it keeps the past as a read does.
Moment DataOracle::begin_snapshot() {
  const std::lock_guard lock{mutex_};
  snapshots_under_way_.insert(++clock_);
  return clock_;
}

void DataOracle::end_snapshot(Moment begun) {
  const std::lock_guard lock{mutex_};
  const auto found = snapshots_under_way_.find(begun);
  if (found != snapshots_under_way_.end()) snapshots_under_way_.erase(found);
}

Moment DataOracle::now() {
  const std::lock_guard lock{mutex_};
  return ++clock_;
}

DataOracle::Request DataOracle::begin(std::uint32_t device, std::uint64_t sector,
                                      std::uint64_t sectors) {
  return Request{.device = device, .sector = sector, .sectors = sectors, .begun = ++clock_};
}

Stamp DataOracle::left_by(const Request& request, const Device& device,
                          std::uint64_t sector) noexcept {
  if (request.write_id != 0) return stamp_of(request.write_id, sector);
  return request.to_base ? below(device, sector) : request.constant;
}

void DataOracle::begin_all(const Request& request) {
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  Device& device = found->second;
  for (std::uint64_t at = request.sector; at < request.sector + request.sectors; ++at)
    history(device, at).begin(left_by(request, device, at), request.begun);
}

DataOracle::Request DataOracle::begin_write(std::uint32_t device, std::uint64_t sector,
                                            std::uint64_t sectors) {
  const std::lock_guard lock{mutex_};
  Request request = begin(device, sector, sectors);
  request.write_id = next_write_id_++;
  begin_all(request);
  return request;
}

DataOracle::Request DataOracle::begin_constant(std::uint32_t device, std::uint64_t sector,
                                               std::uint64_t sectors, Stamp constant) {
  const std::lock_guard lock{mutex_};
  Request request = begin(device, sector, sectors);
  request.constant = constant;
  begin_all(request);
  return request;
}

DataOracle::Request DataOracle::begin_zero(std::uint32_t device, std::uint64_t sector,
                                           std::uint64_t sectors) {
  return begin_constant(device, sector, sectors, kZeroes);
}

DataOracle::Request DataOracle::begin_discard(std::uint32_t device, std::uint64_t sector,
                                              std::uint64_t sectors) {
  if (discards_to_anything()) return begin_constant(device, sector, sectors, kAnything);
  const std::lock_guard lock{mutex_};
  Request request = begin(device, sector, sectors);
  request.to_base = true;
  begin_all(request);
  const auto found = devices_.find(device);
  if (found == devices_.end()) return request;
  for (std::uint64_t at = sector; at < sector + sectors; ++at)
    history(found->second, at).begin_hidden(kAnything, request.begun);
  return request;
}

void DataOracle::end_write(const Request& request, bool ok, bool fua) {
  end_change(request, ok, fua);
}

void DataOracle::end_zero(const Request& request, bool ok, bool fua) {
  end_change(request, ok, fua);
}

void DataOracle::end_discard(const Request& request) {
  end_change(request, false, false);
  if (discards_to_anything()) return;
  Request hidden = request;
  hidden.to_base = false;
  hidden.constant = kAnything;
  end_change(hidden, false, false);
}

void DataOracle::end_change(const Request& request, bool certain, bool durable) {
  const std::lock_guard lock{mutex_};
  const Moment ended = ++clock_;
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  const Moment oldest = oldest_reader();
  for (std::uint64_t at = request.sector; at < request.sector + request.sectors; ++at) {
    const Stamp stamp = left_by(request, found->second, at);
    history(found->second, at).end(stamp, request.begun, ended, certain, durable, oldest);
  }
}

Moment DataOracle::oldest_reader() const {
  Moment oldest = clock_;
  for (const std::multiset<Moment>* const under_way : {&reads_under_way_, &snapshots_under_way_}) {
    if (!under_way->empty()) oldest = std::min(oldest, *under_way->begin());
  }
  return oldest;
}

DataOracle::Request DataOracle::begin_read(std::uint32_t device, std::uint64_t sector,
                                           std::uint64_t sectors) {
  const std::lock_guard lock{mutex_};
  const Request request = begin(device, sector, sectors);
  reads_under_way_.insert(request.begun);
  return request;
}

void DataOracle::end_read(const Request& request, bool ok, std::span<const std::byte> data,
                          Findings& findings) {
  const std::lock_guard lock{mutex_};
  ++clock_;
  const auto under_way = reads_under_way_.find(request.begun);
  if (under_way != reads_under_way_.end()) reads_under_way_.erase(under_way);
  const auto found = devices_.find(request.device);
  if (!ok || found == devices_.end()) return;
  for (std::uint64_t i = 0; i < request.sectors; ++i) {
    const std::uint64_t sector = request.sector + i;
    const Stamp seen = read_stamp(std::span<const std::byte, kSector>{&data[i * kSector], kSector});
    const auto touched = found->second.touched.find(sector);
    if (touched == found->second.touched.end()) {
      const bool has_base = sector < found->second.base.sectors;
      if (seen == below(found->second, sector) || !(options_.zeroed || has_base)) continue;
      findings.add("data_oracle",
                   has_base ? "unwritten sector not the origin's" : "unwritten sector not zero",
                   "thin {} sector {} was never written and reads as {}", request.device, sector,
                   describe(seen, sector));
      return;
    }
    SectorHistory& history = touched->second;
    if (options_.may_roll_back && history.permits_rolled_back(seen)) continue;
    if (history.permits(seen, request.begun)) {
      history.settle(seen, request.begun, discards_to_anything());
      continue;
    }
    std::string permitted;
    bool was_once = false;
    for (const SectorHistory::Candidate& candidate : history.candidates()) {
      if (candidate.stamp == seen) was_once = true;
      if (candidate.superseded <= request.begun) continue;
      fmt::format_to(std::back_inserter(permitted), "{}{}", permitted.empty() ? "" : ", ",
                     describe(candidate.stamp, sector));
    }
    const std::uint64_t of = seen & kSectorMask;
    const bool own = seen != kTorn && of == (sector & kSectorMask);
    findings.add("data_oracle",
                 seen == kZeroes   ? "written data reads as zeroes"
                 : was_once || own ? "stale data"
                                   : "foreign data",
                 "thin {} sector {} reads as {}, permitted: {}", request.device, sector,
                 describe(seen, sector), permitted);
    return;   // one per read says enough
  }
}

DataOracle::Request DataOracle::begin_flush(std::uint32_t device) {
  const std::lock_guard lock{mutex_};
  return begin(device, 0, 0);
}

void DataOracle::end_flush(const Request& request, bool ok) {
  const std::lock_guard lock{mutex_};
  ++clock_;
  const auto found = devices_.find(request.device);
  if (!ok || found == devices_.end()) return;
  for (auto& [sector, history] : found->second.touched)
    history.flushed(request.begun, found->second.opened);
}

void DataOracle::power_cut() {
  const std::lock_guard lock{mutex_};
  ++clock_;
  reads_under_way_.clear();
  for (auto& [id, device] : devices_) {
    for (auto& [sector, history] : device.touched)
      history.power_cut(clock_, oldest_reader());
  }
}

}   // namespace checkers
