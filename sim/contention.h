// Which operations of a program matter to other fibers, learnt from its executions: what is left
// out is of no concern to anybody else, so a strategy need not decide when it happens.
//
// An event is an operation at a line of source on an object, by its label (object_labels.h), and so
// means the same in other executions. Two events contend when two fibers did them in one execution,
// one of them writes, and no lock was held at every occurrence of both: where there is one, the
// order of its holders says it all. Giving a lock back, or opening a gate, is no event: who takes
// it next, or had to wait, says the same.
//
// Memory is bounded: events and labels beyond the first few thousand are left out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/held_locks.h"
#include "sim/object_labels.h"

namespace sim {

class Contention {
 public:
  using EventId = std::uint16_t;
  using LabelId = ObjectLabels::Id;
  static constexpr EventId kNone = 0;   // stands for "nobody has written it", and is no event
  static constexpr EventId kUnknown = KeyIndex::kFull;   // there was no room for it

  struct Role {
    bool reads = false;
    bool writes = false;
  };

  Contention();

  // Another program.
  void forget();
  // A new execution.
  void begin();
  // Objects with this id and above may be others in another execution.
  void fix_ordinals(std::uint32_t below) noexcept { labels_.fix_ordinals(below); }
  // `fiber` goes on with that operation; its event.
  EventId happens(SimFiber& fiber, const engine::Point& point);
  // The execution is over.
  void end();

  [[nodiscard]] static Role role_of(const engine::Point& point) noexcept;
  // The event that `fiber`, which is about to do `point`, stands at.
  [[nodiscard]] EventId event_at(SimFiber& fiber, const engine::Point& point) {
    if (fiber.event_step != fiber.steps) {
      fiber.event_step = fiber.steps;
      fiber.event = event_of(point);
    }
    return fiber.event;
  }
  // False for kNone and kUnknown.
  [[nodiscard]] static bool is_event(EventId event) noexcept {
    return event != kNone && event != kUnknown;
  }
  [[nodiscard]] LabelId label_of(const engine::SyncObject& object) { return labels_.of(object); }
  [[nodiscard]] LabelId label_of(EventId event) const noexcept { return events_[event].label; }
  [[nodiscard]] Role role_of(EventId event) const noexcept { return events_[event].role; }
  [[nodiscard]] bool contended(EventId event) const noexcept { return events_[event].contended; }
  // It can come more than once in one execution.
  [[nodiscard]] bool repeats(EventId event) const noexcept { return events_[event].repeats; }
  // Others contend for it, as far as is known: what was never seen may well be.
  [[nodiscard]] bool matters(EventId event) const noexcept {
    if (event == kUnknown) return true;
    const Event& known = events_[event];
    return known.contended || (known.execution == 0 && event != kNone);
  }
  // Labels with events that contend, and of one of them those that read and those that write.
  [[nodiscard]] std::span<const LabelId> contended() const noexcept { return contended_; }
  [[nodiscard]] std::span<const EventId> reads(LabelId label) const noexcept {
    return labelled_[label].reads;
  }
  [[nodiscard]] std::span<const EventId> writes(LabelId label) const noexcept {
    return labelled_[label].writes;
  }
  // Labels below this have been given.
  [[nodiscard]] std::size_t labels() const noexcept { return labelled_.size(); }

 private:
  struct Event {
    LabelId label = ObjectLabels::kNone;
    Role role;
    bool is_data = false;
    bool contended = false;
    bool by_several = false;   // fibers, in one execution
    bool repeats = false;
    std::uint32_t execution = 0;   // the last one it happened in
    std::uint32_t fiber = 0;       // in that one
    CommonLocks locks;             // by label
  };
  struct Known {
    std::uint32_t key;   // line and operation
    EventId event;
  };
  struct Label {
    std::vector<Known> all;
    std::vector<EventId> reads;    // that contend
    std::vector<EventId> writes;   // that contend
    std::uint32_t execution = 0;   // the last one it was touched in
    std::uint32_t fiber = 0;       // the first one to do so
    bool by_several = false;       // in that one
  };

  [[nodiscard]] EventId event_of(const engine::Point& point);
  static constexpr std::size_t kEventsMax = 4096;
  void note_locks(const SimFiber& fiber, Event& event);
  void settle(LabelId label);
  [[nodiscard]] bool contend(const Event& a, const Event& b) const noexcept;

  std::uint32_t execution_ = 0;
  ObjectLabels labels_;
  std::vector<Event> events_;
  std::vector<Label> labelled_;
  std::vector<LabelId> touched_;   // in this execution, by several fibers
  std::vector<LabelId> contended_;
  HeldLocks held_;
  std::vector<std::uint32_t> held_labels_;   // kept for its memory
};

}   // namespace sim
