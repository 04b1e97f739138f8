// A simulated disk. An I/O is submitted, takes effect at some later step of the execution, and ends
// at a later one still; those in flight pass each other.
//
// Volatile cache: what a write, zeroing or discard changed is visible at once to later reads and
// survives a power cut only if a flush took effect after it, or it was FUA and has ended. Otherwise
// the cut leaves of each sector any version since the last flush, as the environment decides: the
// last, the one that was durable, or one in between. Writes under way may be torn.
//
// Latency: whatever the schedule makes of an I/O, it may also wait for the clock, before it takes
// effect or before it ends, so that timers fire meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/env/block_device.h"
#include "sim/device_observer.h"
#include "sim/disk_image.h"
#include "sim/execution.h"
#include "sim/fault_plan.h"
#include "sim/undecided_pages.h"

namespace sim {

class Rng;

enum class DiscardLeaves : std::uint8_t {
  zeroes,
  old_data,
  garbage,   // words of kGarbage, plus the sector's number
  chosen,    // any of the three, decided when it takes effect
};
inline constexpr std::uint64_t kGarbage = 0xD15CA2DED0000000ULL;

struct SimDeviceOptions {
  std::uint64_t sectors = 0;   // 0: the image's
  DiskImageRef image = {};     // what is on it; null: zeroes
  bool write_cache = true;     // false: every write is durable when it has ended
  // A power cut keeps or loses groups of that many sectors as one.
  std::uint32_t atomic_sectors = 1;
  CutLeaves cut_leaves = CutLeaves::drawn;   // of each of those groups
  std::uint32_t logical_block_sectors = 1;
  std::uint64_t discard_sectors_max = 1U << 20U;   // 0: no discards
  std::uint32_t discard_granularity_sectors = 1;
  std::uint64_t transfer_sectors_max = 2048;
  DiscardLeaves discard_leaves = DiscardLeaves::chosen;
  // A cut may leave versions in between; else only the oldest and the latest, which is cheaper.
  bool keeps_versions = true;
  Latency latency = {};
  FaultPlan faults = {};
};

class SimDevice final : public engine::BlockDevice {
 public:
  SimDevice(Execution& execution, const char* name, SimDeviceOptions options);
  ~SimDevice() override;

  [[nodiscard]] engine::DeviceLimits limits() const noexcept override;

  // --- Power ---
  // Freezes the device: what is in flight and what comes later ends with power_lost. What is left
  // on it is decided now. Any context; no scheduling point.
  void power_cut();
  [[nodiscard]] bool powered() const noexcept { return crash_ == nullptr; }
  // What the cut left, to boot from.
  [[nodiscard]] DiskImageRef crash_image() const noexcept { return crash_; }

  // --- Looking, without I/O ---
  // What reads would see now.
  void peek(engine::Sector sector, engine::MutableBytes bytes) const noexcept;
  [[nodiscard]] DiskImageRef snapshot() const;
  // What would certainly survive a power cut.
  [[nodiscard]] DiskImageRef durable_snapshot() const;
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }
  [[nodiscard]] std::uint32_t submissions() const noexcept { return submissions_; }

  // Changes take hold for I/Os that take effect later.
  [[nodiscard]] FaultPlan& faults() noexcept { return options_.faults; }
  // Likewise, for those that are submitted later.
  [[nodiscard]] Latency& latency() noexcept { return options_.latency; }
  // Larger or smaller; nothing may be in flight beyond a smaller size.
  void resize(std::uint64_t sectors) noexcept { sectors_ = sectors; }
  // Alive until the device is gone, or until it is removed.
  void add_observer(DeviceObserver& observer) { observers_.push_back(&observer); }
  void remove_observer(DeviceObserver& observer) { std::erase(observers_, &observer); }
  [[nodiscard]] Execution& execution() const noexcept { return execution_; }

 private:
  class Io;
  struct RuleState {
    std::uint64_t matched = 0;
    std::uint64_t struck = 0;
  };
  struct BadRange {
    std::uint32_t ops;
    std::uint64_t first;
    std::uint64_t end;
    engine::Errc status;
  };

  void do_submit(engine::Bio& bio) override;
  void choose_latency(Io& io);
  void take_effect(Io& io);
  SimFiber* start_completion(Io& io);
  void end(Io& io);
  engine::Errc retire(Io& io);   // all of end() but the bio's end
  [[nodiscard]] engine::Errc fault_of(const engine::Bio& bio);
  void apply(const engine::Bio& bio);
  void discard(const engine::Bio& bio);
  static void fill_with_garbage(std::uint64_t sector, std::byte* bytes) noexcept;
  // `data` null: zeroes.
  void change(std::uint64_t sector, std::uint64_t count, const std::byte* data);
  void change_page(std::uint64_t number, std::uint32_t first, std::uint32_t count,
                   const std::byte* data);
  void make_durable(const Io& io);
  [[nodiscard]] const Page* page(std::uint64_t number) const noexcept;
  [[nodiscard]] PageRef page_ref(std::uint64_t number) const noexcept;
  [[nodiscard]] DiskImageRef choose_crash_image();
  enum class Keeps : std::uint32_t { all, none, pages, sectors, prefix, between, kCount };
  void keep_versions(DiskImage& image, Rng& rng) const;
  void keep_some(DiskImage& image, Keeps keeps, Rng& rng) const;
  void tear_discards(DiskImage& image, Rng rng) const;
  [[nodiscard]] DiskImageRef undecided_image();

  Execution& execution_;
  SimDeviceOptions options_;
  std::uint64_t sectors_;
  std::uint32_t index_;
  std::uint32_t submissions_ = 0;
  PageTable now_;   // over options_.image
  // What the pages that changed since the last flush were then; null: zeroes.
  PageTable durable_;
  // What those pages were since, before each change; the latest is in now_.
  std::vector<PageTable::Entry> between_;
  std::uint64_t flushes_ = 0;   // that have taken effect
  DiskImageRef crash_;
  std::uint64_t stalls_ = 0;     // had so far
  std::vector<Io*> in_flight_;   // submitted, end_io not begun
  std::vector<std::unique_ptr<Io>> ios_;
  std::vector<Io*> free_ios_;
  std::vector<DeviceObserver*> observers_;
  std::vector<RuleState> rule_states_;
  std::vector<BadRange> bad_;
};

}   // namespace sim
