#include "sim/program/judges.h"

#include <algorithm>

#include <fmt/format.h>

namespace program {

std::vector<NamedThing> list_judges() {
  return {
      {"data_oracle",
       "each sector read holds a value that writes, discards, flushes, snapshots, failures and "
       "cuts "
       "permit; not: the order between sectors"},
      {"thin_image",
       "the metadata image left behind, exact to the last reference count; not: the data in it"},
      {"cache_image",
       "the metadata of a cache left behind; not: whether a clean shutdown told the truth"},
      {"cache_policy",
       "what a cache and its policy tell each other: asked under the block's cell only, a victim's "
       "cell held to the commit, answers that agree"},
      {"cache_state",
       "a cache at rest: what is clean is the same on both disks, what is dirty is mapped and "
       "known "
       "to the policy; not: the moments in between"},
      {"stale_bytes",
       "memory that nobody wrote since it got another use, in a write to any disk; not: fewer than "
       "fifteen bytes of it"},
      {"atomic-context",
       "blocking where blocking is forbidden, also when it would not have waited"},
      {"lock-order",
       "locks that two fibers take in opposite orders, whether or not they met; not: locks that "
       "are "
       "only tried"},
      {"deadlock", "fibers that nothing will ever wake, with the cycle; a lost wake-up is one"},
      {"endless", "more steps, or more simulated time, than any of our workloads takes"},
      {"lifetime", "counts that come back from zero, queues and timers used after their end"},
      {"assertion", "the engine's own checks"},
      {"crash", "the death of the process that ran it"},
      {"lower_device",
       "what reaches the data disk: nothing over a discard under way, no transfer while the pool "
       "is "
       "suspended, and what was given up is discarded; not: the metadata disk"},
      {"pool_mode", "the pool's mode against a small reference machine"},
      {"leaks",
       "bios, cells, records, copies and references that are in use when nothing is under way; "
       "what "
       "still is when its pool of memory goes is for lifetime"},
      {"lab", "thins that vanish or come back, devices and pools that are never let go"},
  };
}

bool Judges::count(std::string_view name) const {
  const auto is_in = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return only.empty() ? !is_in(without) : is_in(only);
}

bool Judges::count(const sim::Finding& finding) const {
  // Those that do not count were not listened to in the first place.
  return finding.kind == sim::FindingKind::checker || count(sim::to_string(finding.kind));
}

std::string Judges::wrong() const {
  const std::vector<NamedThing> known = list_judges();
  for (const auto* const names : {&only, &without}) {
    for (const std::string& name : *names) {
      if (std::none_of(known.begin(), known.end(),
                       [&](const NamedThing& each) { return each.name == name; }))
        return fmt::format("no checker '{}': see `wavetank list checkers`", name);
    }
  }
  return {};
}

}   // namespace program
