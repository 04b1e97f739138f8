#include "sim/program/small_workloads.h"

#include <algorithm>

#include "scenarios/workload_text.h"
#include "sim/program/run.h"

namespace program {
namespace {

// Of those that were drawn before as well, so many are passed over in a row at the most.
constexpr std::uint32_t kSameMax = 200;

}   // namespace

scenarios::Workload SmallWorkloads::next() {
  scenarios::Workload workload = draw();
  for (std::uint32_t i = 0; i < kSameMax && !known_.insert(scenarios::to_toml(workload)).second;
       ++i)
    workload = draw();
  return workload;
}

// Of each actor in turn its next operation, so that as many as possible have one. What the
// volumes have been through stays; what comes by the clock goes.
scenarios::Workload SmallWorkloads::draw() {
  const std::uint64_t seed = seeds_of(seed_, drawn_++, 1).workload;
  scenarios::Workload workload = scenarios::workload_of(scenario_, seed).value();
  std::vector<scenarios::Actor> actors;
  for (const scenarios::Actor& actor : workload.actors) {
    actors.push_back(actor);
    actors.back().operations.clear();
  }
  std::uint32_t left = operations_;
  for (std::size_t round = 0; left != 0; ++round) {
    bool any = false;
    for (std::size_t i = 0; i < actors.size() && left != 0; ++i) {
      const auto& operations = workload.actors[i].operations;
      if (round >= operations.size()) continue;
      actors[i].operations.push_back(operations[round]);
      any = true;
      --left;
    }
    if (!any) break;
  }
  std::erase_if(actors, [](const scenarios::Actor& actor) { return actor.operations.empty(); });
  workload.actors = std::move(actors);
  workload.system.commit_interval_ms = 0;
  if (!faults_) workload.faults = {};
  return workload;
}

}   // namespace program
