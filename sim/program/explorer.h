// What one worker process of an exploration does, and what it tells in the end.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "scenarios/workload.h"
#include "sim/execution.h"
#include "sim/program/branch_queue.h"
#include "sim/program/commands.h"
#include "sim/program/exploration.h"
#include "sim/states_seen.h"
#include "sim/strategy_bounded.h"
#include "sim/tree_estimate.h"

namespace program {

// Shared between the processes of one exploration.
struct Board {
  enum class Ended : std::uint8_t { not_yet, time, executions };
  std::atomic<std::uint64_t> executions{0};   // those cut short included
  std::atomic<std::uint64_t> classes{0};      // of executions run to their end
  std::atomic<std::uint64_t> points{0};
  std::atomic<std::uint64_t> cuts{0};
  std::atomic<Ended> ended{Ended::not_yet};
  std::atomic<bool> anew{false};                 // somebody has learnt of a name that is shared
  std::array<std::atomic<double>, 256> left{};   // executions, estimated, by worker
  std::chrono::steady_clock::time_point began;
};

// By the pipe, as text.
struct Report {
  sim::TreeEstimate::Told naive{};   // of an estimate
  std::vector<std::uint64_t> learnt{};
  std::vector<std::uint64_t> images{};
  double images_alike = 0;   // to those, or one of them
  std::map<std::string, std::uint64_t> left_out{};
  std::uint64_t contradictions = 0;
  std::string contradiction{};   // the first
  std::optional<Exploration::Finding> finding{};

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static Report from_text(const std::string& text);
};

class Explorer {
 public:
  Explorer(const ExploreOptions& options, const scenarios::Workload& workload,
           sim::StatesSeen& seen, Board& board, const std::vector<std::uint64_t>& learnt);

  // Random walks: how many executions there would be, and which names are shared.
  [[nodiscard]] std::string estimate();
  // So many more at most, after those that came to `so_far`, as long as they leave it open how
  // many.
  [[nodiscard]] std::string estimate_further(const sim::TreeEstimate& so_far,
                                             std::uint64_t walks_max);
  // Searches what the queue has, as worker number so and so, until nobody has anything left.
  [[nodiscard]] std::string work(BranchQueue& queue, std::uint32_t number);

 private:
  const sim::Outcome& execute();
  // False: it failed.
  bool walk(std::uint64_t seed, sim::TreeEstimate& estimate);
  // False: this is enough.
  bool explore(const sim::Branch& branch, BranchQueue& queue, std::uint32_t number);
  [[nodiscard]] bool is_late() const;
  void found(const sim::Outcome& outcome);
  void observe(const engine::Event& event);
  [[nodiscard]] std::string describe_contradiction() const;
  [[nodiscard]] std::string report();

  const ExploreOptions& options_;
  const scenarios::Workload& workload_;
  Board& board_;
  sim::Bounded search_;
  sim::Execution execution_;
  std::unordered_set<std::uint64_t> images_{};
  std::map<std::uint64_t, std::string> observed_{};   // what the numbers told to the search mean
  std::uint64_t timers_kept_waiting_ = 0;
  Report report_;
};

}   // namespace program
