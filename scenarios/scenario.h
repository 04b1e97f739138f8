// A scenario names a family of workloads. One of each kind of volume, thin-general and
// cache-general, and one of both on each other, stack-general, are aimed at nothing; the others put
// the pieces of one historical race on the table and leave the rest to the schedule.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <rapidcheck/Gen.h>
#include <rapidcheck/gen/Arbitrary.h>

#include "scenarios/workload.h"

namespace scenarios {

struct Scenario {
  const char* name;
  const char* description;   // one line for `wavetank list scenarios`
  rc::Gen<Workload> (*workloads)();
};

// In the order in which they are listed.
[[nodiscard]] const std::vector<Scenario>& all_scenarios();
// Null when there is none of that name.
[[nodiscard]] const Scenario* find_scenario(std::string_view name);
// One name, or several with commas between them. Empty when there is none of one of the names.
[[nodiscard]] std::vector<const Scenario*> find_scenarios(std::string_view names);

// Who uses the code that is searched: pools alone, caches alone, or both.
enum class UsedBy : std::uint8_t { pools, caches, both };
// Those aimed at nothing that drive it, by names with commas between them, for a search that deals
// its schedules out to them by turns. What stands twice has two turns: most of what can go wrong in
// a pool or a cache needs no stack, and is there sooner without one.
[[nodiscard]] std::string_view general_scenarios(UsedBy users) noexcept;

// A workload with its shrinks.
[[nodiscard]] rc::Shrinkable<Workload> shrinkable(Workload workload);
// The workload of one seed, with its shrinks. The same seed gives the same workload.
[[nodiscard]] rc::Shrinkable<Workload> workload_of(const Scenario& scenario, std::uint64_t seed);

namespace thin {
rc::Gen<Workload> general();
rc::Gen<Workload> discard_passdown();   // seed 002
rc::Gen<Workload> worker_iteration();   // seed 004
rc::Gen<Workload> full_metadata();
rc::Gen<Workload> remade_pool();
}   // namespace thin

namespace cache {
rc::Gen<Workload> general();
rc::Gen<Workload> replaced_victim();       // seed 000
rc::Gen<Workload> shared_metadata();       // seed 001
rc::Gen<Workload> writethrough_copies();   // seed 003
rc::Gen<Workload> discarded_blocks();
rc::Gen<Workload> failed_resume();
rc::Gen<Workload> opened_together();
rc::Gen<Workload> partial_block();
}   // namespace cache

namespace stack {
rc::Gen<Workload> general();
}   // namespace stack

}   // namespace scenarios
