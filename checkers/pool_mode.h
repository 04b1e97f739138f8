// The pool's mode against a small reference machine of its own:
//   - fail is final; modes degrade by the order write < out of data space < out of metadata space <
//     read-only < fail, and get better only where the table below says;
//   - without any fault of the metadata device, no pool becomes read-only or fails: running out of
//     data space least of all;
//   - out of data space and nothing under way, there is no free block; with space, what happens
//     when there is none is what the table asks for;
//   - where the table asks for waiting, a write is refused for want of space only after the pool
//     has been out of it for as long as it waits.
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
    bool error_if_no_space = false;      // what the table asks for
    engine::Nanos no_space_timeout{0};   // how long it waits otherwise; 0: for ever
  };
  explicit PoolModeJudge(Options options) : options_{options} {}

  // Modes as they are numbered in engine/thin/pool_mode.h.
  void changed(std::uint64_t from, std::uint64_t to, std::string_view reason, engine::Nanos now,
               Findings& findings);
  // A write that was begun then has ended, as there was no space for it.
  void refused(engine::Nanos begun, engine::Nanos now, Findings& findings) const;
  // The pool is gone, and another comes.
  void begin_anew() noexcept { *this = PoolModeJudge{options_}; }
  // It has failed: nothing of its metadata can be used any more.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  // A status line, taken when nothing is under way.
  void at_rest(std::string_view status, Findings& findings);

 private:
  [[nodiscard]] bool out_for_long(engine::Nanos now) const noexcept {
    return out_of_space_ && options_.no_space_timeout != engine::Nanos{0} &&
           now - out_since_ >= options_.no_space_timeout;
  }

  Options options_;
  bool failed_ = false;
  bool out_of_space_ = false;
  engine::Nanos out_since_{0};
  engine::Nanos refused_until_{-1};   // when it last had space again, having refused writes
};

}   // namespace checkers
