#include "sim/program/judges.h"

namespace program {

std::vector<NamedThing> list_judges() {
  return {
      {"data_oracle",
       "each sector read holds a value that writes, discards, flushes, snapshots, failures and "
       "cuts "
       "permit; not: the order between sectors"},
      {"thin_image",
       "the metadata image left behind, exact to the last reference count; not: the data in it"},
      {"atomic-context",
       "blocking where blocking is forbidden, also when it would not have waited"},
      {"lock-order",
       "locks that two fibers take in opposite orders, whether or not they met; not: locks that are "
       "only tried"},
      {"deadlock", "fibers that nothing will ever wake, with the cycle; a lost wake-up is one"},
      {"endless", "more steps, or more simulated time, than any of our workloads takes"},
      {"lifetime", "counts that come back from zero, queues and timers used after their end"},
      {"assertion", "the engine's own checks"},
      {"crash", "the death of the process that ran it"},
      {"lower_device",
       "what reaches the data disk: nothing over a discard under way, no transfer while the pool is "
       "suspended, and what was given up is discarded; not: the metadata disk"},
      {"pool_mode", "the pool's mode against a small reference machine"},
      {"lab", "thins that vanish or come back, devices and pools that are never let go"},
  };
}

}   // namespace program
