#include "tests/unit/checkers/naive_oracle.h"

#include <algorithm>
#include <string>

namespace checkers {
namespace {

constexpr std::size_t kNaiveSector = 512;

void erase_one(std::multiset<Moment>& moments, Moment moment) {
  const auto found = moments.find(moment);
  if (found != moments.end()) moments.erase(found);
}

}   // namespace

Value NaiveOracle::below(const Device& device, std::uint64_t sector) {
  return sector < device.base.sectors ? Value{stamp_of(device.base.write_id, sector)}
                                      : Value::zeroes;
}

Value NaiveOracle::left_by(const Request& request, const Device& device, std::uint64_t sector) {
  if (request.write_id != 0) return Value{stamp_of(request.write_id, sector)};
  return request.to_base ? below(device, sector) : request.constant;
}

SectorHistory& NaiveOracle::history(Device& device, std::uint64_t sector) {
  const auto found = device.touched.find(sector);
  if (found != device.touched.end()) return found->second;
  const bool promised = options_.zeroed || sector < device.base.sectors;
  return device.touched
      .emplace(sector,
               promised ? SectorHistory::holding(below(device, sector)) : SectorHistory::unknown())
      .first->second;
}

void NaiveOracle::create(std::uint32_t device, std::uint64_t sectors, DataOracle::Base base) {
  devices_.insert_or_assign(device, Device{.sectors = sectors, .base = base, .touched = {}});
}

void NaiveOracle::closed(std::uint32_t device) {
  const auto found = devices_.find(device);
  if (found != devices_.end() && options_.may_roll_back) found->second.opened = ++clock_;
}

Moment NaiveOracle::begin_snapshot() {
  snapshots_under_way_.insert(++clock_);
  return clock_;
}

void NaiveOracle::snapshot(std::uint32_t snapshot, std::uint32_t origin, Moment begun) {
  const auto found = devices_.find(origin);
  if (found == devices_.end()) return;
  ++clock_;
  Device copy{.sectors = found->second.sectors, .base = found->second.base, .touched = {}};
  for (const auto& [sector, history] : found->second.touched)
    copy.touched.emplace(sector, history.snapshot(begun, clock_));
  devices_.insert_or_assign(snapshot, copy);
}

void NaiveOracle::end_snapshot(Moment begun) {
  erase_one(snapshots_under_way_, begun);
}

NaiveOracle::Request NaiveOracle::begin(std::uint32_t device, std::uint64_t sector,
                                        std::uint64_t sectors) {
  return Request{.device = device, .sector = sector, .sectors = sectors, .begun = ++clock_};
}

void NaiveOracle::begin_all(const Request& request) {
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  for (std::uint64_t at = request.sector; at < request.sector + request.sectors; ++at)
    history(found->second, at).begin(left_by(request, found->second, at), request.begun);
}

NaiveOracle::Request NaiveOracle::begin_write(std::uint32_t device, std::uint64_t sector,
                                              std::uint64_t sectors) {
  Request request = begin(device, sector, sectors);
  request.write_id = next_write_id_++;
  begin_all(request);
  return request;
}

NaiveOracle::Request NaiveOracle::begin_zero(std::uint32_t device, std::uint64_t sector,
                                             std::uint64_t sectors) {
  Request request = begin(device, sector, sectors);
  request.constant = Value::zeroes;
  begin_all(request);
  return request;
}

NaiveOracle::Request NaiveOracle::begin_discard(std::uint32_t device, std::uint64_t sector,
                                                std::uint64_t sectors) {
  Request request = begin(device, sector, sectors);
  request.to_base = !discards_to_anything();
  if (!request.to_base) request.constant = Value::anything;
  begin_all(request);
  const auto found = devices_.find(device);
  if (!request.to_base || found == devices_.end()) return request;
  for (std::uint64_t at = sector; at < sector + sectors; ++at)
    history(found->second, at).begin_hidden(Value::anything, request.begun);
  return request;
}

void NaiveOracle::end_write(const Request& request, bool ok, bool fua) {
  ++clock_;
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  for (std::uint64_t at = request.sector; at < request.sector + request.sectors; ++at) {
    history(found->second, at)
        .end(left_by(request, found->second, at), request.begun, clock_, ok, fua, oldest_reader());
  }
}

void NaiveOracle::end_discard(const Request& request) {
  end_write(request, false, false);
  if (!request.to_base) return;
  Request hidden = request;
  hidden.to_base = false;
  hidden.constant = Value::anything;
  end_write(hidden, false, false);
}

Moment NaiveOracle::oldest_reader() const {
  Moment oldest = clock_;
  for (const std::multiset<Moment>* const under_way : {&reads_under_way_, &snapshots_under_way_})
    if (!under_way->empty()) oldest = std::min(oldest, *under_way->begin());
  return oldest;
}

NaiveOracle::Request NaiveOracle::begin_read(std::uint32_t device, std::uint64_t sector,
                                             std::uint64_t sectors) {
  const Request request = begin(device, sector, sectors);
  reads_under_way_.insert(request.begun);
  return request;
}

void NaiveOracle::end_read(const Request& request, bool ok, std::span<const std::byte> data,
                           Findings& findings) {
  ++clock_;
  erase_one(reads_under_way_, request.begun);
  const auto found = devices_.find(request.device);
  if (!ok || found == devices_.end()) return;
  for (std::uint64_t i = 0; i < request.sectors; ++i) {
    const Stamp stamp = read_stamp(data.subspan(i * kNaiveSector).first<kNaiveSector>());
    if (!judge(request, found->second, request.sector + i, stamp, findings)) return;
  }
}

bool NaiveOracle::judge(const Request& request, Device& device, std::uint64_t sector, Stamp stamp,
                        Findings& findings) {
  const Value seen{stamp};
  const auto touched = device.touched.find(sector);
  if (touched == device.touched.end()) {
    const bool has_base = sector < device.base.sectors;
    if (seen == below(device, sector) || !(options_.zeroed || has_base)) return true;
    findings.add("data_oracle",
                 has_base ? "unwritten sector not the origin's" : "unwritten sector not zero",
                 "thin {} sector {} was never written and reads as {}", request.device, sector,
                 describe(stamp, sector));
    return false;
  }
  SectorHistory& history = touched->second;
  if (options_.may_roll_back && history.permits_rolled_back(seen, request.begun)) return true;
  if (history.permits(seen, request.begun)) {
    history.settle(seen, request.begun, discards_to_anything());
    return true;
  }
  std::string permitted;
  bool was_once = false;
  for (const SectorHistory::Candidate& candidate : history.candidates()) {
    if (candidate.value == seen) was_once = true;
    if (candidate.superseded <= request.begun) continue;
    permitted +=
        (permitted.empty() ? "" : ", ") + describe(static_cast<Stamp>(candidate.value), sector);
  }
  findings.add("data_oracle",
               seen == Value::zeroes              ? "written data reads as zeroes"
               : was_once || is_of(stamp, sector) ? "stale data"
                                                  : "foreign data",
               "thin {} sector {} reads as {}, permitted: {}", request.device, sector,
               describe(stamp, sector), permitted);
  return false;
}

NaiveOracle::Request NaiveOracle::begin_flush(std::uint32_t device) {
  return begin(device, 0, 0);
}

void NaiveOracle::end_flush(const Request& request, bool ok) {
  ++clock_;
  const auto found = devices_.find(request.device);
  if (!ok || found == devices_.end()) return;
  for (auto& [sector, history] : found->second.touched)
    history.flushed(request.begun, clock_, found->second.opened);
}

void NaiveOracle::power_cut() {
  ++clock_;
  reads_under_way_.clear();
  for (auto& [id, device] : devices_)
    for (auto& [sector, history] : device.touched)
      history.power_cut(clock_, oldest_reader());
}

std::vector<Stamp> NaiveOracle::stamps(std::uint32_t device, std::uint64_t sector) const {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return {0};
  const auto touched = found->second.touched.find(sector);
  if (touched == found->second.touched.end())
    return {static_cast<Stamp>(below(found->second, sector))};
  std::vector<Stamp> all;
  for (const SectorHistory::Candidate& candidate : touched->second.candidates())
    all.push_back(static_cast<Stamp>(candidate.value));
  return all.empty() ? std::vector<Stamp>{0} : all;
}

}   // namespace checkers
