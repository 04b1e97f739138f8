// What watches a run, by name, and what each does not cover.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/finding.h"
#include "sim/program/named.h"

namespace program {

[[nodiscard]] std::vector<NamedThing> list_judges();

// Whose verdicts count. By default everybody's.
struct Judges {
  std::vector<std::string> only;      // if any: nobody else's
  std::vector<std::string> without;   // not theirs

  [[nodiscard]] bool count(std::string_view name) const;
  // Of the outcome of a run: does its finding count? The name of a judge in a finding is its kind,
  // or the checker's own.
  [[nodiscard]] bool count(const sim::Finding& finding) const;
  // One line, if there is nobody of such a name.
  [[nodiscard]] std::string wrong() const;
};

}   // namespace program
