// Programs without fibers, a scheduler or a strategy: threads are lists of operations, and all
// their interleavings are gone through. What an exploration of the same program says is compared
// with it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/rng.h"

namespace unit {

enum class Does : std::uint8_t {
  load,
  store,
  add,
  lock,
  unlock,
  lock_shared,   // of a lock for readers and writers
  unlock_shared,
  lock_alone,
  unlock_alone,
};
struct Op {
  Does does;
  std::uint8_t object;   // of its kind
};
using Thread = std::vector<Op>;
using Program = std::vector<Thread>;
inline constexpr std::size_t kAtomics = 2;
inline constexpr std::size_t kMutexes = 2;
inline constexpr std::size_t kRwLocks = 2;

class ProgramModel {
 public:
  explicit ProgramModel(const Program& threads, std::optional<std::uint32_t> preemptions = {})
      : threads_{threads}, most_{preemptions} {}

  // Of schedules that differ only in the order of what commutes, one: told apart by the order of
  // what happens to each object. Looks between two changes come in any order, and so does what is
  // done to a lock in shared mode between two writers.
  [[nodiscard]] std::uint64_t classes() {
    std::set<State> seen;
    std::set<Done> classes;
    visit(start(), seen, classes);
    return classes.size();
  }
  // All of them, one by one.
  [[nodiscard]] double schedules() {
    counted_.clear();
    return schedules_from(start());
  }
  // One of them ends with nobody able to go on.
  [[nodiscard]] bool can_get_stuck() {
    std::set<State> seen;
    std::set<Done> classes;
    gets_stuck_ = false;
    visit(start(), seen, classes);
    return gets_stuck_;
  }

 private:
  static constexpr std::uint32_t kNobody = ~0U;
  static constexpr std::size_t kObjects = kAtomics + kMutexes + kRwLocks;
  using Done = std::array<std::string, kObjects>;   // to each object: "W" and who, or whoever
  // Writers are preferred: whoever comes while one waits comes after it.
  struct RwLock {
    std::uint32_t readers = 0;
    bool written = false;
    std::vector<std::pair<std::uint32_t, bool>> queue{};   // who, and whether alone
    friend auto operator<=>(const RwLock&, const RwLock&) = default;
  };
  struct State {
    std::vector<std::uint32_t> at{};
    std::vector<bool> waits{};
    std::array<bool, kMutexes> held{};
    std::array<RwLock, kRwLocks> rw_locks{};
    std::uint32_t last = kNobody;
    std::uint32_t preemptions = 0;
    Done done{};
    friend auto operator<=>(const State&, const State&) = default;
  };

  [[nodiscard]] State start() const {
    State start;
    start.at.assign(threads_.size(), 0);
    start.waits.assign(threads_.size(), false);
    return start;
  }
  [[nodiscard]] bool is_over(const State& state, std::uint32_t thread) const {
    return state.at[thread] == threads_[thread].size();
  }
  [[nodiscard]] bool can_go_on(const State& state, std::uint32_t thread) const {
    if (is_over(state, thread) || state.waits[thread]) return false;
    const Op& op = threads_[thread][state.at[thread]];
    return op.does != Does::lock || !state.held[op.object];
  }

  // Who looked since the last change is a set: its members in order.
  static void note_look(std::string& done, char who) {
    const std::size_t change = done.rfind('W');
    const std::size_t group = change == std::string::npos ? 0 : change + 2;
    done.insert(
        std::upper_bound(done.begin() + static_cast<std::ptrdiff_t>(group), done.end(), who), who);
  }
  static void take(State& state, RwLock& lock, std::uint32_t thread, bool alone) {
    if (lock.written || !lock.queue.empty() || (alone && lock.readers != 0)) {
      lock.queue.emplace_back(thread, alone);
      state.waits[thread] = true;
    } else if (alone) {
      lock.written = true;
    } else {
      ++lock.readers;
    }
  }
  static void let_in(State& state, RwLock& lock) {
    while (!lock.queue.empty() && !lock.written) {
      const auto [thread, alone] = lock.queue.front();
      if (alone && lock.readers != 0) return;
      lock.queue.erase(lock.queue.begin());
      state.waits[thread] = false;
      if (alone) {
        lock.written = true;
      } else {
        ++lock.readers;
      }
    }
  }
  static void happen(State& state, std::uint32_t thread, const Op& op) {
    const char who = static_cast<char>('0' + thread);
    const auto change = [&](std::size_t object) { state.done[object] += {'W', who}; };
    const std::size_t mutex = kAtomics + op.object;
    const std::size_t rw_lock = kAtomics + kMutexes + op.object;
    RwLock& lock = state.rw_locks[op.object];
    switch (op.does) {
      case Does::load:
        note_look(state.done[op.object], who);
        return;
      case Does::store:
      case Does::add:
        change(op.object);
        return;
      case Does::lock:
        state.held[op.object] = true;
        change(mutex);
        return;
      case Does::unlock:   // in no order but its lock's
        state.held[op.object] = false;
        return;
      case Does::lock_shared:
        note_look(state.done[rw_lock], who);
        take(state, lock, thread, false);
        return;
      case Does::unlock_shared:
        note_look(state.done[rw_lock], who);
        --lock.readers;
        if (lock.readers == 0) let_in(state, lock);
        return;
      case Does::lock_alone:
        change(rw_lock);
        take(state, lock, thread, true);
        return;
      case Does::unlock_alone:
        change(rw_lock);
        lock.written = false;
        let_in(state, lock);
        return;
    }
  }

  // Calls `go(state)` with what follows from each that can go on; false: nobody can.
  template <typename Go>
  bool for_each_next(const State& state, Go go) {
    bool any = false;
    for (std::uint32_t thread = 0; thread < threads_.size(); ++thread) {
      if (!can_go_on(state, thread)) continue;
      any = true;
      State next = state;
      const bool interrupts =
          state.last != kNobody && state.last != thread && can_go_on(state, state.last);
      next.preemptions += interrupts ? 1 : 0;
      if (next.preemptions > most_.value_or(kNobody)) continue;
      happen(next, thread, threads_[thread][next.at[thread]++]);
      next.last = thread;
      go(next);
    }
    return any;
  }
  void visit(const State& state, std::set<State>& seen, std::set<Done>& classes) {
    if (!seen.insert(state).second) return;
    if (for_each_next(state, [&](const State& next) { visit(next, seen, classes); })) return;
    classes.insert(state.done);
    for (std::uint32_t thread = 0; thread < threads_.size(); ++thread)
      gets_stuck_ |= !is_over(state, thread);
  }
  double schedules_from(State state) {
    state.done = {};
    if (const auto known = counted_.find(state); known != counted_.end()) return known->second;
    double schedules = 0;
    if (!for_each_next(state, [&](const State& next) { schedules += schedules_from(next); }))
      schedules = 1;
    counted_.emplace(std::move(state), schedules);
    return schedules;
  }

  const Program& threads_;
  const std::optional<std::uint32_t> most_;
  std::map<State, double> counted_;
  bool gets_stuck_ = false;
};

// Two or three threads, each of so many operations or a few more, with locks held for some of them;
// nested ones in any order, and a lock that is held in shared mode may be asked for once more, so
// that threads may wait for each other for ever.
enum class Nested : bool { no, yes };
class DrawnProgram {
 public:
  DrawnProgram(sim::Rng& rng, std::uint32_t operations_most, Nested nested)
      : rng_{rng}, nested_{nested} {
    threads.resize(2 + rng.below(2));
    for (Thread& thread : threads) {
      const std::size_t most = 1 + rng.below(operations_most);
      while (thread.size() < most)
        add(thread, true);
    }
  }
  Program threads;

 private:
  struct Section {
    Does take;
    Does let_go;
  };
  static constexpr std::array kSections{Section{Does::lock, Does::unlock},
                                        Section{Does::lock_shared, Does::unlock_shared},
                                        Section{Does::lock_shared, Does::unlock_shared},
                                        Section{Does::lock_alone, Does::unlock_alone}};

  void add(Thread& thread, bool may_lock) {
    auto object = static_cast<std::uint8_t>(rng_.below(2));
    if (!may_lock || rng_.below(3) == 0) {
      thread.push_back({static_cast<Does>(rng_.below(3)), object});
      return;
    }
    const Section& section = kSections.at(rng_.below(kSections.size()));
    // Mostly the same of those that are shared.
    if (section.take != Does::lock) object = rng_.below(4) == 0 ? 1 : 0;
    // The tank refuses what no program may do.
    const bool is_held = std::any_of(held_.begin(), held_.end(), [&](const Op& op) {
      const bool same =
          op.object == object && (op.does == Does::lock) == (section.take == Does::lock);
      return same && (op.does != Does::lock_shared || section.take != Does::lock_shared);
    });
    if (is_held) return;
    thread.push_back({section.take, object});
    held_.push_back(thread.back());
    for (std::uint32_t i = rng_.below(3); i != 0; --i)
      add(thread, nested_ == Nested::yes);
    held_.pop_back();
    thread.push_back({section.let_go, object});
  }

  sim::Rng& rng_;
  Nested nested_;
  std::vector<Op> held_;   // by the thread that is being drawn
};

}   // namespace unit
