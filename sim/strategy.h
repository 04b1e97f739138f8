// Who decides. A strategy is asked whenever more than one thing may happen next, or at every point
// if it says so.
#pragma once

#include <cstdint>
#include <span>

#include "engine/fiber/event.h"
#include "sim/env_step.h"
#include "sim/fiber_kinds.h"

namespace sim {

// Of who will be told that its object is destroyed: there is nothing to go by.
inline constexpr engine::Point kUsesWhatIsGone{.op = engine::OpKind::note, .where = {}};

// What may happen next. Indices: first the fibers, then the steps.
struct Choices {
  std::span<SimFiber* const> fibers;   // runnable, in an order that only depends on the execution
  std::span<EnvStep* const> steps;
  const FiberKinds& kinds;
  std::uint32_t unnoticed;      // how many of `fibers` go on unnoticed (sim_fiber.h)
  SimFiber& self;               // who runs, or has just stopped running; perhaps not runnable
  bool self_runnable;           // it could go on
  std::uint32_t fallback;       // index of what the rule of schedule.h says
  const engine::Point& point;   // what `self` is about to do, or why it stopped

  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(fibers.size() + steps.size());
  }
  // What one of `fibers` is about to do; null when it has just been started or woken.
  [[nodiscard]] const engine::Point* about_to(const SimFiber& fiber) const noexcept {
    if (&fiber == &self) return &point;
    const engine::Point* const at = fiber.pending;
    const bool is_gone = at != nullptr && at->object != nullptr && !at->object->lives();
    return is_gone ? &kUsesWhatIsGone : at;
  }
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  // Another program from now on: what was learnt of the last one means nothing.
  virtual void forget() {}
  // The next execution is one from which it learns what the program does, whatever its seed.
  [[nodiscard]] virtual bool will_learn() const { return false; }
  // It learns from every execution, so what a seed means depends on the executions before. Only
  // end() learns.
  [[nodiscard]] virtual bool keeps_learning() const { return false; }
  // A new execution.
  virtual void begin(std::uint64_t seed) = 0;
  // Some keep account of every operation. Asked once an execution, when it has begun.
  [[nodiscard]] virtual bool wants_every_point() const { return false; }
  // An index into `choices`; at least two things may happen, unless it wants every point.
  virtual std::uint32_t pick(const Choices& choices) = 0;
  // Those that try every value do so with choices of at most so many.
  static constexpr std::uint32_t kValuesMax = 256;
  // A value below `count`. With `one_in` above 1 anything but 0 should be that rare. `self` is who
  // runs, with its step number.
  virtual std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                              std::uint32_t one_in) = 0;
  // A fiber was started.
  virtual void started(SimFiber& /*fiber*/) {}
  // A fiber that does one thing after another begins with the next: another operation of a
  // workload, another piece of a work queue.
  virtual void renewed(SimFiber& /*fiber*/) {}
  // For those that want every point. Who runs has to do with that, too, since it went on last; the
  // operation it went on with has changed nothing; it has woken `fiber`, which may be about to
  // wait.
  virtual void touched(const SimFiber& /*self*/, const engine::SyncObject& /*object*/,
                       engine::Access /*access*/) {}
  virtual void unchanged(const SimFiber& /*self*/, const engine::SyncObject& /*object*/) {}
  virtual void woken(const SimFiber& /*fiber*/) {}
  // In place of pick(), in a fair end (ExecutionOptions::fair_end): that one was picked.
  virtual void overruled(const Choices& /*choices*/, std::uint32_t /*pick*/) {}
  // The execution is over, after that many points.
  virtual void end(std::uint64_t /*points*/) {}
};

}   // namespace sim
