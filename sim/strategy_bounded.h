// Depth-first search over all schedules within a bound on preemptions and faults, steps of the
// environment included: iterative context bounding (M. Musuvathi, S. Qadeer, "Iterative context
// bounding for systematic testing of multithreaded programs", PLDI 2007) with a cache of the
// classes of equivalent beginnings that have been seen (the same authors, "Partial-order reduction
// for context-bounded state exploration", MSR-TR-2007-12).
//
// Why not dynamic partial-order reduction here: a bound cuts off executions from which its races
// would have been seen, so that it needs extra places to come back to, which lose most of what it
// gains (K. Coons, M. Musuvathi, K. McKinley, "Bounded partial-order reduction", OOPSLA 2013). The
// cache is exact with any bound, and needs to know only which operations depend on each other:
// where that is not known, they are taken to. The price is memory, some 20 bytes a state.
//
// A beginning is told by a hash of its operations, each with those that came before it and that it
// depends on; so equivalent beginnings have one hash, and what can follow them is the same. One
// that was reached before for no more preemptions need not be followed again.
//
// Choices are made where a fiber is about to touch an object of a name under which fibers have been
// seen to share one, and where none can go on. Other operations commute with all that others do,
// so a preemption just before them could as well come later. A name that turns up on the way starts
// the search anew.
//
// What counts as a preemption: a fiber that could go on is interrupted, by another fiber, an I/O
// that takes effect and ends just then, or a timer; an I/O is overtaken by a younger one; a timer
// fires while something else could happen. A fiber that has waited, yielded or ended is followed by
// any other for nothing, and an I/O that was overtaken once takes its time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sim/operation.h"
#include "sim/rng.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

struct Bounds {
  static constexpr std::uint32_t kNone = ~0U;
  std::uint32_t preemptions = kNone;
  // Of answers to Execution::choose() other than 0 where they are rare: faults, power cuts.
  std::uint32_t faults = kNone;
  // False: one schedule, the one of the rule of schedule.h; only choose() has other answers.
  bool schedules = true;
  // Choices of which any answer is as good as any other.
  std::vector<std::string> indifferent = {};
};

class Bounded final : public Strategy {
 public:
  explicit Bounded(Bounds bounds) : bounds_{std::move(bounds)} {}

  // To be called when an execution is over: false when there is no other.
  [[nodiscard]] bool next();
  // The next execution is a random one, not of the search: it counts the ways that the search would
  // have, were all operations to depend on each other, and learns which names are shared.
  void probe(std::uint64_t seed);
  // The next execution is the search's first.
  void end_probes();
  // Of the execution just run as a probe.
  [[nodiscard]] double ways() const noexcept { return probe_ways_; }

  // From now on, until told otherwise or the execution ends, the rule of schedule.h decides what
  // happens next: what is of interest has not begun, or is over.
  void follow_rule(bool follow) noexcept { follow_rule_ = follow; }

  // The execution just run led only to what had been seen.
  [[nodiscard]] bool was_cut_short() const noexcept { return cut_short_; }
  // It was run to its end, and is equivalent to none before.
  [[nodiscard]] bool was_new() const noexcept { return new_; }
  // The class of the execution just run to its end: equal for equivalent ones.
  [[nodiscard]] std::uint64_t class_hash() const noexcept { return sum_; }
  [[nodiscard]] std::uint64_t classes() const noexcept { return classes_.size(); }
  [[nodiscard]] std::uint64_t states() const noexcept { return seen_.size(); }
  // What was left out although the search has ended; empty: nothing.
  [[nodiscard]] std::string left_out() const;
  // Estimated share of the search that is behind: the ways left, at what ways took so far.
  [[nodiscard]] double done() const;

  void begin(std::uint64_t seed) override;
  [[nodiscard]] bool wants_every_point() const override { return true; }
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void end(std::uint64_t points) override;

 private:
  using Id = ThreadPaths::Id;
  static constexpr Id kNobody = ~0U;
  static constexpr std::uint32_t kTimers = 0;   // an id that no object has
  static constexpr std::uint64_t kTimersName = 1;

  // One thing that may happen next.
  struct Way {
    Id actor = kNobody;        // a fiber or a step
    std::uint32_t index = 0;   // among the choices; of a value: the value
    std::uint32_t cost = 0;    // preemptions; of a value: faults
  };
  struct Node {
    std::vector<Way> ways;
    std::uint32_t at = 0;   // which is being tried
    bool is_value = false;
    std::uint64_t began = 0;   // executions before this way was
  };
  // Ways that have been tried to the end, of the nodes of one depth.
  struct Depth {
    std::uint64_t ways = 0;
    std::uint64_t executions = 0;
  };
  struct Actor {
    std::uint64_t chain = 0;     // hash of its last operation, and so of all that led to it
    std::uint64_t seen_at = 0;   // the last pick at which it could run
    bool acts = false;           // in this execution
    bool aside = false;          // a step that was overtaken
    bool waits_for_change = false;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> read;   // object, writes; since a yield
  };
  struct Transfer {   // that took effect on a device
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t hash;
    bool writes;
  };
  struct Object {
    std::uint64_t execution = 0;   // the rest is of that one
    std::uint64_t name = 0;
    std::uint64_t last_write = 0;
    std::uint64_t reads = 0;     // sum of those since the last write
    std::uint64_t signals = 0;   // sum
    std::uint64_t writes = 0;
    Id toucher = kNobody;   // the first
    bool written = false;
    bool shared = false;   // its name is
    bool held = false;     // a spin lock
    std::vector<Transfer> transfers;
  };

  // The finalizer of splitmix64, over both.
  [[nodiscard]] static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept;
  [[nodiscard]] static std::uint64_t hash_of(const engine::SyncObject& object) noexcept;
  void note_new(const Choices& choices);
  void note_yield(const Choices& choices);
  [[nodiscard]] Id id_of(EnvStep& step);
  [[nodiscard]] bool sees_no_change(const Actor& actor) const;
  [[nodiscard]] bool can_go_on(const SimFiber& fiber, const engine::Point* point);
  [[nodiscard]] bool worth_stopping(const SimFiber& fiber, const engine::Point* point);
  [[nodiscard]] std::uint32_t find_local(const Choices& choices);
  void collect(const Choices& choices, bool goes_on);
  void collect_steps(const Choices& choices, bool goes_on);
  void collect_attempts(const Choices& choices);
  [[nodiscard]] std::uint32_t finish_pair(const Choices& choices);
  std::uint32_t look_again(const Choices& choices);
  // Which of ways_; ways_.size() when all of it was seen.
  [[nodiscard]] std::size_t decide(const Choices& choices, bool goes_on);
  [[nodiscard]] std::size_t draw(bool goes_on);
  std::uint32_t take_rule(const Choices& choices);
  std::uint32_t take(const Choices& choices, const Way& way, bool goes_on);
  std::uint32_t go_on(const Choices& choices, std::uint32_t index);
  void take_step(const Choices& choices, EnvStep& step);
  Object& object_of(const engine::SyncObject& object);
  Object& timers();
  Object& object_called(std::uint32_t id, std::uint64_t name);
  void touch(Id actor, const Operation& operation, Object& object);
  void transfer(Id actor, const EnvStep::Touch& touch);
  void touch_everything(Id actor);
  void set_chain(Id actor, std::uint64_t chain);
  Node& new_node(bool is_value);
  void start_anew();

  Bounds bounds_;
  ThreadPaths paths_;
  std::vector<Node> nodes_;   // kept for their memory; `length_` are of this execution
  std::vector<Depth> depths_;
  std::uint64_t searched_ = 0;   // executions
  std::uint32_t length_ = 0;
  std::uint32_t fixed_ = 0;   // nodes whose choice is given
  std::uint32_t at_ = 0;      // the next one
  std::vector<Actor> actors_;
  std::vector<Object> objects_;
  std::unordered_map<std::uint32_t, Id> steps_;   // by ActorId, of this execution; only looked up
  std::uint64_t execution_ = 0;
  std::uint64_t picks_ = 0;
  std::uint64_t sum_ = 0;   // of all chains, mixed
  std::uint32_t preemptions_ = 0;
  std::uint32_t faults_ = 0;
  Id running_ = ThreadPaths::kRoot;
  Id pair_ = kNobody;   // a step whose second half comes next
  bool free_running_ = false;
  bool follow_rule_ = false;
  bool cut_short_ = false;
  bool new_ = false;
  // Choices of which not every answer was there to be tried, by name, with how often.
  std::map<std::string, std::uint64_t> partial_;
  // By hash of a beginning: the fewest preemptions it was followed with. Only looked up.
  std::unordered_map<std::uint64_t, std::uint32_t> seen_;
  std::unordered_set<std::uint64_t> classes_;   // only looked up
  std::unordered_set<std::uint64_t> shared_;    // names; only looked up
  bool more_shared_ = false;                    // since the search began
  // --- Of a probe. ---
  bool probing_ = false;
  Rng rng_;
  double probe_ways_ = 0;
  double probe_base_ = 1;
  std::array<double, 8> interruptions_{};   // by how many there were: the ways to choose them
  // Kept for their memory.
  std::vector<Way> ways_;
  std::vector<EnvStep*> by_age_;
};

}   // namespace sim
