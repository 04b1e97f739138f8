// Names for fibers that mean the same in every execution of one program: who started it, and as
// which of that one's children. ActorIds count starts over the whole execution, so they move when
// two fibers that both start others swap places.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "sim/sim_fiber.h"

namespace sim {

// For strategies that keep account of fibers from one execution to the next. Ids are dense, given
// in order of first sight, and kept until forget(); 0 is the thread that runs the execution. Uses
// SimFiber::replay_cursor, which is the strategy's own.
class ThreadPaths {
 public:
  using Id = std::uint32_t;
  static constexpr Id kRoot = 0;

  ThreadPaths() { forget(); }
  // Another program.
  void forget() {
    ids_.clear();
    parents_.assign(1, kRoot);
    children_.assign(1, 0);
  }
  // A new execution.
  void begin() { children_.assign(children_.size(), 0); }
  // `fiber` was started while `parent` ran.
  Id started(SimFiber& fiber, Id parent) {
    fiber.replay_cursor = fiber.id == ActorId::fiber(0) ? kRoot : child(parent);
    return fiber.replay_cursor;
  }
  // The same for a step of the environment, which `parent` brought about.
  Id started(Id parent) { return child(parent); }
  [[nodiscard]] static Id of(const SimFiber& fiber) noexcept { return fiber.replay_cursor; }
  [[nodiscard]] Id parent_of(Id id) const noexcept { return parents_[id]; }
  // Ids below this have been given.
  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(parents_.size());
  }

 private:
  Id child(Id parent) {
    const auto [found, is_new] = ids_.emplace(std::pair{parent, children_[parent]++}, size());
    if (is_new) {
      parents_.push_back(parent);
      children_.push_back(0);
    }
    return found->second;
  }

  std::map<std::pair<Id, std::uint32_t>, Id> ids_;   // (parent, how manyeth child)
  std::vector<Id> parents_;
  std::vector<std::uint32_t> children_;   // started so far in this execution
};

}   // namespace sim
