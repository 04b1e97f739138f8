// Depth-first search over schedules that runs one of each class of equivalent ones: dynamic
// partial-order reduction with source sets and sleep sets (P. Abdulla, S. Aronis, B. Jonsson,
// K. Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014, algorithm Source-DPOR).
//
// After each operation it looks for earlier ones of other fibers that touch the same object with
// nothing ordering the two, and notes at the place of the earlier one that the later should be
// tried first there. Sleep sets keep from trying twice what commutes. Memory: one node for each
// operation of the execution under way.
//
// Locks: an operation that could not go on is not enabled, so waiting is not an operation. Two
// takers of one lock race with each other; the release in between is no part of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/operation.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

class Dpor final : public Strategy {
 public:
  // To be called when an execution is over: false when there is no other.
  [[nodiscard]] bool next();
  // The execution just run led only to what had been seen: it counts for nothing.
  [[nodiscard]] bool was_cut_short() const noexcept { return cut_short_; }
  // There were steps of the environment, which it does not explore: they happened when every fiber
  // waited.
  [[nodiscard]] bool saw_environment() const noexcept { return saw_environment_; }
  // Estimated share of the search that is behind.
  [[nodiscard]] double done() const;

  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;

 private:
  using Id = ThreadPaths::Id;
  using Clock = std::vector<std::uint32_t>;   // by fiber: how many of its operations came before
  static constexpr std::uint32_t kNone = ~0U;

  using Kind = Operation::Kind;
  struct Sleeper {
    Id fiber;
    Operation operation;
  };
  // What can be done in one state, what was done, and what is left to try.
  struct Node {
    Id fiber = 0;
    Operation operation;
    std::uint32_t ordinal = 0;   // among the fiber's operations, from 1
    std::uint32_t value = 0;     // of a choice among `values`; not a scheduling node then
    std::uint32_t values = 0;
    Clock clock;   // of the operation, itself included
    std::vector<Id> enabled;
    std::vector<Id> backtrack;     // to be tried here, or tried
    std::vector<Sleeper> asleep;   // need not be tried here, or no more
  };
  // What happened to an object in this execution; numbers are those of nodes.
  struct ObjectState {
    std::uint32_t last_write = kNone;
    std::uint32_t last_acquire = kNone;
    std::vector<std::uint32_t> reads;   // since the last write
    Clock signals;
    std::uint64_t writes = 0;
  };
  struct FiberState {
    Clock clock;
    std::uint32_t ordinal = 0;   // of its last operation
    std::uint64_t seen_at = 0;   // the last pick at which it could run
    bool waits_for_change = false;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> read;   // object, writes; since a yield
  };
  struct Enabled {
    Id fiber;
    std::uint32_t index;   // among the choices
    Operation operation;
  };

  [[nodiscard]] static bool dependent(const Operation& a, const Operation& b) noexcept;
  static void join(Clock& into, const Clock& from);
  [[nodiscard]] bool came_before(std::uint32_t number, const Clock& clock) const noexcept;
  [[nodiscard]] bool sees_no_change(const FiberState& state) const;

  void note_woken(const Choices& choices);
  void note_yield(const Choices& choices);
  void settle_try();
  [[nodiscard]] std::uint32_t find_local(const Choices& choices) const;
  void collect_enabled(const Choices& choices);
  void collect_attempts(const Choices& choices);
  void sort_enabled();
  std::uint32_t look_again(const Choices& choices);
  bool grow();
  Node& new_node();
  std::uint32_t go_on(const SimFiber& fiber, std::uint32_t index);
  ObjectState& object_state(std::uint32_t object);
  void happens(Node& node, std::uint32_t number);
  void order_after(Node& node, std::uint32_t number, const ObjectState& object, bool look);
  void race(std::uint32_t earlier, const Clock& before, Id fiber, std::uint32_t number);

  ThreadPaths paths_;
  std::vector<Node> nodes_;   // kept for their memory; `length_` are of this execution
  std::uint32_t length_ = 0;
  std::uint32_t fixed_ = 0;   // nodes whose choice is given
  std::uint32_t at_ = 0;      // the next one
  std::vector<FiberState> fibers_;
  std::vector<ObjectState> objects_;
  std::uint64_t picks_ = 0;
  Id running_ = ThreadPaths::kRoot;
  const SimFiber* running_fiber_ = nullptr;
  const engine::SyncObject* tried_ = nullptr;   // by the operation that has just happened
  bool free_running_ = false;                   // nothing more is recorded in this execution
  bool cut_short_ = false;
  bool saw_environment_ = false;
  // Kept for their memory.
  std::vector<Enabled> enabled_;
  std::vector<std::uint32_t> rivals_;
  std::vector<std::uint32_t> first_;
  std::vector<Id> initials_;
};

}   // namespace sim
