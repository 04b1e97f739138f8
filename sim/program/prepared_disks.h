// What the metadata disks of a system hold when an execution begins: formatted by the engine
// itself, taken into use and shut down.
#pragma once

#include <map>

#include "scenarios/workload.h"
#include "sim/execution.h"
#include "sim/program/judges.h"
#include "sim/program/tank_world.h"

namespace program {

// Each shape of system is prepared once, by an execution in which nothing is decided and nothing
// fails. So the images depend on the shape alone, and whatever starts from them on nothing that
// happened before. Not thread-safe.
class PreparedDisks {
 public:
  // Null: `execution` has failed at making them, and has the outcome. Else it is to be reset before
  // it is used. Valid until the next call.
  [[nodiscard]] const DiskImages* of(const scenarios::SystemSpec& system, sim::Execution& execution,
                                     const Judges& judges, bool trace);

 private:
  std::map<scenarios::SystemSpec, DiskImages> of_shapes_;
};

}   // namespace program
