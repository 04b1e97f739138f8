// What a scenario needs of the world it runs in. The tank's implementation chooses interleavings,
// faults and power cuts; the one on real disks uses files and threads, and cannot cut the power.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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

  // The directory knows the disks of the SystemSpec (disks.h). At first they are blank, or as
  // Lab::prepare() has left them.
  [[nodiscard]] virtual engine::Env& env() = 0;

  // The disk gets larger or smaller; nothing may be in flight beyond a smaller size.
  virtual void resize(std::string_view disk, std::uint64_t sectors) = 0;

  // Runs every body on a fiber of its own, wherever the world likes, and waits for all. Suspends.
  // The place says who it is: an actor that has nothing to do has an empty one.
  virtual void run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) = 0;

  // Whoever calls this begins another operation of a workload.
  virtual void begin_operation() {}

  // From now on faults of the FaultSpec may strike, the power cut among them; before, nothing
  // fails.
  virtual void faults_begin() = 0;
  virtual void faults_end() = 0;
  // The power went: every I/O ends with power_lost until reboot().
  [[nodiscard]] virtual bool power_is_cut() const = 0;
  // The devices come back as the cut left them, under the same names. Nothing of the engine may be
  // alive. Faults are off.
  virtual void reboot() = 0;

  // A free decision: a value below `count`, where 0 is the mildest. Where nobody is there to
  // decide: 0. Any context.
  [[nodiscard]] virtual std::uint32_t choose(const char* what, std::uint32_t count) {
    static_cast<void>(what);
    static_cast<void>(count);
    return 0;
  }
  // Hands every event on, in the order in which things happen, until called with null. False:
  // nobody in this world can tell.
  virtual bool listen(engine::TraceSink* sink) {
    static_cast<void>(sink);
    return false;
  }

  // A write to a pool that was begun then has ended, as there was no space for it. For judges.
  virtual void refused_for_space(engine::Nanos begun) { static_cast<void>(begun); }
  // The metadata of a pool has failed, so requests do, too. Where nobody can tell: it may have.
  [[nodiscard]] virtual bool pool_has_failed() const { return true; }

  // Timers may fire early or disks take very long, so that durations mean nothing.
  [[nodiscard]] virtual bool time_leaps() const { return false; }
  // False: what became of the actors is known from another run, and need not be looked at.
  [[nodiscard]] virtual bool is_judged() const { return true; }

  // Knows why nothing goes on, where somebody was told to wait. Both suspend.
  class Patience {
   public:
    // Nothing can happen any more: does whoever waits do as was asked for? Changes nothing.
    [[nodiscard]] virtual bool waits_as_told() = 0;
    // Then this makes an end of it. Nothing of the caller is touched any more when it returns.
    virtual void end_waiting() = 0;

   protected:
    ~Patience() = default;
  };
  // Until called with null. A world that cannot tell that nothing goes on never asks.
  virtual void on_standstill(Patience* patience) { static_cast<void>(patience); }
  // The pool refuses what it has no space for from now on, whatever its table says. For judges.
  virtual void queueing_stopped() {}
  // Another pool object than the one before, if there was one. For judges.
  virtual void pool_opens() {}

  // Until called with null: why no I/O may reach that data disk. For judges.
  virtual void expect_quiet(std::string_view disk, const char* why) {
    static_cast<void>(disk);
    static_cast<void>(why);
  }

  // From now on it is noted what of the slowest data disk is discarded. For judges.
  virtual void watch_discards() {}
  // Has all of the range been discarded since? Where the world cannot tell: yes.
  [[nodiscard]] virtual bool was_discarded(engine::Sector begin, std::uint64_t sectors) const {
    static_cast<void>(begin);
    static_cast<void>(sectors);
    return true;
  }

  // What the disk holds now; nothing may be in flight to it.
  [[nodiscard]] virtual std::unique_ptr<checkers::image::BlockSource> image(
      std::string_view disk) = 0;

  // Told at once, so that a run can be stopped where it went wrong. May not return.
  virtual void report(const checkers::Finding& finding) = 0;
};

}   // namespace scenarios
