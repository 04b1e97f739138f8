#include <rapidcheck/Random.h>

#include "scenarios/scenario.h"

namespace scenarios {

const std::vector<Scenario>& all_scenarios() {
  static const std::vector<Scenario> all{
      {"thin-general",
       "all that thin pools do: requests, snapshots, discards, control actions, faults, cuts",
       &thin::general},
      {"thin-discard-passdown",
       "a full pool whose discards reach the disk late, while other blocks are provisioned",
       &thin::discard_passdown},
      {"thin-worker-iteration",
       "thins with deferred requests, removed and made while the worker visits them",
       &thin::worker_iteration},
  };
  return all;
}

const Scenario* find_scenario(std::string_view name) {
  for (const Scenario& scenario : all_scenarios()) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

rc::Shrinkable<Workload> workload_of(const Scenario& scenario, std::uint64_t seed) {
  return scenario.workloads()(rc::Random{seed}, rc::kNominalSize);
}

}   // namespace scenarios
