// The worker processes of a search. Each runs its share of the schedules and ends at its first
// finding, or at the death of the engine; then another takes over behind it.
//
// Which worker runs a schedule does not matter to it: schedule i of a search is the same with any
// number of workers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace program {

struct Progress {
  std::uint64_t schedules = 0;
  std::uint64_t points = 0;
  std::uint64_t distinct = 0;   // executions that differ, estimated
  std::uint64_t findings = 0;
  // Of all executions together, whatever order they ran in: equal searches have equal ones.
  std::uint64_t digest = 0;
  double seconds = 0;
};

// What one schedule came to, as its worker tells.
struct Verdict {
  std::uint64_t points = 0;
  std::uint64_t digest = 0;
  bool found = false;
  bool spoiled = false;      // it ended early, of something that does not count
  std::string signature{};   // of the finding
  std::string message{};
};

struct Catch {
  std::uint64_t ordinal = 0;
  std::string signature;
  std::string message;
};

struct WorkerPlan {
  std::uint32_t jobs = 1;
  std::uint64_t schedules = 0;
  double seconds_max = 0;   // 0: no limit
  bool stop_at_first = true;
  bool deaths_count = true;   // the death of a worker is a finding
  // In a worker process, for each of its schedules in order.
  std::function<Verdict(std::uint64_t ordinal)> run;
  // In the parent, a few times a second and at the end.
  std::function<void(const Progress&)> show;
};

struct SearchEnd {
  Progress progress;
  std::vector<Catch> catches;   // one for each signature: the one with the lowest ordinal seen
};

[[nodiscard]] SearchEnd run_workers(const WorkerPlan& plan);

}   // namespace program
