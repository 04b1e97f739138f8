// Finds locks that are taken in opposite orders, without the deadlock having to happen: if one
// fiber takes b while it holds a, and another a while it holds b, some schedule makes both wait for
// ever.
//
// Not reported: orders that one fiber alone makes; cycles of which two steps are taken under one
// and the same further lock, which then keeps them apart; cycles in which two meet at a lock that
// both only read; cycles of which one step has to be over before another begins
// (happens_before.h). Steps that the schedule at hand ran one after the other for any other reason
// do count, as when one lock went from hand to hand. A lock that was only tried is held, and others
// are taken after it, but it is never the one that somebody would wait for.
//
// Where steps come one after the other by nothing but mutexes, one of these may turn out to be a
// monitor's later on: such a cycle is reported when the first fiber ends, if none has.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/fiber/context.h"
#include "sim/call_stack.h"
#include "sim/finding.h"
#include "sim/happens_before.h"
#include "sim/order_listener.h"

namespace sim {

class Execution;

// Listens to the locks of one execution. It reports to the execution, which ends it, or only keeps
// in mind that there was something to report.
class LockOrder final : public engine::TraceSink, private OrderListener {
 public:
  enum class Mode : bool { reports, remembers };
  // Whether what keeps two steps apart in time counts. Where locks have an order that all keep to,
  // as the engine's do (docs/locking.md), it does not: what waits for what is another matter there,
  // and may change.
  enum class Rule : bool { may_not_meet, one_order };
  explicit LockOrder(Execution& execution, Mode mode = Mode::reports,
                     Rule rule = Rule::may_not_meet)
      : execution_{execution}, mode_{mode}, rule_{rule} {}
  ~LockOrder();   // hears nothing more
  LockOrder(const LockOrder&) = delete;
  LockOrder& operator=(const LockOrder&) = delete;

  // To an execution that has been reset. Whatever was heard before is forgotten.
  void listen();
  void event(const engine::Event& event) noexcept override;
  // In this execution locks were taken in opposite orders.
  [[nodiscard]] bool has_seen() const noexcept { return has_seen_; }

 private:
  static constexpr std::uint32_t kEnd = ~0U;
  struct Held {
    std::uint32_t fiber = 0;   // by birth
    std::uint32_t lock = 0;
    const char* name = nullptr;   // the lock's own: there while it is held
    bool shared = false;
    bool is_mutex = false;
    std::source_location where;
    std::uint32_t stack = kEnd;           // in stacks_
    HappensBefore::Moment taken_at = 0;   // before its hand-over
  };
  // Somebody took `then` while holding `first`.
  struct Nested {
    Held first;
    Held then;
  };
  struct Manner {
    std::uint32_t under = 0;   // in under_: what else was held, sorted
    std::uint32_t under_count = 0;
    const char* fiber_name = nullptr;   // these three outlive the execution's objects
    const char* first_name = nullptr;
    const char* then_name = nullptr;
  };
  // One fiber's way of doing so: the first time and the latest.
  struct Way {
    Nested earliest;
    Nested latest;
    Manner manner;
    std::uint32_t next = kEnd;   // in ways_: another one of the same order
  };
  struct Step {
    Nested nested;
    Manner manner;
  };
  using Cycle = std::vector<Step>;

  // All ways of one order that are kept: a few, which differ in fiber or in what else was held.
  struct Orders {
    std::uint32_t first = 0;     // held
    std::uint32_t then = 0;      // taken
    std::uint32_t next = kEnd;   // with the same lock held
    std::uint32_t way = kEnd;    // in ways_: the first
    std::uint32_t ways = 0;
    std::uint32_t no_cycle_at = 0;   // cycles_ by when it was part of none
    std::uint32_t apart_at = 0;      // changes_ by when something kept each of its cycles apart
  };
  // What is known of a lock.
  struct Lock {
    std::uint32_t orders = kEnd;   // the latest in which it was held
    std::uint32_t seen = 0;        // by the look with that number
    bool was_then = false;         // it was taken while another was held
  };
  // Of a cycle: its steps cannot be under way at once, or can, or it is not known yet.
  enum class Verdict : std::uint8_t { no, perhaps, yes };

  void goes_on(engine::OpKind op, std::uint32_t object) noexcept override;
  void unchanged(const engine::SyncObject& object) noexcept override;
  void spawns(const SimFiber& fiber) noexcept override;
  void wakes(const SimFiber& fiber) noexcept override;
  [[nodiscard]] std::uint32_t sent() noexcept override;
  void received(std::uint32_t ticket) noexcept override;

  void reset();
  void taken(const engine::Event& event, bool shared);
  void released(const engine::Event& event) noexcept;
  void notified(const engine::Event& event);
  void add(const Nested& nested);
  [[nodiscard]] Orders& order_of(std::uint32_t first, std::uint32_t then);
  // Adds it, or makes it the latest of its way. Null: it says nothing new.
  const Way* note_way(Orders& orders, const Nested& nested);
  [[nodiscard]] Way& new_way(Orders& orders);
  [[nodiscard]] const char* keep(const char* name);
  void make_room();
  // The orders in which that lock was held, by the one taken.
  [[nodiscard]] std::vector<const Orders*> orders_of(std::uint32_t lock) const;
  [[nodiscard]] Lock& lock(std::uint32_t id);
  [[nodiscard]] std::span<const std::uint32_t> under(const Manner& manner) const {
    return std::span{under_}.subspan(manner.under, manner.under_count);
  }
  [[nodiscard]] bool leads_to(std::uint32_t from, std::uint32_t to);
  // A way from `from` to `to` that could go with what is on `way` already; extends it. Cycles of
  // more than a few locks are not looked for.
  bool find_way(std::uint32_t from, std::uint32_t to, Cycle& way);
  // A cycle: true where it is one that deadlocks. Keeps in mind what is doubtful.
  bool deadlocks(const Cycle& cycle);
  // By what they are, whenever they are.
  [[nodiscard]] bool kept_apart(const Cycle& cycle) const;
  [[nodiscard]] bool have_gate(const Manner& one, const Manner& other) const;
  [[nodiscard]] Verdict could_meet(const Cycle& cycle);
  [[nodiscard]] Verdict could_meet(const Nested& one, const Nested& other);
  // Keeps it until the first fiber ends.
  void doubt(const Cycle& cycle);
  void judge_doubtful();
  void report(const Cycle& cycle);
  [[nodiscard]] Finding describe(const Cycle& cycle) const;

  Execution& execution_;
  const Mode mode_;
  const Rule rule_;
  bool has_seen_ = false;
  std::vector<Held> held_;          // by all fibers, which hold few: in the order they were taken
  std::vector<CallStack> stacks_;   // where they were taken, in traced executions
  std::vector<Way> ways_;
  std::vector<std::uint32_t> under_;   // locks, and whether others may read beside
  std::vector<Orders> orders_;
  std::vector<std::uint32_t> places_;   // of orders_, from 1: open addressing; 0: free
  std::vector<Lock> locks_;             // by id
  HappensBefore before_;
  std::uint32_t cycles_ = 0;        // orders that closed one when they were new
  std::uint32_t changes_ = 1;       // of ways_, but for what is the latest
  bool nothing_but_time_ = false;   // has kept a cycle apart since that was cleared
  std::vector<Cycle> doubtful_;
  bool first_has_ended_ = false;
  std::uint32_t looks_ = 0;
  std::vector<std::uint32_t> left_;   // kept for its memory
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept {
      return std::hash<std::string_view>{}(name);
    }
  };
  std::unordered_set<std::string, NameHash, std::equal_to<>> names_;   // of all executions
  // The last that were kept, by where they stood: most names are literals.
  struct Kept {
    const char* given = nullptr;
    const char* kept = nullptr;
  };
  static constexpr std::size_t kKept = 128;
  std::array<Kept, kKept> kept_{};
};

}   // namespace sim
