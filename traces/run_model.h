// What a trace says between its lines: which events belong to one I/O, which fibers are I/Os, which
// device is which thin, who was where when. The pictures and stories are made from it.
//
// Refers to the trace, which must outlive it. Works on whatever a trace file may hold: ids that
// name nobody and I/Os that never end are part of life.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/env/bio.h"
#include "traces/trace.h"

namespace traces {

inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// One bio on one device, from its submission on.
struct IoLife {
  std::uint32_t device_id = 0;   // the object's
  std::string device;            // "data"
  bool disk = false;             // the lowest device, not a mapped one
  engine::BioOp op = engine::BioOp::read;
  bool fua = false;
  std::uint64_t sector = 0;
  std::uint64_t sectors = 0;
  std::uint64_t ordinal = 0;   // of its submission to the device, from 1
  std::uint32_t actor = 0;     // the fiber that its end_io ran on; 0 unknown
  std::uint64_t status = 0;    // engine::Errc
  // Indices of events, kNone for what did not happen.
  std::size_t submit = kNone;
  std::size_t effect = kNone;
  std::size_t complete = kNone;

  [[nodiscard]] bool overlaps(std::uint64_t first, std::uint64_t count) const noexcept {
    return sector < first + count && first < sector + sectors;
  }
  [[nodiscard]] bool overlaps(const IoLife& other) const noexcept {
    return device_id == other.device_id && overlaps(other.sector, other.sectors);
  }
};

class RunModel {
 public:
  explicit RunModel(const Trace& trace);

  [[nodiscard]] const Trace& trace() const noexcept { return trace_; }
  [[nodiscard]] const std::vector<IoLife>& ios() const noexcept { return ios_; }
  // The I/O that event `index` is a part of, or null.
  [[nodiscard]] const IoLife* io_of_event(std::size_t index) const noexcept;
  // The I/O that a decision lets take effect or end, or null.
  [[nodiscard]] const IoLife* io_of_decision(const Decision& decision) const noexcept;

  // In programs those of which there are several bear their numbers, as in reports: "reader#3".
  [[nodiscard]] std::string fiber_name(std::uint32_t id) const;
  // "queue"; in programs, where there are several of that name, "fork@4", as in reports.
  [[nodiscard]] std::string object_words(const Event& event) const;
  // What was about to be touched by whoever a decision stopped; kNone where that never came.
  [[nodiscard]] std::size_t event_put_off(const Decision& decision) const noexcept;
  // Where a thread of a program is waited for.
  [[nodiscard]] bool is_end_of_thread(std::uint32_t object_id) const noexcept {
    return ends_of_threads_.contains(object_id);
  }
  [[nodiscard]] bool is_io_fiber(std::uint32_t id) const noexcept;
  // The disk's name where an I/O's end runs, else empty.
  [[nodiscard]] std::string_view disk_of_fiber(std::uint32_t id) const noexcept;
  // In the order of their first event.
  [[nodiscard]] const std::vector<std::string>& disks() const noexcept { return disks_; }

  [[nodiscard]] std::uint64_t block_sectors() const noexcept { return block_sectors_; }
  // Which thin a mapped device is, as far as events show.
  [[nodiscard]] std::optional<std::uint64_t> thin_of_device(std::uint32_t object_id) const noexcept;
  // Told before: equal to an event just before it, by the same fiber, told by another layer.
  [[nodiscard]] bool is_echo(std::size_t event) const noexcept { return echo_[event]; }

 private:
  void find_disks();
  void follow_ios();
  void find_thins();
  void find_echoes();
  void find_namesakes();
  [[nodiscard]] std::size_t in_flight(const std::vector<std::size_t>& candidates,
                                      const Event& event, std::uint32_t actor,
                                      bool ending) const noexcept;

  const Trace& trace_;
  std::map<std::uint32_t, const Fiber*> fibers_;
  std::vector<std::string> disks_;
  std::map<std::uint32_t, std::string> disk_fibers_;
  std::vector<IoLife> ios_;
  std::vector<std::size_t> io_of_event_;
  std::map<std::uint32_t, std::size_t> io_of_actor_;
  std::map<std::uint32_t, std::uint64_t> thins_;
  std::vector<bool> echo_;
  // Of a program: what several fibers, and several objects of a kind, are called.
  std::set<std::string, std::less<>> fibers_of_one_name_;
  std::set<std::string, std::less<>> objects_of_one_name_;
  std::set<std::uint32_t> ends_of_threads_;
  std::uint64_t block_sectors_ = 128;
};

// "device data" -> "data".
[[nodiscard]] std::string_view object_name(std::string_view object) noexcept;

}   // namespace traces
