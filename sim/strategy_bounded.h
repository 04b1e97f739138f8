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
// where that is not known, they are taken to. The price is memory, some 50 bytes a state. There
// is an end to it (states_seen.h): what is not remembered is searched once more.
//
// A beginning is told by a hash of its operations, each with those that came before it and that it
// depends on; so equivalent beginnings have one hash, and what can follow them is the same. One
// that was reached before for no more preemptions need not be followed again.
//
// Choices are made where a fiber is about to touch an object of a name under which fibers have been
// seen to share one, or has been seen to touch one in passing, and where none can go on. Other
// operations commute with all that others do, so a preemption just before them could as well come
// later. A name that turns up on the way starts the search anew.
//
// What counts as a preemption: a fiber that could go on is interrupted, by another fiber, an I/O
// that takes effect and ends just then, or a timer; an I/O is overtaken by a younger one of its
// disk; a timer fires while something else could happen. A fiber that has waited, yielded or ended
// is followed by any other for nothing, and an I/O that was overtaken once takes its time. One that
// does nothing but look counts as one that yields, in the end (spin_looks.h). Any other that spins
// without yielding has its turn ended by the rule of schedule.h, which costs nothing either, and
// goes on only after something else.
//
// Sleeping actors (P. Godefroid, "Partial-Order Methods for the Verification of Concurrent
// Systems", 1996, chapters 5 and 6), where preemptions are not bounded: one that was tried at a
// place need not be tried after others, as long as what they do has nothing to do with what it did.
// With the class of a beginning it is kept who slept there. Within a bound nobody sleeps: the
// equivalent execution in which it comes first may cost more, so that classes would be lost.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sim/operation.h"
#include "sim/rng.h"
#include "sim/spin_looks.h"
#include "sim/states_seen.h"
#include "sim/strategy.h"
#include "sim/thread_paths.h"

namespace sim {

struct Bounds {
  static constexpr std::uint32_t kNone = ~0U;
  std::uint32_t preemptions = kNone;
  // Of answers to Execution::choose() other than 0 where they are rare: faults, power cuts.
  std::uint32_t faults = kNone;
  // Choices of which that holds though they are not rare.
  std::vector<std::string> faults_too = {};
  // False: one schedule, the one of the rule of schedule.h; only choose() has other answers.
  bool schedules = true;
  // How often in an execution each fiber that has yielded may look again although nothing has
  // changed of what it had read.
  std::uint32_t retries = 0;
  // Choices of which any answer is as good as any other.
  std::vector<std::string> indifferent = {};
  // Choices that matter whatever else is of interest.
  std::vector<std::string> always = {};
  // Look whether beginnings that are taken for equivalent are.
  bool checks = false;
  // For what is remembered, of one that searches by itself.
  std::uint64_t memory_max = StatesSeen::kBytesMax;
};

// A part of a search: some ways of one place, and how to get there. Means the same in every process
// that has learnt the same (Bounded::learnt()).
struct Branch {
  struct Choice {
    std::uint64_t what = 0;   // whose turn it is, or a value
    bool is_value = false;
  };
  std::vector<Choice> path;
  std::vector<Choice> ways;   // none: all there are
  double executions = 0;      // estimated
};

class Bounded final : public Strategy {
 public:
  explicit Bounded(Bounds bounds) : Bounded{std::move(bounds), nullptr} {}
  // One of several that search together, each in a process of its own.
  Bounded(Bounds bounds, StatesSeen* seen)
      : bounds_{std::move(bounds)},
        own_seen_{seen == nullptr ? std::make_unique<StatesSeen>(StatesSeen::Of::this_process,
                                                                 bounds_.memory_max)
                                  : nullptr},
        seen_{seen == nullptr ? *own_seen_ : *seen} {}

  // To be called when an execution is over: false when there is no other.
  [[nodiscard]] bool next();
  // The next execution is a random one within the bounds, not of the search: it estimates how many
  // the search would have, were all operations to depend on each other and nothing remembered, and
  // learns which names are shared.
  void probe(std::uint64_t seed);
  // The next execution is the search's first.
  void end_probes();
  // Of the execution just run as a probe: its mean over probes is that number (D. Knuth,
  // "Estimating the efficiency of backtrack programs", 1975). None: that was the first of several,
  // which spends nothing of the bounds and shows where one could.
  [[nodiscard]] std::optional<double> ways() const noexcept {
    return pilots_ ? std::nullopt : std::optional{estimate()};
  }

  // From now on, until told otherwise or the execution ends, the rule of schedule.h decides what
  // happens next, and choices but those that bounds name are answered 0: what is of interest has
  // not begun, or is over.
  void follow_rule(bool follow) noexcept { follow_rule_ = follow; }

  // The execution just run led only to what had been seen.
  [[nodiscard]] bool was_cut_short() const noexcept { return cut_short_; }
  // It was run to its end, and is equivalent to none before that is remembered.
  [[nodiscard]] bool was_new() const noexcept { return new_; }
  // The class of the execution just run to its end: equal for equivalent ones.
  [[nodiscard]] std::uint64_t class_hash() const noexcept { return sum_; }
  [[nodiscard]] std::uint64_t classes() const { return seen_.classes(); }
  [[nodiscard]] std::uint64_t states() const { return seen_.states(); }
  // What was not remembered: it may have been searched more than once, and of the classes that were
  // new some may be the same.
  [[nodiscard]] StatesSeen::Forgotten forgotten() const { return seen_.forgotten(); }
  // What was not tried, with how often, although the search has ended.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& left_out() const noexcept {
    return left_out_;
  }

  // Where bounds say to check: something that who runs does or sees, told by a number. In
  // equivalent executions each actor does and sees the same.
  void observe(std::uint64_t what) noexcept;
  // Two beginnings that were taken for equivalent and are not: what the first actor that differs
  // does and sees differently. 0: nothing more, or it is not there at all.
  struct Contradiction {
    std::uint64_t after = 0;   // the last that is the same
    std::uint64_t once = 0;
    std::uint64_t then = 0;
  };
  [[nodiscard]] std::uint64_t contradictions() const noexcept { return contradictions_; }
  [[nodiscard]] const Contradiction& contradiction() const noexcept { return contradiction_; }
  // Estimated number of executions that are left: the ways left, at what ways took so far.
  [[nodiscard]] double left() const { return left_from(0); }
  // Estimated share of the search that is behind.
  [[nodiscard]] double done() const;

  // --- Between executions: for several that search together. ---
  // Some of what is left, for another to do, if it can be said in so many choices.
  [[nodiscard]] std::optional<Branch> give_away(std::size_t choices_max);
  // That and no more is to be searched.
  void take_over(const Branch& branch);
  // It has learnt of names that are shared: the search has to begin anew, of all together. One by
  // itself does so with next().
  [[nodiscard]] bool must_begin_anew() const noexcept { return more_shared_ && bounds_.schedules; }
  [[nodiscard]] std::vector<std::uint64_t> learnt() const;
  void learn(const std::vector<std::uint64_t>& learnt);

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
  void end(std::uint64_t points) override;

 private:
  using Id = ThreadPaths::Id;
  static constexpr Id kNobody = ~0U;
  static constexpr std::uint32_t kNone = ~0U;

  // What something is done to: an object, what is on a disk, all timers, how many faults there
  // were, who has woken an actor, whose number stands for an object.
  enum class Part : std::uint8_t { itself, contents, timers, faults, wakes, everything };
  struct Place {
    std::uint32_t object = 0;
    Part part = Part::itself;
    friend auto operator<=>(const Place&, const Place&) noexcept = default;
  };
  // Looks commute with each other, and so do additions.
  enum class Does : std::uint8_t { look, add, change };
  struct Touch {
    Place place;
    Does does = Does::look;
    std::uint64_t begin = 0;   // of contents
    std::uint64_t end = ~std::uint64_t{0};
  };
  // Of a way, until the next place where there was a choice.
  struct Footprint {
    bool is_known = false;
    std::vector<Touch> touches;
  };

  // One thing that may happen next.
  struct Way {
    Id actor = kNobody;        // a fiber or a step
    std::uint64_t path = 0;    // its name in every process
    std::uint32_t index = 0;   // among the choices; of a value: the value
    std::uint32_t cost = 0;    // preemptions; of a value: faults
    std::uint32_t place = 0;   // among all ways of the state, within bounds or not
  };
  struct Node {
    std::vector<Way> ways;
    std::vector<Footprint> did;   // by way
    std::uint32_t at = 0;         // which is being tried
    bool is_value = false;
    std::uint64_t began = 0;   // executions before this way was
  };
  struct Sleeper {
    Id actor;
    std::uint32_t node;
    std::uint32_t way;
  };
  // A way whose footprint is being taken.
  struct Recording {
    std::uint32_t node;
    std::uint32_t way;
    std::size_t from;   // in log_
  };
  // Ways that have been tried to the end, of the nodes of one depth, but for the first of each:
  // that one meets with what is new, and the others, of which all is that is left, are mostly cut
  // short.
  struct Depth {
    std::uint64_t ways = 0;
    std::uint64_t executions = 0;
  };
  // Ways of a probe that cost something: how many it has come by, and how many the first probe did
  // in all.
  struct Chances {
    double now = 0;
    double usual = 0;
  };
  // A probe takes one of several to be right, each of which has so many times the usual number
  // still to come.
  static constexpr std::array kGuesses{0.25, 1.0, 4.0};
  using ByGuess = std::array<double, kGuesses.size()>;
  struct Observation {
    const Observation* before;
    std::uint64_t what;
    std::uint64_t hash;   // of it and those before
  };
  struct Actor {
    std::uint64_t path = 0;       // hash of who started it, and as which of that one's children
    std::uint32_t children = 0;   // started so far
    std::uint64_t chain = 0;      // hash of its last operation, and so of all that led to it
    const Observation* observed = nullptr;   // the last, and the last before that operation
    const Observation* observed_before = nullptr;
    std::uint64_t wakes = 0;   // by others, before it has begun to wait
    bool acts = false;         // in this execution
    bool aside = false;        // a step that was overtaken
    bool waits_for_change = false;
    std::uint32_t retries = 0;
    std::vector<Look> read;   // since it last yielded
    SpinLooks spins;
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
    std::uint64_t looks = 0;    // sum of those since the last write
    std::uint64_t adds = 0;     // likewise
    std::uint64_t let_go = 0;   // of those looks by which somebody let go
    std::uint64_t signals = 0;
    std::uint64_t changes = 0;
    Id toucher = kNobody;   // the first
    bool written = false;
    bool shared = false;   // its name is
    std::vector<Transfer> transfers;
  };
  // What is known of a name, from all executions.
  struct Name {
    bool shared = false;
    std::vector<std::uint64_t> touched_at;   // places from which it was touched in passing
  };

  // The finalizer of splitmix64, over both.
  [[nodiscard]] static std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept;
  [[nodiscard]] static std::uint64_t hash_of(const engine::SyncObject& object) noexcept;

  // --- one execution: strategy_bounded.cc ---
  [[nodiscard]] std::uint32_t run_free(const Choices& choices);
  [[nodiscard]] std::size_t decide(const Choices& choices, bool goes_on);
  [[nodiscard]] std::size_t follow_given();
  [[nodiscard]] std::size_t enter_new(std::uint64_t state);
  [[nodiscard]] std::uint64_t state_of(const Choices& choices, bool goes_on);
  [[nodiscard]] Way way_of(Id actor, std::uint32_t index, std::uint32_t cost) const;
  // strategy_bounded_probe.cc
  [[nodiscard]] const SimFiber* whose_turn(const Choices& choices) const;
  [[nodiscard]] double estimate() const noexcept;
  [[nodiscard]] std::size_t draw();
  [[nodiscard]] std::uint32_t draw_value(std::uint32_t count, std::uint32_t cost);
  [[nodiscard]] static ByGuess come_by(Chances& chances, double more, std::uint32_t left) noexcept;
  void drawn(const ByGuess& probabilities) noexcept;
  void leave_out(const char* what);
  Node& new_node(bool is_value);
  [[nodiscard]] double left_from(std::uint32_t node) const;
  [[nodiscard]] double executions_of_one(std::uint32_t node) const;
  void check_state(std::uint64_t state);
  void contradict(const std::map<std::uint64_t, const Observation*>& once);
  void start_anew();

  // --- what may happen, and what it costs: strategy_bounded_ways.cc ---
  void note_new(const Choices& choices);
  void note_yield(const Choices& choices);
  [[nodiscard]] Id id_of(EnvStep& step);
  [[nodiscard]] bool sees_no_change(const Actor& actor) const;
  [[nodiscard]] bool is_held_back(const Actor& actor) const;
  [[nodiscard]] bool can_go_on(const SimFiber& fiber, const engine::Point* point) const;
  [[nodiscard]] bool worth_stopping(const SimFiber& fiber, const engine::Point* point);
  [[nodiscard]] std::uint32_t find_local(const Choices& choices);
  // `turn`: who goes on unless interrupted; null: nobody.
  void collect(const Choices& choices, const SimFiber* turn, bool turn_is_over);
  void add_way_of(const Choices& choices, std::uint32_t index, const SimFiber* turn);
  void collect_steps(const Choices& choices, bool goes_on);
  [[nodiscard]] bool overtakes(const EnvStep& step, const EnvStep& older) const noexcept;
  [[nodiscard]] std::uint32_t overtaken_by(const EnvStep& step) const;
  void collect_attempts(const Choices& choices);
  [[nodiscard]] std::uint32_t finish_pair(const Choices& choices);
  std::uint32_t look_again(const Choices& choices);
  std::uint32_t take_rule(const Choices& choices);
  std::uint32_t take(const Choices& choices, const Way& way, bool goes_on);
  std::uint32_t go_on(const Choices& choices, std::uint32_t index);
  void take_step(EnvStep& step);

  // --- what depends on what: strategy_bounded_touches.cc ---
  [[nodiscard]] static std::uint32_t slot_of(const engine::SyncObject& object) noexcept;
  [[nodiscard]] std::uint64_t where_stands(const SimFiber& fiber, const engine::Point* point);
  Object& object_of(const engine::SyncObject& object);
  Object& timers();
  void renew(Object& object, std::uint64_t name);
  void touch(Id actor, const Operation& operation, const engine::SyncObject& object);
  void touch_object(Id actor, Place place, Does does, Object& object);
  void transfer(Id actor, const EnvStep::Touch& touch);
  void touch_everything(Id actor);
  void set_chain(Id actor, std::uint64_t chain);
  void begin_actor(Id actor, Id parent);
  void share(Object& object);
  static void note_look(Actor& actor, std::uint32_t slot, std::uint64_t changes);
  void settle();
  // Who sleeps.
  void log(const Touch& touch);
  [[nodiscard]] static bool conflict(const Touch& a, const Touch& b) noexcept;
  [[nodiscard]] bool sleeps(Id actor) const noexcept;
  void put_to_sleep(std::uint32_t node, std::uint32_t ways);
  void end_recordings();

  Bounds bounds_;
  ThreadPaths paths_;
  std::vector<Node> nodes_;   // kept for their memory; `length_` are of this execution
  std::vector<Depth> depths_;
  std::uint64_t searched_ = 0;   // executions
  std::uint32_t length_ = 0;
  std::uint32_t fixed_ = 0;   // nodes whose choice is given
  std::uint32_t at_ = 0;      // the next one
  std::vector<Actor> actors_;
  std::vector<Object> objects_;   // by slot
  Object timers_;
  std::unordered_map<std::uint32_t, Id> steps_;   // by ActorId, of this execution; only looked up
  std::uint64_t execution_ = 0;
  std::uint64_t sum_ = 0;   // of all chains, mixed
  std::uint32_t preemptions_ = 0;
  std::uint32_t faults_ = 0;
  Id running_ = ThreadPaths::kRoot;
  std::uint64_t running_from_ = 0;       // where it stood
  std::uint32_t last_changed_ = kNone;   // the object of its operation, if that may have changed it
  std::uint32_t let_go_of_ = kNone;      // the lock of its operation, if it has let go as a reader
  bool changed_nothing_ = false;
  Id pair_ = kNobody;   // a step whose second half comes next
  bool free_running_ = false;
  std::uint32_t free_points_ = 0;   // since
  bool follow_rule_ = false;
  bool cut_short_ = false;
  bool new_ = false;
  std::vector<Touch> log_;   // of this execution
  std::vector<Recording> recordings_;
  std::vector<Sleeper> sleepers_;
  std::map<std::string, std::uint64_t> left_out_;
  std::unique_ptr<StatesSeen> own_seen_;
  StatesSeen& seen_;
  // Hash tables are only looked up.
  std::unordered_map<std::uint64_t, Name> names_;
  std::unordered_set<std::uint64_t> stops_;   // places from which something shared is touched
  // --- Of checking. ---
  std::deque<Observation> observations_;
  // By hash of a beginning: the last of each actor, by its path.
  std::unordered_map<std::uint64_t, std::map<std::uint64_t, const Observation*>> observed_;
  std::uint64_t contradictions_ = 0;
  Contradiction contradiction_;                            // the first
  std::unordered_map<const char*, std::uint64_t> files_;   // hashes of their names
  bool more_shared_ = false;                               // since the search began
  // --- Of a probe. ---
  bool probing_ = false;
  Rng rng_;
  double probe_ways_ = 0;   // inverse of the probability of the walk, by the guess that it takes
  ByGuess as_probable_{};   // by the others, in proportion
  std::size_t guess_ = 0;
  bool pilots_ = false;        // it is the first
  bool has_piloted_ = false;   // there was one
  Id turn_ = kNobody;          // who has done the last operation
  Chances preemption_chances_;
  Chances fault_chances_;
  // Kept for their memory.
  std::vector<Way> ways_;
  std::vector<EnvStep*> by_age_;
};

}   // namespace sim
