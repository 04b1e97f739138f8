// The optimal search: which other executions there are, and how each is had.
#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "sim/strategy_dpor.h"

namespace sim {

// --- where else a new event could have come ---

void Dpor::find_ways(std::uint32_t number) {
  const Event& event = run_.events[number];
  if (event.values != 0) {
    for (std::uint32_t value = event.values; --value != 0;)
      run_.ways.push_back({.what = Way::What::value, .event = number, .target = value});
  } else if (event.writes) {
    find_undone_by(number);
  } else if (event.shares) {
    find_undone_by_shared(number);
  } else {
    find_places_of_read(number);
  }
}

void Dpor::find_places_of_read(std::uint32_t number) {
  const Event& read = run_.events[number];
  const std::vector<std::uint32_t>& writes = objects_[read.object].writes;
  for (std::size_t i = writes.size(); i-- != 0;) {
    if (covers(read.before.all, run_.events[writes[i]])) return;
    run_.ways.push_back({.what = Way::What::before_write, .event = number, .target = writes[i]});
  }
}

// A write may come right after any other write of its object, or first; a lock is taken where it is
// free.
void Dpor::find_undone_by(std::uint32_t number) {
  const Event& write = run_.events[number];
  const std::vector<std::uint32_t>& writes = objects_[write.object].writes;
  for (auto gap = static_cast<std::uint32_t>(writes.size());; --gap) {
    if (gap != writes.size() && covers(write.before.all, run_.events[writes[gap]])) return;
    if (write.kind != Kind::acquire || is_free_at(write, gap))
      find_selections(number, gap_of(write.object, gap));
    if (gap == 0) return;
  }
}

// What shares comes with all others since a write that were there before the next.
void Dpor::find_undone_by_shared(std::uint32_t number) {
  const Event& event = run_.events[number];
  const std::vector<std::uint32_t>& writes = objects_[event.object].writes;
  for (auto gap = static_cast<std::uint32_t>(writes.size()); gap-- != 0;) {
    if (covers(event.before.all, run_.events[writes[gap]])) return;
    if (comes_in_turn(number, gap)) find_undone_by(run_, number, gap_of(event.object, gap), {}, {});
  }
}

// Several that share may be put before one write, one after the other. They are so in the order in
// which they would be added, as long as nothing else was put elsewhere in between.
bool Dpor::comes_in_turn(std::uint32_t number, std::uint32_t gap) const {
  const Event& event = run_.events[number];
  const std::vector<std::uint32_t>& writes = objects_[event.object].writes;
  const std::uint32_t begin = gap == 0 ? 0 : writes[gap - 1];
  for (std::size_t i = run_.by_rank.size(); i-- != 0;) {
    const std::uint32_t each = run_.by_rank[i];
    const Event& other = run_.events[each];
    if (other.rank > run_.events[writes[gap]].rank || !other.moved) continue;
    const bool is_beside = other.shares && other.object == event.object && each >= begin &&
                           each < writes[gap] && !covers(event.before.rests_on, other);
    if (!is_beside) return true;
    if (is_less(event, other)) return false;
  }
  return true;
}

bool Dpor::is_less(const Event& a, const Event& b) const noexcept {
  const auto component = [](const Event& event, Id id) {
    return id == event.fiber ? event.ordinal : at(event.before.rests_on, id);
  };
  for (auto id = static_cast<Id>(fibers_.size()); id-- != 0;) {
    if (component(a, id) != component(b, id)) return component(a, id) < component(b, id);
  }
  return false;
}

Dpor::Gap Dpor::gap_of(std::uint32_t object, std::size_t number) const noexcept {
  const std::vector<std::uint32_t>& writes = objects_[object].writes;
  return {.after = number == 0 ? kNone : writes[number - 1],
          .next = number == writes.size() ? kNone : writes[number]};
}

bool Dpor::is_free_at(const Event& lock, std::uint32_t gap) const {
  const std::vector<std::uint32_t>& writes = objects_[lock.object].writes;
  while (gap-- != 0) {
    const Event& before = run_.events[writes[gap]];
    if (before.slot == lock.slot) return before.kind == Kind::release;
  }
  return true;
}

// Goes back through what had been added before the event, the latest first, as long as all of it
// that would be undone could be added again as it was.
void Dpor::find_undone_by(Run& run, std::uint32_t number, Gap gap,
                          const std::vector<std::uint32_t>& beside,
                          const std::vector<std::uint32_t>& others) {
  const Event& write = run.events[number];
  const Clock& staying = what_stays(run, write, gap.after, beside);
  const auto stays = [&](const Event& event) { return covers(staying, event); };
  std::size_t to_be_undone = others.size() + (gap.next != kNone ? 1 : 0);
  std::uint32_t rank_min = 0;
  for (std::size_t i = run.by_rank.size(); i-- != 0;) {
    const std::uint32_t earlier = run.by_rank[i];
    const Event& event = run.events[earlier];
    if (earlier >= number) continue;
    if (event.rank < rank_min) return;
    if (stays(event)) continue;
    if (event.values != 0) {
      // A choice is made as soon as all that it rests on is there. One that is made again is 0.
      if (event.value == 0) continue;
      for (std::size_t other = 0; other < i; ++other) {
        const Event& under = run.events[run.by_rank[other]];
        if (covers(event.before.rests_on, under) && !stays(under))
          rank_min = std::max(rank_min, under.rank + 1);
      }
      continue;
    }
    if (event.moved) return;
    if (event.overwritten_by < number && stays(run.events[event.overwritten_by])) return;
    const bool has_to_be =
        earlier == gap.next || std::find(others.begin(), others.end(), earlier) != others.end();
    if (has_to_be) --to_be_undone;
    const bool reads_before_gap =
        event.object == write.object && event.reads() && (gap.next == kNone || earlier < gap.next);
    if (to_be_undone != 0 || (!has_to_be && !reads_before_gap)) continue;
    if (covers(write.before.all, event)) continue;
    run.ways.push_back({.what = Way::What::undo,
                        .event = number,
                        .target = earlier,
                        .after = gap.after,
                        .beside = beside});
  }
}

// What a write rests on that is to come right after `after`, and those beside. Until the next call.
const Dpor::Clock& Dpor::what_stays(const Run& run, const Event& write, std::uint32_t after,
                                    const std::vector<std::uint32_t>& beside) {
  staying_ = write.before.rests_on;
  if (after != kNone) join(staying_, run.events[after].past.rests_on);
  for (const std::uint32_t each : beside)
    join(staying_, run.events[each].past.rests_on);
  return staying_;
}

// --- how much is left ---

// The execution just run and the ways from it share what is its own of the search.
void Dpor::share_out() {
  double all = 1;
  for (Way& way : run_.ways)
    all += way.share =
        way.what == Way::What::selections ? executions_of_all(way) : executions_of(way);
  for (Way& way : run_.ways)
    way.share *= share_ / all;
  share_ /= all;
}

// Estimated: each event that is still to be added, or to be added again, comes before or after each
// of those that it races with and that were added earlier.
double Dpor::executions_of(const Way& way) {
  const bool undoes = way.what == Way::What::undo;
  const Event& event = run_.events[way.event];
  const std::uint32_t from = undoes ? run_.events[way.target].rank : event.rank + 1;
  double executions = 1;
  again_.clear();
  if (undoes) what_stays(run_, event, way.after, way.beside);
  const std::vector<std::uint32_t>& all = run_.by_rank;
  auto at = std::lower_bound(
      all.begin(), all.end(), from,
      [&](std::uint32_t number, std::uint32_t rank) { return run_.events[number].rank < rank; });
  for (; at != all.end() && again_.size() < kAgainMax; ++at) {
    const Event& added = run_.events[*at];
    if (*at == way.event || (undoes && covers(staying_, added))) continue;
    executions *= added.values != 0 ? added.values : places_of(added);
    again_.push_back(*at);
  }
  return executions;
}

// Of what is given a write can undo little, and a read can come before all of it.
double Dpor::places_of(const Event& added) const {
  if (added.reads()) {
    const std::vector<std::uint32_t>& writes = objects_[added.object].writes;
    return 1 + static_cast<double>(std::count_if(
                   writes.begin(), writes.end(),
                   [&](std::uint32_t number) { return races(added, run_.events[number]); }));
  }
  return 1 +
         static_cast<double>(std::count_if(again_.begin(), again_.end(), [&](std::uint32_t number) {
           return races(added, run_.events[number]);
         }));
}

bool Dpor::races(const Event& added, const Event& earlier) noexcept {
  return earlier.rank < added.rank && earlier.object == added.object &&
         (added.writes || earlier.writes) &&
         (added.kind != Kind::acquire || earlier.kind == Kind::acquire) &&
         !covers(added.before.all, earlier);
}

// --- from one execution to the next ---

bool Dpor::next() {
  settle();
  if (united_) {
    begin_anew();
    return true;
  }
  ENGINE_CHECK(at_ == given_.size(), "the program differs from one run to the next");
  share_out();
  done_ += share_;
  if (!run_.ways.empty()) {
    stored_events_ += run_.length;
    runs_.push_back(std::move(run_));
    run_ = {};
    if (!spare_.empty()) {
      run_ = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  while (!runs_.empty()) {
    Run& last = runs_.back();
    while (!last.ways.empty() && last.ways.back().what == Way::What::selections)
      make_selection(last);
    if (!last.ways.empty()) {
      give(last, last.ways.back());
      last.ways.pop_back();
      return true;
    }
    stored_events_ -= last.length;
    spare_.push_back(std::move(last));
    runs_.pop_back();
  }
  return false;
}

std::uint64_t Dpor::stored_ways() const noexcept {
  std::uint64_t ways = 0;
  for (const Run& run : runs_)
    ways += run.ways.size();
  return ways;
}

void Dpor::begin_anew() {
  united_ = false;
  anew_ = true;
  runs_.clear();
  stored_events_ = 0;
  given_.clear();
  given_values_.clear();
  next_rank_ = 0;
  share_ = 1;
  done_ = 0;
  partial_.clear();
  unordered_.clear();
}

void Dpor::give(const Run& run, const Way& way) {
  given_.clear();
  given_values_.clear();
  share_ = way.share;
  next_rank_ = run.events[way.event].rank + 1;
  switch (way.what) {
    case Way::What::before_write:
      give_reordered(run, way);
      return;
    case Way::What::selections:
      ENGINE_CHECK(false, "of these none is a way yet");
      return;
    case Way::What::undo:
      give_what_stays(run, way);
      return;
    case Way::What::value:
      for (std::uint32_t i = 0; i < run.length; ++i) {
        const Event& event = run.events[i];
        if (event.rank < run.events[way.event].rank) give_event(event, event.undid_write);
        if (i != way.event) continue;
        give_event(event, false);
        given_values_.back().value = way.target;
      }
      return;
  }
}

void Dpor::give_event(const Event& event, bool undid_write) {
  std::vector<Given>& given = event.values != 0 ? given_values_ : given_;
  given.push_back({.fiber = event.fiber,
                   .ordinal = event.ordinal,
                   .rank = event.rank,
                   .value = event.value,
                   .undid_write = undid_write});
}

// Everything stays; the read and what comes before it come before the write.
void Dpor::give_reordered(const Run& run, const Way& way) {
  const Event& read = run.events[way.event];
  const auto give_if = [&](std::uint32_t begin, auto&& is_wanted) {
    for (std::uint32_t i = begin; i < way.event; ++i) {
      const Event& event = run.events[i];
      if (is_wanted(i, event)) give_event(event, event.undid_write);
    }
  };
  give_if(0, [&](std::uint32_t i, const Event&) { return i < way.target; });
  give_if(way.target, [&](std::uint32_t, const Event& e) { return covers(read.before.all, e); });
  give_event(read, false);
  give_if(way.target, [&](std::uint32_t, const Event& e) { return !covers(read.before.all, e); });
}

void Dpor::give_what_stays(const Run& run, const Way& way) {
  const Event& write = run.events[way.event];
  const Event& undone = run.events[way.target];
  what_stays(run, write, way.after, way.beside);
  const auto stays = [&](const Event& event) {
    return event.rank < undone.rank || covers(staying_, event);
  };
  kept_.assign(fibers_.size(), 0);
  for (std::uint32_t i = 0; i < way.event; ++i) {
    const Event& event = run.events[i];
    bool kept = stays(event);
    if (event.values != 0) {
      kept = true;
      for (std::size_t id = 0; id < event.before.rests_on.size(); ++id)
        kept &= event.before.rests_on[id] <= kept_[id];
    }
    if (!kept) continue;
    kept_[event.fiber] = event.ordinal;
    give_event(event, event.undid_write);
  }
  give_event(write, !undone.reads());
  if (undone.reads()) give_event(undone, undone.undid_write);
}

}   // namespace sim
