// Which operations of an execution could come in another order in another one, as far as can be
// told from one: a happens-before of everything that fibers wait for one another by.
//
// What orders (L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System",
// 1978), beside what a fiber does itself: spawning, before what the new fiber does; all signals of
// a completion, before its wait returns; a wake-up, before what the woken one does; a write of an
// atomic or a sim::Variable, before who reads what was written, where an atomic read-modify-write
// is both; queueing work, before it runs; arming a timer, before it fires; submitting a bio, before
// it ends; read sections, before the synchronize() that they have kept waiting; every drop of a
// reference, before what comes of the last.
//
// The hand-over of a mutex is a matter of luck: both could have come in another order. So it orders
// nothing (Y. Smaragdakis et al., "Sound Predictive Race Detection in Polynomial Time", 2012; B.
// van den Heuvel et al., "Partial Orders for Precise and Efficient Dynamic Deadlock Prediction",
// 2025), unless the mutex is a monitor's: what it guards is waited for with a condition. Nobody can
// see whether a predicate held at once because of what the last holder did, so all hand-overs of
// such a mutex count. That a mutex is a monitor's may come out late: hence two answers (Trust).
//
// Nothing is computed but for a question: all that is kept are the edges between fibers. A question
// looks back along them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/fiber/event.h"

namespace sim {

class SimFiber;

class HappensBefore {
 public:
  // In an execution; counts up, over all fibers.
  using Moment = std::uint32_t;
  // What a fiber did at a moment.
  struct Step {
    std::uint32_t fiber = 0;   // by birth
    Moment moment = 0;
  };
  // Does the hand-over of a mutex order that may be a monitor's for all that is known yet?
  enum class Trust : std::uint8_t { monitors, every_mutex };

  // Another execution.
  void reset();
  // What that fiber tells. Mutexes are taken() and released().
  void event(const engine::Event& event, std::uint32_t by);
  void taken(std::uint32_t mutex, std::uint32_t by) {
    takes(mutex, by, mutex);
    if (waiting_ != 0) [[unlikely]]
      end_wait(by);
  }
  void released(std::uint32_t mutex, std::uint32_t by) {
    gives(mutex, by);
    fiber(by).last_released = mutex;
    if (waiting_ != 0) [[unlikely]]
      note_monitor(mutex, by);
  }
  // As an OrderListener hears it.
  void goes_on(engine::OpKind op, std::uint32_t object, std::uint32_t by);
  void unchanged(std::uint32_t object) noexcept;
  void spawns(std::uint32_t fiber, std::uint32_t by);
  void wakes(const SimFiber& fiber, std::uint32_t by);
  [[nodiscard]] std::uint32_t sent(std::uint32_t by);
  void received(std::uint32_t ticket, std::uint32_t by);
  // A condition is notified under that mutex; 0: under none.
  void notified(std::uint32_t condition, std::uint32_t mutex, std::uint32_t by);

  [[nodiscard]] Moment tick() noexcept { return ++now_; }
  // In every order, as far as this execution tells. Of two fibers.
  [[nodiscard]] bool comes_before(Step earlier, Step later, Trust trust);
  // Somebody has waited for its end as a sim::Thread's.
  [[nodiscard]] bool joined(std::uint32_t fiber) const noexcept {
    return fiber < fibers_.size() && fibers_[fiber].joined;
  }

 private:
  static constexpr std::uint32_t kNone = ~0U;
  // A fiber, by birth, or an object at which what many do comes together, by id.
  using Place = std::uint32_t;
  static constexpr Place of_fiber(std::uint32_t birth) noexcept { return birth * 2; }
  static constexpr Place of_object(std::uint32_t id) noexcept { return id * 2 + 1; }

  // What was done at `from` up to `moment` comes before what is done here after `at`.
  struct Edge {
    Moment at;
    Place from;
    Moment moment;
    std::uint32_t mutex;   // if the mutex orders that was handed over; 0: in any case
    std::uint32_t next;    // the one before it at the same place
  };
  // Of round sizes, which is cheaper to index by.
  struct alignas(32) Fiber {
    std::uint32_t last = kNone;        // of its edges
    Moment seen = 0;                   // up to where a question has looked
    std::uint32_t look = 0;            // which
    std::uint32_t waits_for = 0;       // the condition that it is waiting for
    std::uint32_t last_released = 0;   // a mutex
    bool joined = false;
  };
  struct alignas(32) Object {
    Place giver = kNone;   // who has it from whom
    Place taker = kNone;   // the last who got it
    Moment moment = 0;     // 0: there is nothing to get
    std::uint32_t last = kNone;
    Moment seen = 0;
    std::uint32_t look = 0;
    std::uint32_t monitor = 0;   // of a condition: its mutex; of a mutex: 1 if it is a monitor's
  };
  struct Queued {
    std::uint32_t queue;
    std::size_t work;   // of its name, which it may not outlive
    Step by;
  };

  // What `earlier` did by then comes before what `later` does from its moment on: an answer.
  struct Answer {
    Step earlier;
    Step later;
  };

  void edge(Place to, Place from, Moment moment, std::uint32_t mutex = 0);
  // Instead of who gave before; beside them; to whoever comes.
  void gives(std::uint32_t id, std::uint32_t by) {
    Object& given = object(id);
    given.giver = given.taker = of_fiber(by);
    given.moment = tick();
  }
  void adds(std::uint32_t id, std::uint32_t by);
  void takes(std::uint32_t id, std::uint32_t by, std::uint32_t mutex = 0) {
    Object& given = object(id);
    const Place me = of_fiber(by);
    if (given.moment == 0 || given.giver == me || given.taker == me) return;
    given.taker = me;
    edge(me, given.giver, given.moment, mutex);
  }
  void end_wait(std::uint32_t by);
  void note_monitor(std::uint32_t mutex, std::uint32_t by);
  void runs_work(const engine::Event& event, std::uint32_t by);
  [[nodiscard]] bool finds(Step earlier, Step later, Trust trust);
  void look_from(Place place, Moment until);
  [[nodiscard]] bool orders(const Edge& edge, Trust trust) const noexcept {
    return edge.mutex == 0 || trust == Trust::every_mutex || objects_[edge.mutex].monitor != 0;
  }
  [[nodiscard]] Fiber& fiber(std::uint32_t birth) {
    if (fibers_.size() <= birth) [[unlikely]]
      fibers_.resize(birth + 16);
    return fibers_[birth];
  }
  [[nodiscard]] Object& object(std::uint32_t id) {
    if (objects_.size() <= id) [[unlikely]]
      objects_.resize(id + 64);
    return objects_[id];
  }

  Moment now_ = 0;
  std::vector<Fiber> fibers_;     // by birth
  std::vector<Object> objects_;   // by id
  std::vector<Edge> edges_;
  std::vector<Queued> queued_;
  std::vector<Step> sent_;
  // The last read-modify-write, and what was to be had from its object before.
  std::uint32_t modified_ = 0;
  Object before_{};
  std::uint32_t waiting_ = 0;     // fibers that wait for a condition
  std::vector<Answer> answers_;   // the last of two fibers, so that loops do not ask again
  std::uint32_t looks_ = 0;
  struct Left {
    Place place;
    Moment until;
    Moment since;   // what came before was looked at already
  };
  std::vector<Left> left_;   // kept for its memory
};

}   // namespace sim
