// The strategies by name, as --strategy takes them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/strategy.h"

namespace sim {

struct StrategyName {
  std::string_view name;
  std::string_view description;
};
[[nodiscard]] std::span<const StrategyName> strategy_names() noexcept;

// Keeps one strategy of each kind, with what it has learnt.
class StrategyBox {
 public:
  // One name, or several with commas between them, which take turns. False: there is no strategy of
  // such a name.
  [[nodiscard]] bool choose(std::string_view names);
  // What to run the execution of `seed` with. A portfolio deals its strategies out by seed.
  [[nodiscard]] Strategy& for_seed(std::uint64_t seed);
  // Another program from now on.
  void forget();
  // What a seed means depends on the executions before.
  [[nodiscard]] bool keeps_learning() const;
  // As after choose(): nothing is known of any execution.
  void start_afresh();

 private:
  [[nodiscard]] bool add(std::string_view name);
  std::string names_;
  std::vector<std::unique_ptr<Strategy>> dealt_;
};

}   // namespace sim
