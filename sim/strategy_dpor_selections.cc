// The optimal search: of what is done to a lock in shared mode between two writes, which comes
// before a third that is put there. Each selection that has with every event what that rests on is
// an execution of its own, or several. There may be as many as two to the power of such events, so
// a run keeps the one that is to be made next, and the others are made from it, one at a time.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "engine/base/check.h"
#include "sim/strategy_dpor.h"

namespace sim {

void Dpor::find_selections(std::uint32_t number, Gap gap) {
  const Event& write = run_.events[number];
  always_.clear();
  open_.clear();
  if (!objects_[write.object].shares.empty() && !divide_sharers(run_, number, gap)) return;
  if (open_.empty()) {
    find_undone_by(run_, number, gap, always_, {});
    return;
  }
  run_.ways.push_back({.what = Way::What::selections,
                       .event = number,
                       .target = gap.next,
                       .after = gap.after,
                       .beside = open_,   // all of them: the first
                       .selections = selections_most()});
}

// What has to come before the write, or cannot be undone, is in all selections, and so is what that
// rests on. False: nothing comes of any selection.
bool Dpor::divide_sharers(const Run& run, std::uint32_t number, Gap gap) {
  const Event& write = run.events[number];
  always_.clear();
  open_.clear();
  const std::uint32_t end = std::min(gap.next, number);
  for (std::uint32_t i = gap.after == kNone ? 0 : gap.after + 1; i < end; ++i) {
    const Event& event = run.events[i];
    if (!event.shares || event.object != write.object) continue;
    (covers(write.before.all, event) || event.moved ? always_ : open_).push_back(i);
  }
  const std::size_t moved = always_.size();
  std::erase_if(open_, [&](std::uint32_t each) {
    const bool is_rested_on = std::any_of(
        always_.begin(), std::next(always_.begin(), static_cast<std::ptrdiff_t>(moved)),
        [&](auto by) { return covers(run.events[by].past.rests_on, run.events[each]); });
    if (is_rested_on) always_.push_back(each);
    return is_rested_on;
  });
  const std::uint32_t rank_min = rank_undone_min(run, number, gap);
  std::erase_if(open_, [&](std::uint32_t each) {
    const bool is_kept = run.events[each].rank < rank_min;
    if (is_kept) always_.push_back(each);
    return is_kept;
  });
  return gap.next == kNone || run.events[gap.next].rank >= rank_min;
}

// What was added before something that cannot be undone, whatever is selected, cannot be either.
std::uint32_t Dpor::rank_undone_min(const Run& run, std::uint32_t number, Gap gap) {
  std::vector<std::uint32_t> all = always_;
  all.insert(all.end(), open_.begin(), open_.end());
  const Clock& staying = what_stays(run, run.events[number], gap.after, all);
  for (std::size_t i = run.by_rank.size(); i-- != 0;) {
    const Event& event = run.events[run.by_rank[i]];
    if (run.by_rank[i] < number && event.moved && !covers(staying, event)) return event.rank + 1;
  }
  return 0;
}

// No two of a chain are chosen but with all in between, so it has one selection more than members.
// That is all there is to it where what is in one chain does not rest on what is in another; else
// there are fewer.
double Dpor::selections_most() const {
  std::vector<std::pair<std::uint32_t, double>> chains;   // the last member, the number of them
  for (const std::uint32_t each : open_) {
    const auto chain = std::find_if(chains.begin(), chains.end(), [&](const auto& other) {
      return covers(run_.events[each].past.rests_on, run_.events[other.first]);
    });
    if (chain == chains.end()) {
      chains.emplace_back(each, 1);
    } else {
      *chain = {each, chain->second + 1};
    }
  }
  double most = 1;
  for (const auto& [last, members] : chains)
    most *= members + 1;
  return most;
}

// Estimated, like executions_of(): half of what is open is undone with the write's place, or so.
double Dpor::executions_of_all(const Way& selections) {
  const auto is_older = [this](std::uint32_t a, std::uint32_t b) {
    return run_.events[a].rank < run_.events[b].rank;
  };
  const std::vector<std::uint32_t>& open = selections.beside;
  std::uint32_t oldest = *std::min_element(open.begin(), open.end(), is_older);
  if (selections.target != kNone) oldest = std::min(oldest, selections.target, is_older);
  const Way none{.event = selections.event, .target = oldest, .after = selections.after};
  return selections.selections * std::sqrt(executions_of(none));
}

// The ways of the next selection, which come before those of the others.
void Dpor::make_selection(Run& run) {
  Way all = std::move(run.ways.back());
  run.ways.pop_back();
  const std::uint32_t number = all.event;
  const Gap gap{.after = all.after, .next = all.target};
  const bool any = divide_sharers(run, number, gap);
  ENGINE_CHECK(any, "there were selections");
  std::vector<std::uint32_t> others;
  std::set_difference(open_.begin(), open_.end(), all.beside.begin(), all.beside.end(),
                      std::back_inserter(others));
  std::vector<std::uint32_t> beside = always_;
  beside.insert(beside.end(), all.beside.begin(), all.beside.end());
  const bool is_last = all.beside.empty();
  const double share = is_last ? all.share : all.share / std::max(all.selections, 2.0);
  std::size_t first = run.ways.size();
  if (!is_last) {
    all.beside = selection_after(run, std::move(all.beside));
    all.selections -= 1;
    run.ways.push_back(std::move(all));
    ++first;
  }
  find_undone_by(run, number, gap, beside, others);
  const std::size_t ways = run.ways.size() - first;
  for (std::size_t i = first; i < run.ways.size(); ++i)
    run.ways[i].share = share / static_cast<double>(ways);
  if (ways == 0) {
    if (is_last) done_ += share;
  } else if (!is_last) {
    run.ways[first - 1].share -= share;
  }
}

// The last that was chosen is not; of those after it all that can be. So each selection comes once,
// and the last is the empty one.
std::vector<std::uint32_t> Dpor::selection_after(const Run& run,
                                                 std::vector<std::uint32_t> selection) const {
  const std::uint32_t dropped = selection.back();
  selection.pop_back();
  std::vector<std::uint32_t> others;
  for (const std::uint32_t each : open_) {
    const bool is_chosen =
        each < dropped ? std::binary_search(selection.begin(), selection.end(), each)
                       : each != dropped &&
                             std::none_of(
                                 others.begin(), others.end(),
                                 [&](auto other) {
                                   return covers(run.events[each].past.rests_on, run.events[other]);
                                 });
    if (!is_chosen) {
      others.push_back(each);
    } else if (each > dropped) {
      selection.push_back(each);
    }
  }
  return selection;
}

}   // namespace sim
