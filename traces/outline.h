// The workload of a trace in a few lines: who does what, one line an operation.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace traces {

struct OutlineActor {
  std::string name;
  std::vector<std::string> operations;
};

struct WorkloadOutline {
  std::string scenario;
  std::vector<OutlineActor> actors;   // the set-up first, under the name "setup"; then as they come
  std::vector<std::string> faults;    // "power_cuts = 1"; those that are not 0
  std::vector<std::string> system;    // "data_blocks = 1" ...; the sizes and switches that matter
  [[nodiscard]] std::size_t operation_count() const noexcept;
};

// Reads the TOML as scenarios write it, line by line; of other text it finds less, and no harm is
// done.
[[nodiscard]] WorkloadOutline outline_of(std::string_view toml);

// Breaks at blanks into lines of at most `width` characters (code points).
[[nodiscard]] std::vector<std::string> wrapped(std::string_view text, std::size_t width);
// The last characters of a place that is too long, behind "…": they tell most of it.
[[nodiscard]] std::string end_of(std::string_view place, std::size_t width);
[[nodiscard]] std::size_t characters(std::string_view text) noexcept;

}   // namespace traces
