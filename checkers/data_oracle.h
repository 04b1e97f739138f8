// Judges every read of every thin device: is what it returned one of the values that the history of
// writes, discards, flushes, snapshots, failures and power cuts permits? (sector_history.h says
// which those are.)
//
// Clients write *stamped* sectors (stamp.h), so that data that lands in the wrong place, or comes
// from another device, is a value nobody permits.
//
// Callable from several threads. It knows nothing of the engine: it sees what a client sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>

#include "checkers/findings.h"
#include "checkers/sector_history.h"
#include "checkers/sector_runs.h"
#include "checkers/stamp.h"

namespace checkers {

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
    std::uint64_t write_id = 0;       // writes: what to stamp with; others 0
    Value constant = Value::zeroes;   // what others than writes leave,
    bool to_base = false;             // or those that leave what is below
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
    SectorRuns<SectorHistory> touched;   // others hold the initial value
  };
  // And so may what was never written: mapping it may change what it reads as.
  [[nodiscard]] bool discards_to_anything() const noexcept {
    return !options_.zeroed || options_.discarded_is_anything;
  }
  // Calls `change` with each history of the sectors of `request`, and with what is below them.
  template <typename Change>
  void change(Device& device, const Request& request, Change change);
  [[nodiscard]] Request begin(std::uint32_t device, std::uint64_t sector, std::uint64_t sectors);
  [[nodiscard]] Request begin_constant(std::uint32_t device, std::uint64_t sector,
                                       std::uint64_t sectors, Value constant);
  void begin_all(const Request& request);
  // What it leaves on sectors that have `below` below them.
  [[nodiscard]] static Value left_by(const Request& request, Value below) noexcept;
  void end_change(const Request& request, bool certain, bool durable);
  // Neighbouring sectors that a read returned the same value of.
  struct Seen {
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    Stamp stamp = 0;   // of the first
    Value value{};
  };
  // From `first` on, and not to `end` or beyond.
  [[nodiscard]] static Seen look(const Request& request, std::span<const std::byte> data,
                                 std::uint64_t first, std::uint64_t end) noexcept;
  // These two return false with a finding. The first: all of `seen` is on one side of the base's
  // end. The second: all of it has `history`, which is settled where nothing overlapped the read.
  [[nodiscard]] bool judge_untouched(const Request& request, const Device& device, const Seen& seen,
                                     Findings& findings) const;
  [[nodiscard]] bool judge(const Request& request, Device& device, const SectorHistory& history,
                           const Seen& seen, Findings& findings) const;
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
