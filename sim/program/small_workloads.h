// Workloads that are small enough to be explored to the end: those of a scenario, with a few of
// their operations.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "scenarios/scenario.h"
#include "scenarios/workload.h"

namespace program {

class SmallWorkloads {
 public:
  // With at most so many operations of actors, and with the faults that were drawn or none.
  SmallWorkloads(const scenarios::Scenario& scenario, std::uint64_t seed, std::uint32_t operations,
                 bool faults)
      : scenario_{scenario}, seed_{seed}, operations_{operations}, faults_{faults} {}

  // The next; no two are the same.
  [[nodiscard]] scenarios::Workload next();

 private:
  [[nodiscard]] scenarios::Workload draw();

  const scenarios::Scenario& scenario_;
  const std::uint64_t seed_;
  const std::uint32_t operations_;
  const bool faults_;
  std::uint64_t drawn_ = 0;
  std::set<std::string> known_{};   // as text
};

}   // namespace program
