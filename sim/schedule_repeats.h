// What goes round in a schedule: decisions that come again and again, each time by the same number
// of steps later. A livelock's are hardly anything else, and there may be a million of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sim/schedule.h"

namespace sim {

// How much higher the numbers of a decision are each time: those of the actors' ordinals, too.
struct Stride {
  std::uint32_t at = 0;
  std::uint32_t step = 0;
  std::uint32_t value = 0;
  friend bool operator==(const Stride&, const Stride&) noexcept = default;
};

struct Repeat {
  std::size_t lines = 0;   // decisions that come round
  std::size_t times = 0;   // the first one included
};

// Of what a text may say; so a small one does not ask for more than half a GiB of decisions.
inline constexpr std::size_t kRepeatLinesMax = 512;
inline constexpr std::size_t kRepeatedMax = std::size_t{1} << 25U;   // decisions, of all repeats

// What `decisions` begin with that is worth being told so: nothing short.
[[nodiscard]] std::optional<Repeat> repeat_at(std::span<const Decision> decisions);

// From a decision to the one that comes for it the next time. None: it cannot come round so.
[[nodiscard]] std::optional<Stride> stride(const Decision& from, const Decision& to);
// The decision when it comes for the time after `times` others. None: there is no such one.
[[nodiscard]] std::optional<Decision> after(const Decision& first, const Stride& stride,
                                            std::uint64_t times);

}   // namespace sim
