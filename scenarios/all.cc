#include <rapidcheck.h>
#include <rapidcheck/shrinkable/Create.h>

#include "scenarios/scenario.h"
#include "scenarios/shrink.h"

namespace scenarios {

const std::vector<Scenario>& all_scenarios() {
  static const std::vector<Scenario> kAll{
      {"thin-general",
       "all that thin pools do: requests, snapshots, discards, control actions, faults, cuts",
       &thin::general},
      {"thin-discard-passdown",
       "a full pool whose discards reach the disk late, while other blocks are provisioned",
       &thin::discard_passdown},
      {"thin-worker-iteration",
       "thins with deferred requests, removed and made while the worker visits them",
       &thin::worker_iteration},
      {"thin-full-metadata",
       "metadata that runs out, exactly or in the middle of a change, and grows",
       &thin::full_metadata},
      {"thin-remade-pool",
       "a pool whose metadata disk fails, removed and made again, and a power cut",
       &thin::remade_pool},
      {"cache-general",
       "all that caches do: requests, migrations, table reloads, every mode and policy, faults, "
       "cuts",
       &cache::general},
      {"cache-replaced-victim",
       "one place and two blocks that throw each other out of it, dirty or clean",
       &cache::replaced_victim},
      {"cache-shared-metadata",
       "tables that come and go on one metadata device while another is active",
       &cache::shared_metadata},
      {"cache-writethrough-copies",
       "writes to both disks, while their block enters, is cleaned or leaves",
       &cache::writethrough_copies},
      {"cache-discarded-blocks",
       "few cells, and many who write at once to blocks that are discarded again and again",
       &cache::discarded_blocks},
      {"cache-failed-resume",
       "resumes that fail at the metadata and are tried again, writes, and a power cut",
       &cache::failed_resume},
      {"cache-opened-together",
       "two tables that open one metadata at the same time, of a slow disk, and a power cut",
       &cache::opened_together},
      {"cache-partial-block",
       "an origin that ends within a block, and requests to its end, in every mode",
       &cache::partial_block},
      {"stack-general",
       "all of both, one on the other: a cache on a thin, a pool on a cache, linear devices "
       "between",
       &stack::general},
  };
  return kAll;
}

const Scenario* find_scenario(std::string_view name) {
  for (const Scenario& scenario : all_scenarios()) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

std::vector<const Scenario*> find_scenarios(std::string_view names) {
  std::vector<const Scenario*> found;
  for (;;) {
    const std::size_t end = names.find(',');
    const Scenario* const scenario = find_scenario(names.substr(0, end));
    if (scenario == nullptr) return {};
    found.push_back(scenario);
    if (end == std::string_view::npos) return found;
    names.remove_prefix(end + 1);
  }
}

std::string_view general_scenarios(UsedBy users) noexcept {
  switch (users) {
    case UsedBy::pools:
      return "thin-general,thin-general,thin-general,stack-general";
    case UsedBy::caches:
      return "cache-general,cache-general,cache-general,stack-general";
    case UsedBy::both:
      break;
  }
  return "thin-general,cache-general,stack-general";
}

rc::Shrinkable<Workload> shrinkable(Workload workload) {
  return rc::shrinkable::shrinkRecur(std::move(workload), &shrinks);
}

rc::Shrinkable<Workload> workload_of(const Scenario& scenario, std::uint64_t seed) {
  // Drawn by the scenario's generator; shrunk by one rule for all workloads, so that one read from
  // a file shrinks as well.
  return shrinkable(scenario.workloads()(rc::Random{seed}, rc::kNominalSize).value());
}

}   // namespace scenarios
