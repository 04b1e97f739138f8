// Depth-first search over schedules that runs exactly one of each class of equivalent ones, in
// memory for the square of one execution: optimal dynamic partial-order reduction without stored
// sleep sets or wake-up trees.
//
// The idea is that of M. Kokologiannakis, I. Marmanis, V. Gladstein, V. Vafeiadis, "Truly
// Stateless, Optimal Dynamic Partial Order Reduction" (POPL 2022), here for sequences of operations
// on objects and with operations that wait; P. Abdulla, M. Atig, S. Das, B. Jonsson, K. Sagonas,
// "Parsimonious Optimal Dynamic Partial Order Reduction" (CAV 2024) come to much the same from the
// other side.
//
// An execution is built event by event. A new event e comes last; where it could have come earlier,
// that is another execution to run:
//   - a read is put before any write that does not come before it anyway; nothing else changes;
//   - a write is put before an earlier event f of its object, which is thereby undone, and with it
//     all that was added after f and that e does not rest on. What was undone is added again, after
//     e, with whatever follows from that. A read f stays, right after e;
//   - what is done to a lock in shared mode (Operation::shares()) is put before a write like a
//     write is. A write is put after some of what was done in shared mode since the write before
//     it, and before the rest: of these each selection is an execution of its own, and they are
//     made one at a time. Several that are put before one write, one after the other, are so in the
//     order of least() below.
// One execution could be reached so in many ways. Only the one is taken in which all that is undone
// had been added as it is always added: each event last, and in the order of least() below. Then
// where an execution comes from can be told from itself, so it comes up once; and since nothing is
// ever tried that does not go through, none is run in vain.
//
// That order is the heart of it. Of the fibers that can go on, the one is next whose next operation
// rests on least: the clock of what comes before it (and of whoever let go of the lock that it
// takes) is the lowest, looked at from the youngest fiber down. So it does not matter for the order
// of two events what else has been added meanwhile that neither rests on.
//
// What an event rests on: what its fiber did before, whoever started or woke it, the last write of
// its object, all signals of a completion. A write does not rest on the reads before it. So reads
// are pure looks at a variable. A write does rest on what was done in shared mode before it, and
// who is let in by the last of those that let go rests on all of them. Everything else that is done
// to an object counts as a write; so does what is done in shared mode to one that is taken for one
// object with another.
//
// Waiting: an operation that could not go on is no event, and is not tried (operation.h). A fiber
// that has yielded goes on when something has changed that it had read since it last yielded, or
// so often for nothing as it is told; where nobody can go on else, all of these look again. One
// that does nothing but look counts as one that yields, in the end (spin_looks.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sim/operation.h"
#include "sim/spin_looks.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

class Dpor final : public Strategy {
 public:
  // `retries`: how often in an execution each fiber that has yielded may look again although
  // nothing has changed.
  explicit Dpor(std::uint32_t retries = 0) noexcept : retries_{retries} {}
  // To be called when an execution is over and has found nothing: false when there is no other.
  [[nodiscard]] bool next();
  // Objects have turned out to belong together. The search has begun anew, and what was run so far
  // counts for nothing. Told once.
  [[nodiscard]] bool began_anew() noexcept { return std::exchange(anew_, false); }
  // There were steps of the environment, which it does not explore.
  [[nodiscard]] bool saw_environment() const noexcept { return saw_environment_; }
  // Estimated share of the search that is behind.
  [[nodiscard]] double done() const noexcept { return done_; }
  // What was left out although the search has ended; empty: nothing.
  [[nodiscard]] std::string left_out() const;
  // Events kept for executions to come back to, at present. Never more than the square of the
  // events of one execution.
  [[nodiscard]] std::uint64_t stored_events() const noexcept { return stored_events_; }
  // Ways kept with them, one for all selections that are still to be made of a write and its place
  // among them.
  [[nodiscard]] std::uint64_t stored_ways() const noexcept;

  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void touched(const SimFiber& self, const engine::SyncObject& object,
               engine::Access access) override;
  void unchanged(const SimFiber& self, const engine::SyncObject& object) override;
  void woken(const SimFiber& fiber) override;

 private:
  using Id = ThreadPaths::Id;
  using Kind = Operation::Kind;
  static constexpr std::uint32_t kNone = ~0U;
  static constexpr std::size_t kAgainMax = 32;   // events looked at for an estimate

  // By fiber: how many of its events.
  using Clock = std::vector<std::uint32_t>;
  // Of what comes before: all of it, and what one rests on.
  struct Past {
    Clock all;
    Clock rests_on;
    void clear() noexcept {
      all.clear();
      rests_on.clear();
    }
    void join(const Past& other);
  };
  struct Event {
    Id fiber = 0;
    std::uint32_t ordinal = 0;      // among the fiber's events, from 1
    std::uint32_t object = kNone;   // or all that is taken for one with it
    std::uint32_t slot = kNone;     // the object itself
    std::uint32_t rank = 0;         // in the order in which events were added
    std::uint32_t value = 0;        // of a choice among `values`
    std::uint32_t values = 0;       // 0: an operation
    Kind kind = Kind::plain;
    bool writes = false;
    bool shares = false;        // what is done to a lock in shared mode; it does not write then
    bool undid_write = false;   // it has taken the place of one, or of one that shares
    bool moved = false;         // not where it would be added: before something of lower rank
    std::uint32_t overwritten_by = kNone;   // of one that reads: the next write of its object
    Past before;
    Past past;   // itself included

    [[nodiscard]] bool reads() const noexcept { return !writes && !shares && values == 0; }
  };
  // Another execution: of a run, up to the event `event`.
  struct Way {
    // Selections: all ways to undo something that come of selections not made yet.
    enum class What : std::uint8_t { before_write, undo, value, selections } what = What::undo;
    std::uint32_t event = 0;
    std::uint32_t target = 0;   // the write; what is undone; the value; the gap's next write
    // Undo, selections: the write that it comes right after, kNone for the beginning.
    std::uint32_t after = kNone;
    // And after these, which share. Of other such since that write none is before it. Of
    // selections: what the next one to be made has beyond what all of them have.
    std::vector<std::uint32_t> beside = {};
    double share = 0;        // of the search, estimated
    double selections = 0;   // so many, or fewer
  };
  // Between two writes of an object: kNone before the first, and after the last.
  struct Gap {
    std::uint32_t after = kNone;
    std::uint32_t next = kNone;
  };
  struct Run {
    std::vector<Event> events;   // kept for their memory; `length` are of this run
    std::uint32_t length = 0;
    std::vector<std::uint32_t> by_rank;   // those
    std::vector<Way> ways;                // still to be gone, the last first
  };
  // What is given of an execution.
  struct Given {
    Id fiber = 0;
    std::uint32_t ordinal = 0;
    std::uint32_t rank = 0;
    std::uint32_t value = 0;
    bool undid_write = false;
  };
  struct Object {
    // Events of this execution, in their order.
    std::vector<std::uint32_t> writes;
    std::vector<std::uint32_t> reads;
    std::vector<std::uint32_t> shares;
    // Those writes that have changed it.
    std::vector<std::uint32_t> changes;
    std::uint32_t rank = 0;   // the highest of all
    Past last_write;          // of the last of them
    Clock reads_all;          // of all that comes before the reads since, themselves included
    Past shares_since;        // likewise
    Past let_go_since;        // of those that let go
    Past signals;
    Past release;   // the last, of a lock
    // --- Of all executions. ---
    std::uint32_t same_as = kNone;   // taken for one object with that; kNone: with none
    std::vector<Id> changed_by;
    // Touched in passing: by steps that began with operations on these, by these.
    std::vector<std::uint32_t> touched_from;
    std::vector<Id> touched_by;
    bool touched_by_write = false;
    bool is_operated_on = false;
    bool is_never_just_looked_at = false;   // looks come with changes, in passing
    bool is_one_of_several = false;         // that are taken for one
  };
  struct Fiber {
    Past past;   // of what it does next
    std::uint32_t ordinal = 0;
    std::vector<Look> read;   // since it last yielded
    SpinLooks spins;
    std::uint32_t retries = 0;
    bool waits_for_change = false;
    bool woken_early = false;   // before it has begun to wait
    Past wake;
  };
  struct Enabled {
    Id fiber = 0;
    std::uint32_t index = 0;   // among the choices
    Operation operation{};
    std::uint32_t object = kNone;
  };

  static void join(Clock& into, const Clock& from);
  [[nodiscard]] static std::uint32_t at(const Clock& clock, Id fiber) noexcept {
    return fiber < clock.size() ? clock[fiber] : 0;
  }
  [[nodiscard]] static bool covers(const Clock& clock, const Event& event) noexcept {
    return at(clock, event.fiber) >= event.ordinal;
  }

  // --- one execution: strategy_dpor.cc ---
  void settle();
  void note_look(Id id, std::uint32_t slot);
  void note_change(std::uint32_t slot, std::uint32_t number);
  void note_yield(const Choices& choices);
  void give_way(Id id);
  bool let_waiting_look();
  [[nodiscard]] std::uint32_t find_local(const Choices& choices) const;
  void collect_enabled(const Choices& choices);
  [[nodiscard]] const Enabled& least() const;
  [[nodiscard]] bool rests_on_less(const Enabled& a, const Enabled& b) const;
  std::uint32_t go_local(const Choices& choices, std::uint32_t index);
  std::uint32_t go_on(const Choices& choices, const Enabled& chosen);
  void ran(Fiber& fiber);
  std::uint32_t add(Id fiber, std::uint32_t rank);
  void put_by_rank(std::uint32_t number);
  void happens(std::uint32_t number);
  void note_order(Object& object, const Event& event);
  [[nodiscard]] std::uint32_t slot_of(std::uint32_t id);
  [[nodiscard]] std::uint32_t whole(std::uint32_t slot) const noexcept;

  // --- other executions: strategy_dpor_ways.cc ---
  void find_ways(std::uint32_t number);
  void find_places_of_read(std::uint32_t number);
  void find_undone_by(std::uint32_t number);
  void find_undone_by_shared(std::uint32_t number);
  [[nodiscard]] bool comes_in_turn(std::uint32_t number, std::uint32_t gap) const;
  [[nodiscard]] bool is_less(const Event& a, const Event& b) const noexcept;
  [[nodiscard]] Gap gap_of(std::uint32_t object, std::size_t number) const noexcept;
  void find_undone_by(Run& run, std::uint32_t number, Gap gap,
                      const std::vector<std::uint32_t>& beside,
                      const std::vector<std::uint32_t>& others);
  [[nodiscard]] bool is_free_at(const Event& lock, std::uint32_t gap) const;
  const Clock& what_stays(const Run& run, const Event& write, std::uint32_t after,
                          const std::vector<std::uint32_t>& beside);
  void share_out();
  [[nodiscard]] double executions_of(const Way& way);
  [[nodiscard]] double places_of(const Event& added) const;
  [[nodiscard]] static bool races(const Event& added, const Event& earlier) noexcept;
  void give(const Run& run, const Way& way);
  void give_reordered(const Run& run, const Way& way);
  void give_what_stays(const Run& run, const Way& way);
  void give_event(const Event& event, bool undid_write);

  // --- what shares, beside a write: strategy_dpor_selections.cc ---
  void find_selections(std::uint32_t number, Gap gap);
  [[nodiscard]] bool divide_sharers(const Run& run, std::uint32_t number, Gap gap);
  [[nodiscard]] std::uint32_t rank_undone_min(const Run& run, std::uint32_t number, Gap gap);
  [[nodiscard]] double selections_most() const;
  [[nodiscard]] double executions_of_all(const Way& selections);
  void make_selection(Run& run);
  [[nodiscard]] std::vector<std::uint32_t> selection_after(
      const Run& run, std::vector<std::uint32_t> selection) const;

  // --- objects that belong together: strategy_dpor_objects.cc ---
  void unite(std::uint32_t a, std::uint32_t b);
  [[nodiscard]] static bool is_shared(const Object& object) noexcept;
  void unite_touched(std::uint32_t slot);
  void note_changed_by(std::uint32_t slot, Id fiber);
  void note_waits_for(Id fiber);
  void unite_waited_for();
  void begin_anew();

  const std::uint32_t retries_;
  ThreadPaths paths_;
  Run run_;
  std::vector<Run> runs_;    // with ways still to be gone, the outermost first
  std::vector<Run> spare_;   // kept for their memory
  std::uint64_t stored_events_ = 0;
  std::vector<Given> given_;          // operations
  std::vector<Given> given_values_;   // choices
  std::uint32_t at_ = 0;              // of given_
  std::uint32_t next_rank_ = 0;
  double share_ = 1;   // of this execution and all that come from it
  double done_ = 0;
  std::vector<Fiber> fibers_;
  std::vector<Object> objects_;   // by slot
  Id running_ = ThreadPaths::kRoot;
  std::uint32_t step_ = kNone;        // the event that who runs went on with; kNone: none
  std::uint32_t unsettled_ = kNone;   // an event whose effect is not known yet, and its object
  std::uint32_t unsettled_slot_ = kNone;
  bool changed_nothing_ = false;
  bool free_running_ = false;   // nothing more is recorded in this execution
  bool saw_environment_ = false;
  bool anew_ = false;
  bool united_ = false;
  std::vector<std::pair<Id, std::vector<std::uint32_t>>> waited_for_;   // of all executions
  std::map<std::string, std::uint64_t> partial_;   // choices of which not every answer was tried
  std::map<std::string, std::uint64_t> unordered_;
  std::uint64_t held_back_ = 0;   // times that somebody had no retries left
  // Kept for their memory.
  std::vector<Enabled> enabled_;
  std::vector<std::uint32_t> again_;   // events
  Clock kept_;
  Clock staying_;
  std::vector<std::uint32_t> always_;   // what shares in a gap and is in all selections
  std::vector<std::uint32_t> open_;     // the rest of it
};

}   // namespace sim
