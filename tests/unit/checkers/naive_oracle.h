// The data oracle as one would write it first: a history for every sector, told of everything one
// sector after the other, and stamps with the sector in them as values. What the real one, which
// keeps runs, is compared with (data_oracle_property_test.cc). Single-threaded.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "checkers/data_oracle.h"

namespace checkers {

class NaiveOracle {
 public:
  using Request = DataOracle::Request;
  explicit NaiveOracle(DataOracle::Options options) : options_{options} {}

  std::uint64_t new_write_id() { return next_write_id_++; }
  void create(std::uint32_t device, std::uint64_t sectors, DataOracle::Base base);
  void remove(std::uint32_t device) { devices_.erase(device); }
  void closed(std::uint32_t device);
  Moment begin_snapshot();
  void snapshot(std::uint32_t snapshot, std::uint32_t origin, Moment begun);
  void end_snapshot(Moment begun);

  Request begin_write(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  Request begin_zero(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  void end_write(const Request& request, bool ok, bool fua);
  Request begin_discard(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  void end_discard(const Request& request);
  Request begin_read(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  void end_read(const Request& request, bool ok, std::span<const std::byte> data,
                Findings& findings);
  Request begin_flush(std::uint32_t device);
  void end_flush(const Request& request, bool ok);
  void power_cut();

  // All that the sector holds or may have held, by the device's past; never empty.
  [[nodiscard]] std::vector<Stamp> stamps(std::uint32_t device, std::uint64_t sector) const;

 private:
  struct Device {
    std::uint64_t sectors = 0;
    DataOracle::Base base;
    Moment opened = 0;
    std::map<std::uint64_t, SectorHistory> touched;
  };
  [[nodiscard]] bool discards_to_anything() const {
    return !options_.zeroed || options_.discarded_is_anything;
  }
  [[nodiscard]] static Value below(const Device& device, std::uint64_t sector);
  [[nodiscard]] static Value left_by(const Request& request, const Device& device,
                                     std::uint64_t sector);
  SectorHistory& history(Device& device, std::uint64_t sector);
  Request begin(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  void begin_all(const Request& request);
  // Returns whether the read may go on.
  bool judge(const Request& request, Device& device, std::uint64_t sector, Stamp stamp,
             Findings& findings);
  [[nodiscard]] Moment oldest_reader() const;

  DataOracle::Options options_;
  Moment clock_ = 0;
  std::uint64_t next_write_id_ = 1;
  std::map<std::uint32_t, Device> devices_;
  std::multiset<Moment> reads_under_way_;
  std::multiset<Moment> snapshots_under_way_;
};

}   // namespace checkers
