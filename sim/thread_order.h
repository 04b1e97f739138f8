// Which stretches of threads some schedule may run at the same time, as far as starting and joining
// say: what a thread did before it started another comes before all of that one, and all that a
// thread did before what comes after it was joined.
//
// Knows sim::Thread's, which their makers start and join by name. Any other fiber may run beside
// all: who starts it, and when, may be the schedule's affair. Locks and what is waited for order
// nothing here, as another schedule takes and signals them in another order.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/fiber/event.h"
#include "sim/actor.h"

namespace sim {

class ThreadOrder {
 public:
  // From one start or join of a thread to its next. They count up, so none comes before one with a
  // smaller number.
  using Stretch = std::uint32_t;

  // Another execution.
  void reset();
  // What `by` tells. Others than starts and joins say nothing.
  void event(const engine::Event& event, ActorId by);
  // In which that fiber is.
  [[nodiscard]] Stretch of(ActorId fiber);
  // Of two fibers.
  [[nodiscard]] bool could_meet(Stretch one, Stretch other);
  [[nodiscard]] bool joined(ActorId fiber) const noexcept;
  // No thread has been started: there is nothing to know.
  [[nodiscard]] bool empty() const noexcept { return started_.empty(); }

 private:
  // Of what is no fiber of its own: it meets everything. Nothing comes before such.
  static constexpr Stretch kAnyTime = 0;
  struct Before {
    Stretch own;      // of the thread itself, or of who started it
    Stretch joined;   // the last of who was joined
    std::uint32_t seen = 0;
  };
  struct Fiber {
    Stretch now = kAnyTime;
    bool joined = false;
  };

  Stretch begin(Stretch own, Stretch joined = kAnyTime);
  Fiber& fiber(ActorId id);

  std::vector<Before> before_;     // by stretch
  std::vector<Fiber> fibers_;      // by ordinal
  std::vector<ActorId> started_;   // threads, by the object that they are joined at
  std::uint32_t starting_ = 0;     // that object of the thread whose fiber is about to be made
  std::uint32_t looks_ = 0;
  std::vector<Stretch> left_;   // kept for its memory
};

}   // namespace sim
