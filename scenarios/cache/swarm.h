// How general traffic on a cache is drawn: for cache-general, and for stacks that have one.
#pragma once

#include "scenarios/draw.h"
#include "scenarios/generate.h"
#include "scenarios/workload.h"

namespace scenarios::cache {

// What a workload has.
struct Swarm {
  bool discards = false;
  bool bounces = false;
  bool reloads = false;   // other modes and policies
  bool loads = false;     // tables that come and go unused
  bool lifecycle = false;
  bool growth = false;
  bool messages = false;
  bool time = false;
  bool power_cut = false;
  bool io_errors = false;
  bool slow_disks = false;
};

[[nodiscard]] Swarm draw_swarm(Draw& draw);
// A group that is in is sometimes most of what happens.
[[nodiscard]] Weights draw_weights(const Swarm& swarm, Draw& draw);
[[nodiscard]] SystemSpec draw_system(const Swarm& swarm, Draw& draw);
// What tables may ask for.
void offer_tables(const CacheSpec& cache, Menu& menu);

}   // namespace scenarios::cache
