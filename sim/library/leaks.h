// Memory that a program takes with new and loses: nobody can give it back any more, as nothing
// points to it (takings.h, memory_scan.h).
//
// Each execution that comes to its end and leaves something behind is looked at; most often that is
// a static, a cache, or what the caller counts in, and something points to it: where it did before,
// which is soon seen, or else all of the process's memory is looked through. What has lost
// something is run again, a few times under the same schedule: only what loses something each time
// has a leak. So a program that has none is run no more often than without.
//
// Takes what may be a pointer for one, so a leak may hide behind a number; what something still
// points to is no leak, though nobody may ever free it. Programs with an operator new of their own
// are not looked at, nor those built with a sanitizer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "sim/library/search.h"
#include "sim/library/takings.h"

namespace sim {

// Watches an execution for losses.
class LeakWatch {
 public:
  // How often what is left behind, and is not held as it was before, is looked for throughout the
  // process.
  enum class Looks : bool {
    each_time,   // who says that there is no leak has to
    ever_less,   // while the same number of blocks is left, and nothing was lost
  };
  // `wanted`: or it only runs what it is given.
  LeakWatch(Execution& execution, bool wanted, Looks looks)
      : execution_{execution}, wanted_{wanted}, looks_{looks} {}

  const Outcome& run(const Program& program);
  // Whether the last run has lost something, as far as it was looked. Once for each run.
  [[nodiscard]] bool lost();
  // What was wanted and could not be, in some run or all; empty: nothing.
  [[nodiscard]] std::string not_looked_for() const;

 private:
  [[nodiscard]] bool look();

  Execution& execution_;
  const bool wanted_;
  const Looks looks_;
  Takings takings_{execution_};
  bool blind_ = false;                             // in some run
  std::string_view unscannable_;                   // why what some run left was not looked for
  std::map<std::size_t, std::uint32_t> in_vain_;   // by how many blocks were left
};

struct LeakTrial {
  Finding finding;     // its stacks not yet in words, which takes long (Finding::spell_out)
  Schedule schedule;   // as it was recorded
  std::uint64_t preemptions = 0;
  std::uint64_t digest = 0;
};

// What `program` loses each time under that schedule; null: nothing, or it fails otherwise. Of the
// options, those of an execution are used.
[[nodiscard]] std::optional<LeakTrial> leak_of(const Program& program, const Schedule& schedule,
                                               const SearchOptions& options);
// `outcome`, which has lost something, with that for a finding if it does so each time.
[[nodiscard]] std::optional<Outcome> with_leak(const Program& program, const Outcome& outcome,
                                               const SearchOptions& options);

}   // namespace sim
