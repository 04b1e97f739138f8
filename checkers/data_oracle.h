// Judges every read of every thin device: is what it returned one of the values that the history of
// writes, discards, flushes, snapshots, failures and power cuts permits? (sector_history.h says
// which those are.)
//
// Clients write *stamped* sectors, so that a value names the write and the sector it belongs to:
// data that lands in the wrong place, or comes from another device, is a value nobody permits.
//
// Callable from several threads. It knows nothing of the engine: it sees what a client sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "checkers/findings.h"
#include "checkers/sector_history.h"

namespace checkers {

// Bytes of a stamped sector: the stamp at both ends, zeroes between. Fills `sectors` of them.
void fill_stamped(std::span<std::byte> bytes, std::uint64_t write_id, std::uint64_t first_sector);
// The stamp that `write_id` gives to `sector`.
[[nodiscard]] Stamp stamp_of(std::uint64_t write_id, std::uint64_t sector) noexcept;
// The stamp a sector holds; a torn or foreign one yields a value that no write has.
[[nodiscard]] Stamp read_stamp(std::span<const std::byte, 512> sector) noexcept;
// For messages: "zeroes", "write 12", ...
[[nodiscard]] std::string describe(Stamp stamp, std::uint64_t sector);

class DataOracle {
 public:
  struct Options {
    // Newly provisioned blocks are zeroed; else what is unwritten in them may be anything.
    bool zeroed = true;
    // Metadata errors may roll a pool back to its last commit at any time: what is not durable may
    // vanish without a power cut.
    bool may_roll_back = false;
    // What was discarded may read as anything, and differently each time, until it is written.
    bool discarded_is_anything = false;
  };
  explicit DataOracle(Options options) : options_{options} {}

  // What shows where nothing was written: the first `sectors` of it are those of a write that is
  // never undone, elsewhere nothing.
  struct Base {
    std::uint64_t write_id = 0;
    std::uint64_t sectors = 0;
  };
  // A write of that number is nobody's yet: for what lies below.
  [[nodiscard]] std::uint64_t new_write_id();

  // --- Devices. Ids are thin ids. ---
  void create(std::uint32_t device, std::uint64_t sectors, Base base);
  void create(std::uint32_t device, std::uint64_t sectors) { create(device, sectors, Base{}); }
  void remove(std::uint32_t device);
  // Its last user is gone. Where metadata may be rolled back, what was not durable by then may be
  // lost before the next one comes, whose flushes are not told of it.
  void closed(std::uint32_t device);
  [[nodiscard]] bool knows(std::uint32_t device) const;
  // A snapshot is about to be asked for; what origins hold from now on is remembered until
  // end_snapshot(), over power cuts as well.
  [[nodiscard]] Moment begin_snapshot();
  // It was taken, or may have been: `snapshot` holds what `origin` held at some moment since.
  void snapshot(std::uint32_t snapshot, std::uint32_t origin, Moment begun);
  void end_snapshot(Moment begun);

  // --- Requests: a begin before submission, an end when it has ended. ---
  struct Request {
    std::uint32_t device = 0;
    std::uint64_t sector = 0;
    std::uint64_t sectors = 0;
    std::uint64_t write_id = 0;   // writes: what to stamp with; others 0
    Stamp constant = kZeroes;     // what others than writes leave,
    bool to_base = false;         // or those that leave what is below
    Moment begun = 0;
  };
  [[nodiscard]] Moment now();
  [[nodiscard]] Request begin_write(std::uint32_t device, std::uint64_t sector,
                                    std::uint64_t sectors);
  void end_write(const Request& request, bool ok, bool fua);
  // A request to write zeroes. Certain like a write.
  [[nodiscard]] Request begin_zero(std::uint32_t device, std::uint64_t sector,
                                   std::uint64_t sectors);
  void end_zero(const Request& request, bool ok, bool fua);
  // A discard is advice: afterwards the old data or what an unmapped block reads as. A power cut
  // may keep the data device's part of it and lose the pool's, so then anything: the content was
  // given up.
  [[nodiscard]] Request begin_discard(std::uint32_t device, std::uint64_t sector,
                                      std::uint64_t sectors);
  void end_discard(const Request& request);
  [[nodiscard]] Request begin_read(std::uint32_t device, std::uint64_t sector,
                                   std::uint64_t sectors);
  void end_read(const Request& request, bool ok, std::span<const std::byte> data,
                Findings& findings);
  [[nodiscard]] Request begin_flush(std::uint32_t device);
  void end_flush(const Request& request, bool ok);

  // All power is gone; what was under way never ends. Call before the first request after it.
  void power_cut();

  // Sectors ever written on the device, for a final look at all of them.
  [[nodiscard]] std::uint64_t size(std::uint32_t device) const;

 private:
  struct Device {
    std::uint64_t sectors = 0;
    Base base;
    Moment opened = 0;
    std::map<std::uint64_t, SectorHistory> touched;   // by sector; others hold the initial value
  };
  [[nodiscard]] SectorHistory initial(const Device& device, std::uint64_t sector) const;
  // And so may what was never written: mapping it may change what it reads as.
  [[nodiscard]] bool discards_to_anything() const noexcept {
    return !options_.zeroed || options_.discarded_is_anything;
  }
  SectorHistory& history(Device& device, std::uint64_t sector);
  [[nodiscard]] Request begin(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  [[nodiscard]] Request begin_constant(std::uint32_t device, std::uint64_t sector,
                                       std::uint64_t sectors, Stamp constant);
  void begin_all(const Request& request);
  // What it leaves on a sector.
  [[nodiscard]] static Stamp left_by(const Request& request, const Device& device,
                                     std::uint64_t sector) noexcept;
  // What an unwritten sector shows.
  [[nodiscard]] static Stamp below(const Device& device, std::uint64_t sector) noexcept;
  void end_change(const Request& request, bool certain, bool durable);
  [[nodiscard]] Moment oldest_reader() const;

  Options options_;
  mutable std::mutex mutex_;
  Moment clock_ = 0;
  std::uint64_t next_write_id_ = 1;
  std::map<std::uint32_t, Device> devices_;
  std::multiset<Moment> reads_under_way_;
  std::multiset<Moment> snapshots_under_way_;
};

}   // namespace checkers
