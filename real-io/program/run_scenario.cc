#include "real-io/program/run_scenario.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "real-io/program/blank_file.h"
#include "real-io/program/numbers.h"
#include "real-io/program/real_world.h"
#include "real-io/ring.h"
#include "scenarios/lab.h"
#include "scenarios/scenario.h"
#include "scenarios/stack/parts.h"

namespace wavetankd {
namespace {

constexpr int kFound = 1;
constexpr int kUsage = 2;

int complain(const std::string& line) {
  fmt::print(stderr, "wavetankd: {}\n", line);
  return kUsage;
}

// Nothing is made to fail, and time is real: a pool that waits for space gives up soon, whatever is
// done every second is done more often, and whoever sleeps until either sleeps no longer than that
// needs.
void fit_to_reality(scenarios::Workload& workload) {
  constexpr std::uint32_t kNoSpaceMs = 200;
  constexpr std::uint32_t kIntervalMs = 20;
  workload.faults = {};
  // There is no file for an external origin, nor for a disk that nobody uses.
  workload.system.external_sectors = 0;
  workload.system.spare_disk = false;
  std::uint32_t& no_space = workload.system.no_space_timeout_ms;
  no_space = no_space == 0 ? kNoSpaceMs : std::min(no_space, kNoSpaceMs);   // 0: for ever
  workload.system.commit_interval_ms = std::min(workload.system.commit_interval_ms, kIntervalMs);
  const auto shorten = [](scenarios::Operation& operation) {
    if (operation.verb == scenarios::Verb::sleep)
      operation.sectors =
          std::min<decltype(operation.sectors)>(operation.sectors, std::uint64_t{2} * kNoSpaceMs);
  };
  for (scenarios::Operation& operation : workload.setup)
    shorten(operation);
  for (scenarios::Actor& actor : workload.actors)
    for (scenarios::Operation& operation : actor.operations)
      shorten(operation);
}

}   // namespace

void add_run_flags(CLI::App& command, RunOptions& options) {
  command.option_defaults()->always_capture_default();
  command.add_option("--scenario", options.scenario, "family of workloads");
  command.add_option("--data", options.data, "file to use for data; made blank")->required();
  command.add_option("--metadata", options.metadata, "file to use for metadata; made blank")
      ->required();
  command.add_option("--fast", options.fast, "file to use as a cache's fast disk; made blank");
  command.add_option("--cache-metadata", options.cache_metadata,
                     "file to use for the metadata of a cache in a stack; made blank");
  command.add_option("--seed", options.seed, "of the first workload")
      ->transform(whole_number(0, UINT64_MAX));
  command.add_option("--runs", options.runs, "how many workloads")
      ->transform(whole_number(0, UINT64_MAX));
  command
      .add_option("--time", options.seconds,
                  "seconds to go on for, instead of --runs; 0: as --runs says")
      ->check(seconds());
  command.add_option("--reactors", options.reactors, "threads")
      ->transform(whole_number(1, kReactorsMax));
  command.add_flag("--overwrite", options.overwrite, "also when the files hold something");
}

int run_scenario(const RunOptions& options) {
  const scenarios::Scenario* const scenario = scenarios::find_scenario(options.scenario);
  if (scenario == nullptr) return complain(fmt::format("no scenario '{}'", options.scenario));
  // The files are made blank, so somebody's image must not be named by mistake.
  for (const std::string& path :
       {options.data, options.metadata, options.fast, options.cache_metadata}) {
    if (options.overwrite || path.empty()) continue;
    const auto holds = holds_something(path);
    if (!holds) return complain(holds.error());
    if (*holds)
      return complain(fmt::format("{}: holds something; --overwrite makes it blank", path));
  }
  if (const int error = real_io::Ring::available(); error != 0)
    return complain(
        fmt::format("io_uring is not to be had: {}", std::generic_category().message(error)));

  RealWorld::Paths paths{
      {"metadata", options.metadata}, {"data", options.data}, {"origin", options.data}};
  if (!options.fast.empty()) paths.emplace("fast", options.fast);
  if (!options.cache_metadata.empty())
    paths.emplace(scenarios::stack::kCacheMetadata, options.cache_metadata);
  real_io::UringExecutor executor{{.reactors = options.reactors, .reactor = {}}};
  const auto began = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  std::uint64_t runs = 0;
  std::uint64_t found = 0;
  for (std::uint64_t seed = options.seed;
       options.seconds > 0 ? seconds() < options.seconds : runs < options.runs; ++seed, ++runs) {
    scenarios::Workload workload = scenarios::workload_of(*scenario, seed).value();
    fit_to_reality(workload);
    auto world = RealWorld::make(executor, paths, workload.system, seed);
    if (!world) return complain(world.error());
    executor.run([&] { scenarios::Lab{**world, workload}.run(); });
    for (const checkers::Finding& finding : (*world)->findings()) {
      ++found;
      fmt::print("seed {}: {}: {}: {}\n", seed, finding.checker, finding.kind, finding.message);
    }
    std::fflush(stdout);
  }
  fmt::print("{}: {} workloads on {} threads in {:.1f} s, {} findings\n", options.scenario, runs,
             options.reactors, seconds(), found);
  return found == 0 ? 0 : kFound;
}

}   // namespace wavetankd
