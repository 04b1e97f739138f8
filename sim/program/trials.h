// What shrinking tries, in child processes: does it still fail as what was found does?
//
// The same failure: the same signature, and no later in the run. A race between two actors must not
// end up as one between the readers that judge what is left, about which a workload says nothing.
// So later is as good only where no race can be meant: a judge of what is left finds it, with
// nothing decided, of a workload that holds less, and the lab does not empty a cache meanwhile. An
// operation that only looks at what the others have done goes by that.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "sim/program/decision_log.h"
#include "sim/program/reproducer.h"
#include "sim/program/run.h"
#include "sim/shrink.h"
#include "sim/strategy.h"
#include "sim/strategy_sparse.h"

namespace program {

class Trials {
 public:
  // `found` is read when something is tried: its seed, signature and judges.
  explicit Trials(const Reproducer& found) : found_{found} {}

  // Finds out where in the run it fails. False: it does not. First of all.
  bool begin();

  // The first of the schedules with which the workload fails.
  std::optional<sim::ShrinkHit> replay(const scenarios::Workload& workload,
                                       std::span<const sim::Schedule> schedules);
  // That schedule; then fresh ones until one fails, at most so many: with few preemptions and, in
  // turn, as a search would have them.
  std::optional<sim::ShrinkTrial> search(const scenarios::Workload& workload,
                                         const sim::Schedule& first, std::uint32_t fresh);
  // Fresh ones with at most so many preemptions. `series` tells calls apart.
  std::optional<sim::ShrinkTrial> search_sparse(const scenarios::Workload& workload,
                                                std::uint32_t preemptions, std::uint32_t fresh,
                                                std::uint64_t series);

  // What one of these two has found last is `found` now, and from then on nothing may fail later
  // than it does, unless as said above.
  void take() noexcept;

  // So far.
  [[nodiscard]] std::uint64_t executions() const noexcept { return executions_; }

 private:
  // Of the child: runs something, again and again; the first that fails ends it.
  class Child;
  using Body = std::function<void(Child&)>;
  std::optional<sim::ShrinkHit> in_child(const scenarios::Workload& workload, double seconds_max,
                                         const Body& body);
  [[nodiscard]] bool good_if_later(const scenarios::Workload& workload,
                                   const sim::Schedule& schedule) const;
  using Try = std::function<bool(Child&, std::size_t)>;
  std::optional<sim::ShrinkHit> first_of(const scenarios::Workload& workload, std::size_t count,
                                         std::size_t spoilt_max, const Try& each);
  bool run_sparse(Child& child, std::size_t which, std::uint64_t seed, sim::Sparse& sparse,
                  std::uint32_t preemptions) const;

  const Reproducer& found_;
  DecisionLog log_;                   // of what kills the process
  Phase phase_ = Phase::closing;      // the earliest in which what was taken failed
  Phase found_in_ = Phase::closing;   // by a search, last
  bool fails_later_ = false;          // what was taken last, than in phase_
  std::uint64_t executions_ = 0;
};

}   // namespace program
