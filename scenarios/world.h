// What a scenario needs of the world it runs in. The tank's implementation chooses interleavings,
// faults and power cuts; the one on real disks uses files and threads, and cannot cut the power.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkers/findings.h"
#include "checkers/image/block_source.h"
#include "engine/env/env.h"
#include "scenarios/workload.h"

namespace scenarios {

class World {
 public:
  virtual ~World() = default;

  // The directory knows "metadata" and "data", blank and of the sizes of the SystemSpec.
  [[nodiscard]] virtual engine::Env& env() = 0;
  [[nodiscard]] virtual engine::BlockDevice& metadata() = 0;
  [[nodiscard]] virtual engine::BlockDevice& data() = 0;

  // The metadata device gets larger by that much.
  virtual void grow_metadata(std::uint64_t blocks) = 0;

  // Runs every body on a fiber of its own, wherever the world likes, and waits for all. Suspends.
  virtual void run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) = 0;

  // From now on faults of the FaultSpec may strike, the power cut among them; before, nothing
  // fails.
  virtual void faults_begin() = 0;
  virtual void faults_end() = 0;
  // The power went: every I/O ends with power_lost until reboot().
  [[nodiscard]] virtual bool power_is_cut() const = 0;
  // The devices come back as the cut left them, under the same names. Nothing of the engine may be
  // alive. Faults are off.
  virtual void reboot() = 0;

  // Until called with null: why no I/O may reach the data device. For judges.
  virtual void expect_quiet(const char* why) { static_cast<void>(why); }

  // From now on it is noted what of the data device is discarded. For judges.
  virtual void watch_discards() {}
  // Has all of the range been discarded since? Where the world cannot tell: yes.
  [[nodiscard]] virtual bool was_discarded(engine::Sector begin, std::uint64_t sectors) const {
    static_cast<void>(begin);
    static_cast<void>(sectors);
    return true;
  }

  // What the metadata device holds now; the engine must not be running.
  [[nodiscard]] virtual std::unique_ptr<checkers::image::BlockSource> metadata_image() = 0;

  // Told at once, so that a run can be stopped where it went wrong. May not return.
  virtual void report(const checkers::Finding& finding) = 0;
};

}   // namespace scenarios
