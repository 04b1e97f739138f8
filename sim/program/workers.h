// The worker processes of a search. Each runs its share of the schedules and ends at its first
// finding, or at the death of the engine; then another takes over behind it. Of one that was killed
// from outside, the schedule is run again: it is the engine's death if it dies once more.
//
// Which worker runs a schedule does not matter to it: schedule i of a search is the same with any
// number of workers. Schedules are dealt out in rounds. What is learnt from one schedule for the
// next lasts until the end of the round, or until something is found in it, whoever runs it.
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
  std::uint64_t since = 0;   // the first one that it may have learnt from
  std::string signature;
  std::string message;
  bool killed_from_outside = false;
};

struct WorkerPlan {
  std::uint32_t jobs = 1;
  std::uint64_t schedules = 0;
  double seconds_max = 0;    // 0: no limit
  std::uint64_t round = 1;   // schedules that one worker runs one after the other
  // When something is found, those before it are still run: then what is found does not depend on
  // the number of workers.
  bool stop_at_first = true;
  bool deaths_count = true;   // the death of a worker is a finding
  // In a worker process, before the first schedule that knows nothing of those before.
  std::function<void()> begin_round;
  // In a worker process, for each of its schedules in order.
  std::function<Verdict(std::uint64_t ordinal)> run;
  // In the parent, a few times a second and at the end.
  std::function<void(const Progress&)> show;
  // In the parent: one line on what became of a worker that was killed from outside.
  std::function<void(const std::string&)> say;
};

struct SearchEnd {
  // Of all schedules up to the first finding if that ends it: the same with any number of workers.
  Progress progress;
  std::vector<Catch> catches;   // by ordinal: the first, or the first of each signature
};

[[nodiscard]] SearchEnd run_workers(const WorkerPlan& plan);

}   // namespace program
