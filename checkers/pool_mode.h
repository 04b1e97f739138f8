// The pool's mode against a small reference machine of its own:
//   - fail is final; modes degrade by the order write < out of data space < out of metadata space <
//     read-only < fail, and get better only where the table below says;
//   - without any fault of the metadata device, no pool becomes read-only or fails: running out of
//     data space least of all;
//   - out of data space and nothing under way, there is no free block; with space, what happens
//   when
//     there is none is what the table asks for.
//
// Not covered: what requests do in each mode.
#pragma once

#include <cstdint>
#include <string_view>

#include "checkers/findings.h"

namespace checkers {

class PoolModeJudge {
 public:
  struct Options {
    bool metadata_may_fail = false;   // faults are on, or the metadata device is tiny
    bool error_if_no_space = false;   // what the table asks for
  };
  explicit PoolModeJudge(Options options) : options_{options} {}

  // Modes as they are numbered in engine/thin/pool_mode.h.
  void changed(std::uint64_t from, std::uint64_t to, std::string_view reason, Findings& findings);
  // A status line, taken when nothing is under way.
  void at_rest(std::string_view status, Findings& findings);

 private:
  Options options_;
};

}   // namespace checkers
