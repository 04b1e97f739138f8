// One execution's decisions, told as deviations from a fixed rule, so that a schedule is short and
// survives edits elsewhere.
//
// The rule: the fiber that runs goes on; when it has yielded, blocked or ended, first whom it
// interrupted, then the lowest-numbered runnable fiber; with none runnable, the oldest step of the
// environment; a value is 0. A decision is found again by who runs and by how many steps that one
// has made, not by a global count, so dropping one leaves the meaning of the others.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "sim/actor.h"

namespace sim {

enum class ChoiceKind : std::uint8_t {
  run,        // value: the actor whose fiber goes on
  effect,     // value: the I/O that takes effect
  complete,   // value: the I/O that ends; its completion runs at once
  fire,       // the earliest timer fires; value: 0
  step,       // value: the offered step that happens, such as a power cut
  value,      // value: the answer to Execution::choose()
};

struct Decision {
  ActorId at;               // who runs, or has just stopped running
  std::uint32_t step = 0;   // how many steps it has made, this one included
  ChoiceKind kind = ChoiceKind::run;
  std::uint32_t value = 0;
  friend bool operator==(const Decision&, const Decision&) noexcept = default;
};

// As a schedule's text has it: whatever could confuse a parser is an underscore.
[[nodiscard]] std::string clean_name(std::string_view name);

struct Schedule {
  std::vector<Decision> decisions;              // in the order they were made
  std::map<std::uint32_t, std::string> names;   // by ActorId::value(); for readers, and checked

  // For people and diffs, stable: one decision a line. Where many go round (schedule_repeats.h)
  // each has one line with its strides, and the text is of version 2:
  //   repeat 250000 2
  //   at fiber:2:plato 7+4 run fiber:3:kant
  //   at fiber:3:kant 5+4 run fiber:2:plato
  // for 500,000 decisions: at plato's step 7, kant's 5, plato's 11, kant's 9 and so on. A number of
  // an actor that is another each time has its stride, too, and the actor no name: fiber:9+1.
  [[nodiscard]] std::string to_text() const;
  // Of either version. `where` of an Error is the number of the line, from 1. Takes any bytes.
  [[nodiscard]] static engine::Result<Schedule> from_text(std::string_view text);
  friend bool operator==(const Schedule&, const Schedule&) noexcept = default;
};

}   // namespace sim
