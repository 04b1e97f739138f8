// The exploration of one workload, by one worker process or several: they share what has been seen
// (sim/states_seen.h) and hand each other what is left to do (branch_queue.h). With any number of
// them there are the same executions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "scenarios/workload.h"
#include "sim/program/commands.h"
#include "sim/states_seen.h"
#include "sim/tree_estimate.h"

namespace program {

struct Exploration {
  struct Finding {
    std::string signature{};
    std::string message{};
    std::string schedule{};   // as text
    std::uint64_t preemptions = 0;
    bool by_walk = false;   // a random one, before the search
  };
  enum class Ended : std::uint8_t { complete, found, time, executions, died };
  Ended ended = Ended::complete;
  std::string death{};            // of a worker
  int killed_by = 0;              // that signal, from outside of the process; 0: it died of itself
  std::uint32_t killed = 0;       // the number of that worker
  std::uint64_t executions = 0;   // no two of them equivalent
  std::uint64_t cut_short = 0;    // others: they led only to what had been seen
  std::uint64_t points = 0;       // of all
  std::uint64_t states = 0;       // beginnings that were followed, and are remembered
  sim::StatesSeen::Forgotten forgotten{};
  std::uint64_t cuts = 0;             // of these, those in which the power went
  std::uint64_t images = 0;           // distinct ones that it left, of all disks together
  double images_alike = 0;            // one of those each (Watch::left), at all moments together
  std::uint64_t contradictions = 0;   // with --check: beginnings wrongly taken for equivalent
  std::string contradiction{};        // the first of them
  sim::Estimated naive{};             // executions without reduction, within the same bounds
  double done = 0;                    // estimated share of the search
  double seconds = 0;
  std::map<std::string, std::uint64_t> left_out{};   // choices not tried in full, with how often
  std::optional<Finding> finding{};
};

[[nodiscard]] const char* to_string(Exploration::Ended ended) noexcept;
// It says what the world is like (run.h), and nothing else.
[[nodiscard]] std::uint64_t seed_of(const ExploreOptions& options) noexcept;

[[nodiscard]] Exploration explore(const ExploreOptions& options,
                                  const scenarios::Workload& workload);

}   // namespace program
