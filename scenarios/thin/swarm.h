// How general traffic on a thin pool is drawn: for thin-general, and for stacks that have one.
#pragma once

#include "scenarios/draw.h"
#include "scenarios/generate.h"
#include "scenarios/workload.h"

namespace scenarios::thin {

// What a workload has.
struct Swarm {
  bool discards = false;
  bool snapshots = false;
  bool lifecycle = false;   // create, delete, activate, deactivate
  bool bounces = false;     // suspend, resume, reload
  bool pool_messages = false;
  bool time = false;
  bool growth = false;
  bool power_cut = false;
  bool io_errors = false;
  bool slow_disks = false;
  bool deep = false;   // trees of several levels, which come of many blocks and small nodes
};

[[nodiscard]] Swarm draw_swarm(Draw& draw);
// A group that is in is sometimes most of what happens.
[[nodiscard]] Weights draw_weights(const Swarm& swarm, Draw& draw);
[[nodiscard]] SystemSpec draw_system(const Swarm& swarm, Draw& draw);
[[nodiscard]] FaultSpec draw_faults(const Swarm& swarm, Draw& draw);
// The blocks that are in use at first.
void draw_contents(const Swarm& swarm, Draw& draw, Workload& workload);
// What was done to them since, at the end of the set-up, and what the actors do.
void draw_operations(const Swarm& swarm, Draw& draw, const Menu& menu, Workload& workload);

}   // namespace scenarios::thin
