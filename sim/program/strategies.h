// The strategies by name, as --strategy takes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "sim/program/named.h"
#include "sim/strategy.h"

namespace program {

[[nodiscard]] std::vector<NamedThing> list_strategies();

// Keeps one strategy of each kind, so that what they learn of the length of executions is kept.
class StrategyBox {
 public:
  // False: there is no strategy of that name.
  [[nodiscard]] bool choose(std::string_view name);
  // What to run the execution of `seed` with. A portfolio deals its strategies out by seed.
  [[nodiscard]] sim::Strategy& for_seed(std::uint64_t seed);

 private:
  std::vector<std::unique_ptr<sim::Strategy>> dealt_;
};

}   // namespace program
