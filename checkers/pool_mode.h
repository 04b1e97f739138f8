// The pool's mode against a small reference machine of its own:
//   - fail is final; modes degrade by the order write < out of data space < out of metadata space <
//     read-only < fail, and get better only where the table below says;
//   - without any fault of the metadata device, no pool becomes read-only or fails: running out of
//     data space least of all; nor does one whose metadata ran out, and has grown;
//   - out of data space and nothing under way, there is no free block; with space, what happens
//     when there is none is what the table asks for;
//   - where the table asks for waiting, a write is refused for want of space only after the pool
//     has been out of it for as long as it waits, or somebody has stopped the waiting; where that
//     is for ever, also when the core waits for it, to suspend a device.
//
// Not covered: what other requests do in each mode.
#pragma once

#include <cstdint>
#include <string_view>

#include "checkers/findings.h"
#include "engine/base/units.h"

namespace checkers {

class PoolModeJudge {
 public:
  struct Options {
    bool metadata_may_fail = false;      // faults are on, or the metadata device is tiny
    bool growth_heals = false;           // no faults, and once it has grown it is tiny no more
    bool error_if_no_space = false;      // what the table asks for
    engine::Nanos no_space_timeout{0};   // how long it waits otherwise; 0: for ever
  };
  explicit PoolModeJudge(Options options) : options_{options} {}

  // Modes as they are numbered in engine/thin/pool_mode.h.
  void changed(std::uint64_t from, std::uint64_t to, std::string_view reason, engine::Nanos now,
               Findings& findings);
  // A write that was begun then has ended, as there was no space for it.
  void refused(engine::Nanos begun, engine::Nanos now, Findings& findings) const;
  // A control action that may wait for bios has begun, or has ended.
  void suspend_begins() noexcept { ++suspends_; }
  void suspend_ends(engine::Nanos now) noexcept {
    --suspends_;
    suspended_until_ = now;
  }
  // It refuses what it has no space for from now on, whatever its table says.
  void queueing_stopped() noexcept { queueing_stopped_ = true; }
  // The pool is gone, and another comes. Control actions go on.
  void begin_anew() noexcept {
    PoolModeJudge anew{options_};
    anew.suspends_ = suspends_;
    anew.suspended_until_ = suspended_until_;
    *this = anew;
  }
  // It has failed: nothing of its metadata can be used any more.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // A status line, taken when nothing is under way.
  void at_rest(std::string_view status, Findings& findings);

 private:
  [[nodiscard]] bool out_for_long(engine::Nanos now) const noexcept {
    return out_of_space_ && options_.no_space_timeout != engine::Nanos{0} &&
           now - out_since_ >= options_.no_space_timeout;
  }

  [[nodiscard]] bool metadata_may_fail() const noexcept {
    return options_.metadata_may_fail && !(options_.growth_heals && has_grown_);
  }

  [[nodiscard]] bool refuses() const noexcept {
    return options_.error_if_no_space || queueing_stopped_;
  }

  // Since then some device was being suspended.
  [[nodiscard]] bool was_suspending(engine::Nanos since) const noexcept {
    return suspends_ != 0 || suspended_until_ >= since;
  }

  Options options_;
  std::uint32_t suspends_ = 0;
  engine::Nanos suspended_until_{-1};
  bool queueing_stopped_ = false;
  bool failed_ = false;
  bool has_grown_ = false;
  bool out_of_space_ = false;
  engine::Nanos out_since_{0};
  engine::Nanos refused_until_{-1};   // when it last had space again, having refused writes
};

}   // namespace checkers
