#include "checkers/data_oracle.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "engine/base/units.h"

namespace checkers {

std::uint64_t DataOracle::new_write_id() {
  const std::lock_guard lock{mutex_};
  return next_write_id_++;
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
  Device copy{.sectors = found->second.sectors,
              .base = found->second.base,
              .touched = found->second.touched};
  copy.touched.change_all(
      [&](SectorHistory& history) { history = history.snapshot(begun, clock_); });
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

Value DataOracle::left_by(const Request& request, Value below) noexcept {
  if (request.write_id != 0) return value_of_write(request.write_id);
  return request.to_base ? below : request.constant;
}

// A run may reach over the end of the base, where what is below differs.
template <typename Change>
void DataOracle::change(Device& device, const Request& request, Change change) {
  const std::uint64_t end = request.sector + request.sectors;
  const std::uint64_t edge = std::max(request.sector, std::min(end, device.base.sectors));
  const auto change_part = [&](std::uint64_t first, std::uint64_t part_end, Value below,
                               Value initial) {
    device.touched.change(first, part_end, SectorHistory::holding(initial),
                          [&](SectorHistory& history) { change(history, below); });
  };
  const Value base = value_of_write(device.base.write_id);
  change_part(request.sector, edge, base, base);
  change_part(edge, end, Value::zeroes, options_.zeroed ? Value::zeroes : Value::anything);
}

void DataOracle::begin_all(const Request& request) {
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  change(found->second, request, [&](SectorHistory& history, Value below) {
    history.begin(left_by(request, below), request.begun);
  });
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
                                               std::uint64_t sectors, Value constant) {
  const std::lock_guard lock{mutex_};
  Request request = begin(device, sector, sectors);
  request.constant = constant;
  begin_all(request);
  return request;
}

DataOracle::Request DataOracle::begin_zero(std::uint32_t device, std::uint64_t sector,
                                           std::uint64_t sectors) {
  return begin_constant(device, sector, sectors, Value::zeroes);
}

DataOracle::Request DataOracle::begin_discard(std::uint32_t device, std::uint64_t sector,
                                              std::uint64_t sectors) {
  if (discards_to_anything()) return begin_constant(device, sector, sectors, Value::anything);
  const std::lock_guard lock{mutex_};
  Request request = begin(device, sector, sectors);
  request.to_base = true;
  begin_all(request);
  const auto found = devices_.find(device);
  if (found == devices_.end()) return request;
  change(found->second, request, [&](SectorHistory& history, Value) {
    history.begin_hidden(Value::anything, request.begun);
  });
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
  hidden.constant = Value::anything;
  end_change(hidden, false, false);
}

void DataOracle::end_change(const Request& request, bool certain, bool durable) {
  const std::lock_guard lock{mutex_};
  const Moment ended = ++clock_;
  const auto found = devices_.find(request.device);
  if (found == devices_.end()) return;
  const Moment oldest = oldest_reader();
  change(found->second, request, [&](SectorHistory& history, Value below) {
    history.end(left_by(request, below), request.begun, ended, certain, durable, oldest);
  });
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
  Device& device = found->second;
  const std::uint64_t end = request.sector + request.sectors;
  for (std::uint64_t sector = request.sector; sector < end;) {
    const auto [history, stretch_end] = device.touched.at(sector);
    const std::uint64_t edge = sector < device.base.sectors ? device.base.sectors : end;
    const Seen seen = look(request, data, sector, std::min({end, stretch_end, edge}));
    // One finding per read says enough.
    if (history == nullptr) {
      if (!judge_untouched(request, device, seen, findings)) return;
    } else {
      if (!judge(request, device, *history, seen, findings)) return;
    }
    sector = seen.end;
  }
}

DataOracle::Seen DataOracle::look(const Request& request, std::span<const std::byte> data,
                                  std::uint64_t first, std::uint64_t end) noexcept {
  const auto stamp_in = [&](std::uint64_t sector) {
    return read_stamp(
        data.subspan((sector - request.sector) * engine::kSectorSize).first<engine::kSectorSize>());
  };
  const Stamp stamp = stamp_in(first);
  Seen seen{.first = first, .end = first + 1, .stamp = stamp, .value = value_of(stamp, first)};
  while (seen.end < end && value_of(stamp_in(seen.end), seen.end) == seen.value)
    ++seen.end;
  return seen;
}

bool DataOracle::judge_untouched(const Request& request, const Device& device, const Seen& seen,
                                 Findings& findings) const {
  const bool has_base = seen.first < device.base.sectors;
  const Value below = has_base ? value_of_write(device.base.write_id) : Value::zeroes;
  if (seen.value == below || !(options_.zeroed || has_base)) return true;
  findings.add("data_oracle",
               has_base ? "unwritten sector not the origin's" : "unwritten sector not zero",
               "thin {} sector {} was never written and reads as {}", request.device, seen.first,
               describe(seen.stamp, seen.first));
  return false;
}

bool DataOracle::judge(const Request& request, Device& device, const SectorHistory& history,
                       const Seen& seen, Findings& findings) const {
  if (options_.may_roll_back && history.permits_rolled_back(seen.value, request.begun)) return true;
  if (history.permits(seen.value, request.begun)) {
    const bool anything_stays = discards_to_anything();
    if (history.settled(seen.value, request.begun, anything_stays)) return true;
    device.touched.change(seen.first, seen.end, SectorHistory{}, [&](SectorHistory& changed) {
      changed.settle(seen.value, request.begun, anything_stays);
    });
    return true;
  }
  std::string permitted;
  bool was_once = false;
  for (const SectorHistory::Candidate& candidate : history.candidates()) {
    if (candidate.value == seen.value) was_once = true;
    if (candidate.superseded <= request.begun) continue;
    fmt::format_to(std::back_inserter(permitted), "{}{}", permitted.empty() ? "" : ", ",
                   describe(candidate.value));
  }
  findings.add("data_oracle",
               seen.value == Value::zeroes                 ? "written data reads as zeroes"
               : was_once || is_of(seen.stamp, seen.first) ? "stale data"
                                                           : "foreign data",
               "thin {} sector {} reads as {}, permitted: {}", request.device, seen.first,
               describe(seen.stamp, seen.first), permitted);
  return false;
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
  found->second.touched.change_all([&](SectorHistory& history) {
    history.flushed(request.begun, clock_, found->second.opened);
  });
}

void DataOracle::power_cut() {
  const std::lock_guard lock{mutex_};
  ++clock_;
  reads_under_way_.clear();
  const Moment oldest = oldest_reader();
  for (auto& [id, device] : devices_)
    device.touched.change_all([&](SectorHistory& history) { history.power_cut(clock_, oldest); });
}

}   // namespace checkers
