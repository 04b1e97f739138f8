// A value for each sector of a device, kept once for a *run* of neighbouring sectors that have the
// same; sectors that nobody gave a value are gaps. A request costs what it touches in runs, not in
// sectors, and so does walking all of them.
//
// No two runs overlap, none is empty, and neighbours differ: a change cuts runs at its edges and
// joins what has become equal.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <utility>

namespace checkers {

template <std::equality_comparable T>
class SectorRuns {
 public:
  struct Stretch {
    const T* value;      // null: a gap
    std::uint64_t end;   // of the run or the gap
  };
  // What `sector` lies in. Valid until the next change.
  [[nodiscard]] Stretch at(std::uint64_t sector) const {
    const auto after = runs_.upper_bound(sector);
    if (after != runs_.begin()) {
      const Run& run = std::prev(after)->second;
      if (run.end > sector) return {&run.value, run.end};
    }
    return {nullptr,
            after == runs_.end() ? std::numeric_limits<std::uint64_t>::max() : after->first};
  }

  // Changes the value of every sector from `first` to before `end`; that of a gap is `fill` before.
  template <std::invocable<T&> Change>
  void change(std::uint64_t first, std::uint64_t end, const T& fill, Change change) {
    if (first >= end) return;
    Iterator run = cut(first);
    cut(end);
    for (std::uint64_t sector = first; sector < end;) {
      if (run == runs_.end() || run->first > sector) {
        const std::uint64_t gap_end = run == runs_.end() ? end : std::min(end, run->first);
        run = runs_.emplace_hint(run, sector, Run{gap_end, fill});
      }
      change(run->second.value);
      sector = run->second.end;
      run = std::next(joined(run));
    }
    if (run != runs_.end()) joined(run);
  }

  // Changes the value of every sector that has one.
  template <std::invocable<T&> Change>
  void change_all(Change change) {
    for (Iterator run = runs_.begin(); run != runs_.end(); run = std::next(joined(run)))
      change(run->second.value);
  }

  [[nodiscard]] std::size_t nr_runs() const noexcept { return runs_.size(); }

 private:
  struct Run {
    std::uint64_t end;
    T value;
  };
  using Iterator = typename std::map<std::uint64_t, Run>::iterator;

  // From now on no run reaches over the beginning of `sector`. Returns the first from there on.
  Iterator cut(std::uint64_t sector) {
    const Iterator after = runs_.lower_bound(sector);
    if (after == runs_.begin()) return after;
    Run& before = std::prev(after)->second;
    if (before.end <= sector) return after;
    const Iterator rest = runs_.emplace_hint(after, sector, before);
    before.end = sector;
    return rest;
  }

  // Returns the run that `run` is part of now, which may be the one before it.
  Iterator joined(Iterator run) {
    if (run == runs_.begin()) return run;
    const Iterator before = std::prev(run);
    if (before->second.end != run->first || !(before->second.value == run->second.value))
      return run;
    before->second.end = run->second.end;
    runs_.erase(run);
    return before;
  }

  std::map<std::uint64_t, Run> runs_;   // by first sector
};

}   // namespace checkers
