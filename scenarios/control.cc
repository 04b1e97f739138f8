#include "scenarios/control.h"

#include <chrono>
#include <iterator>

#include <fmt/format.h>

#include "engine/fiber/executor.h"

namespace scenarios {
namespace {

using engine::io::SuspendKind;

// A suspend that waits for no bio ends in less, or it waits for something after all.
constexpr engine::Nanos kNoflushMax = std::chrono::seconds{10};

// Counts an action that may wait for bios.
class Patient {
 public:
  Patient(std::atomic<std::uint64_t>& begun, std::atomic<std::uint64_t>& ended) : ended_{ended} {
    ++begun;
  }
  ~Patient() { ++ended_; }
  Patient(const Patient&) = delete;
  Patient& operator=(const Patient&) = delete;

 private:
  std::atomic<std::uint64_t>& ended_;
};

// A linear device has none of its own, and those that it sent on wait where they are.
bool hands_bios_back(engine::dm::System& system, const std::string& device) {
  const auto table = system.table(device);
  return !table || table->find(" linear ") == std::string::npos;
}

}   // namespace

bool has_table(engine::dm::System& system, const std::string& device) {
  const auto info = system.info(device);
  return info && info->has_live_table;
}

bool Control::is_active(const std::string& device) {
  return has_table(*bench_.system, device);
}

bool Control::suspend(const std::string& device) {
  const Patient patient{patient_begun_, patient_ended_};
  return bench_.system->suspend(device, SuspendKind::flush).has_value();
}

bool Control::suspend_noflush(const std::string& device) {
  const std::uint64_t begun = patient_begun_;
  const bool alone = patient_ended_ == begun;
  const engine::Nanos before = engine::current_executor().now();
  const bool done = bench_.system->suspend(device, SuspendKind::noflush).has_value();
  const engine::Nanos took = engine::current_executor().now() - before;
  if (alone && patient_begun_ == begun && took > kNoflushMax && !bench_.world.time_leaps() &&
      hands_bios_back(*bench_.system, device)) {
    bench_.tell("a no-flush suspend waits", fmt::format("suspending {} took {} ms", device,
                                                        took / std::chrono::milliseconds{1}));
  }
  return done;
}

bool Control::resume(const std::string& device) {
  return bench_.system->resume(device).has_value();
}

bool Control::bounce(const std::string& device, bool noflush, std::span<const char* const> quiet,
                     const Action& meanwhile) {
  const bool suspended = noflush ? suspend_noflush(device) : suspend(device);
  if (suspended && !quiet.empty()) linger(quiet);
  if (suspended && meanwhile) meanwhile();
  return resume(device);
}

void Control::linger(std::span<const char* const> quiet) {
  for (const char* const disk : quiet)
    bench_.world.expect_quiet(disk, "while what uses it is suspended");
  for (int i = 0; i < 4; ++i)
    engine::yield_now();
  for (const char* const disk : quiet)
    bench_.world.expect_quiet(disk, nullptr);
}

bool Control::remove(const std::string& device) {
  const Patient patient{patient_begun_, patient_ended_};
  const engine::Result<void> removed = bench_.system->remove(device);
  return removed || removed.error().code != engine::Errc::busy;
}

void Control::shut_down() {
  const auto removed = bench_.system->remove_all();
  if (!removed) {
    std::string open;
    for (const engine::dm::DeviceInfo& device : bench_.system->list())
      fmt::format_to(std::back_inserter(open), " {} (open {})", device.name, device.open_count);
    bench_.tell("devices in use at the end",
                fmt::format("still there after the last user left:{}", open));
  }
  bench_.system.reset();
}

engine::Result<void> Control::message(const std::string& device, const std::string& text) {
  const engine::Result<std::string> answer =
      bench_.system->message(device, engine::Sector{0}, text);
  if (!answer) return engine::Failure{answer.error()};
  return {};
}

}   // namespace scenarios
