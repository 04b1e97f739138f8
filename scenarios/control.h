// Control actions that every kind of device takes: suspend, resume, removal, messages. Callable
// from all actors at once; who excludes whom is the caller's affair.
//
// Judges one promise on the way: a no-flush suspend waits for no bio.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "engine/base/result.h"
#include "scenarios/bench.h"

namespace scenarios {

// Has a device of that name, with a live table?
[[nodiscard]] bool has_table(engine::dm::System& system, const std::string& device);

class Control {
 public:
  explicit Control(Bench& bench) : bench_{bench} {}

  // All of these suspend.
  [[nodiscard]] bool is_active(const std::string& device);
  // Waits for the device's bios.
  bool suspend(const std::string& device);
  // Waits for no bio, which must not take long.
  bool suspend_noflush(const std::string& device);
  bool resume(const std::string& device);
  using Action = std::function<void()>;
  // Suspends and resumes; does it run again? In between nothing may reach the disks that are to be
  // quiet then, and `meanwhile` is done.
  bool bounce(const std::string& device, bool noflush, std::span<const char* const> quiet,
              const Action& meanwhile = {});
  // Removes the device, if nobody has it open; then it is gone.
  bool remove(const std::string& device);
  // Removes all devices and the system; what is still in use is a finding.
  void shut_down();
  engine::Result<void> message(const std::string& device, const std::string& text);

 private:
  // The device is suspended: for a moment, anything that reaches those disks has no right to.
  void linger(std::span<const char* const> quiet);

  Bench& bench_;
  // Actions that wait for bios, as long as those wait for space.
  std::atomic<std::uint64_t> patient_begun_{0};
  std::atomic<std::uint64_t> patient_ended_{0};
};

}   // namespace scenarios
