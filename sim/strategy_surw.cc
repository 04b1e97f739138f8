#include "sim/strategy_surw.h"

#include <algorithm>
#include <span>

#include "engine/fiber/context.h"

namespace sim {

using engine::Point;

void Surw::forget() {
  paths_.forget();
  work_.clear();
  work_index_.clear();
  if (!own_contention_) return;
  own_contention_->forget();
  knows_ = false;
}

void Surw::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  by_kind_ = !rng_.one_in(8);
  skips_ = !rng_.one_in(4);
  running_ = ThreadPaths::kRoot;
  intended_ = kNobody;
  ++execution_;
  paths_.begin();
  if (own_contention_) own_contention_->begin();
  rounds_.begin();
  waited_ = 0;
  patience_ = 16U << rng_.below(8);
  if (!knows_) return;
  select();
  share_out_work();
}

void Surw::started(SimFiber& fiber) {
  const Id id = paths_.started(fiber, running_);
  if (!knows_) return;
  if (weight_.size() <= id) weight_.resize(id + 1, 1);   // not met before
  if (id >= subtree_.size() || id == ThreadPaths::kRoot) return;
  std::uint64_t& parent = weight_[running_];
  // Who was to be next may have been meant as the one that is started now.
  if (intended_ == running_ && parent != 0 && rng_.next64() % parent < subtree_[id]) intended_ = id;
  parent -= std::min(parent, subtree_[id]);
  weight_[id] = subtree_[id];
}

void Surw::end(std::uint64_t /*points*/) {
  if (own_contention_) own_contention_->end();
  for (Work& work : work_) {
    if (work.execution == execution_) work.most = std::max(work.most, work.now);
  }
  knows_ = true;
}

// --- what executions teach ---

Surw::Work& Surw::work_of(Id id, Contention::EventId event) {
  if (work_index_.size() < 2 * (work_.size() + 1)) {
    work_index_.assign(std::max<std::size_t>(64, 4 * work_.size()), 0);
    for (std::size_t i = 0; i < work_.size(); ++i)
      place_of(work_[i].fiber, work_[i].event) = static_cast<std::uint32_t>(i + 1);
  }
  std::uint32_t& place = place_of(id, event);
  if (place == 0) {
    work_.push_back({.fiber = id, .event = event});
    place = static_cast<std::uint32_t>(work_.size());
  }
  return work_[place - 1];
}

// Where it is in the index, or would be.
std::uint32_t& Surw::place_of(Id id, Contention::EventId event) {
  std::size_t at = KeyIndex::mixed(std::uint64_t{id} << 16U | event) % work_index_.size();
  while (work_index_[at] != 0) {
    const Work& work = work_[work_index_[at] - 1];
    if (work.fiber == id && work.event == event) break;
    at = (at + 1) % work_index_.size();
  }
  return work_index_[at];
}

void Surw::learn(Id id, Contention::EventId event) {
  Work& work = work_of(id, event);
  if (work.execution != execution_) {
    work.execution = execution_;
    work.now = 0;
  }
  ++work.now;
}

// --- what an execution selects ---

void Surw::select() {
  const std::span<const Label> contended = contention_.contended();
  const auto count = static_cast<std::uint32_t>(contended.size());
  is_target_.assign(contention_.labels(), false);
  const std::uint32_t draw = rng_.below(4);
  if (selection_ == Selection::everything || draw == 0) {
    for (const Label label : contended)
      is_target_[label] = true;
  } else if (count != 0) {
    is_target_[contended[rng_.below(count)]] = true;
    if (draw == 1) is_target_[contended[rng_.below(count)]] = true;
  }
}

// A fiber speaks for those that it will start, until it has.
void Surw::share_out_work() {
  subtree_.assign(paths_.size(), 0);
  for (const Work& work : work_) {
    if (contention_.contended(work.event) && is_target_[contention_.label_of(work.event)])
      subtree_[work.fiber] += work.most;
  }
  for (Id id = paths_.size(); --id > 0;)   // children have higher ids
    subtree_[paths_.parent_of(id)] += subtree_[id];
  weight_ = subtree_;
}

// The fiber at `index` is about to touch something selected.
bool Surw::selected(const Choices& choices, std::uint32_t index) {
  SimFiber& fiber = *choices.fibers[index];
  const Point* const point = choices.about_to(fiber);
  if (point == nullptr) return false;
  const Contention::EventId event = contention_.event_at(fiber, *point);
  if (!Contention::is_event(event) || !contention_.contended(event)) return false;
  const Label label = contention_.label_of(event);
  return label < is_target_.size() && is_target_[label];
}

// --- walking ---

// Somebody who is at such an operation has one left, whatever was learnt.
std::uint64_t Surw::weight(const Choices& choices, std::uint32_t index) {
  const std::uint64_t left = weight_[ThreadPaths::of(*choices.fibers[index])];
  return left == 0 && selected(choices, index) ? 1 : left;
}

std::uint32_t Surw::draw(const Choices& choices) {
  most_of_kind_.assign(by_kind_ ? choices.kinds.size() : 1, 0);
  std::uint64_t sum = 0;
  for (const std::uint32_t i : candidates_) {
    const std::uint64_t its = weight(choices, i);
    if (!by_kind_) {
      sum += its;
      continue;
    }
    std::uint64_t& most = most_of_kind_[choices.fibers[i]->kind];
    sum += std::max(most, its) - most;
    most = std::max(most, its);
  }
  if (sum == 0) return choices.size();
  std::uint64_t at = rng_.next64() % sum;
  std::uint32_t kind = 0;
  if (by_kind_) {
    while (at >= most_of_kind_[kind])
      at -= most_of_kind_[kind++];
    // One of that kind.
    sum = 0;
    for (const std::uint32_t i : candidates_)
      sum += choices.fibers[i]->kind == kind ? weight(choices, i) : 0;
    at = rng_.next64() % sum;
  }
  for (const std::uint32_t i : candidates_) {
    if (by_kind_ && choices.fibers[i]->kind != kind) continue;
    const std::uint64_t its = weight(choices, i);
    if (at < its) return i;
    at -= its;
  }
  return choices.size();
}

// Who is to be the next to touch a selected object: any fiber that has been started.
Surw::Id Surw::draw_intended(const Choices& choices) {
  candidates_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i)
    candidates_.push_back(i);
  const std::uint32_t index = draw(choices);
  return index == choices.size() ? kNobody : ThreadPaths::of(*choices.fibers[index]);
}

std::uint32_t Surw::among_candidates() noexcept {
  return candidates_[rng_.below(static_cast<std::uint32_t>(candidates_.size()))];
}

// The fiber at `pick` goes on: keeps the accounts.
std::uint32_t Surw::happens(const Choices& choices, std::uint32_t pick) {
  running_ = ThreadPaths::of(*choices.fibers[pick]);
  const Point* const point = choices.about_to(*choices.fibers[pick]);
  if (point == nullptr) return pick;
  const bool counts = knows_ && selected(choices, pick);
  const Contention::EventId event = own_contention_
                                        ? own_contention_->happens(*choices.fibers[pick], *point)
                                        : contention_.event_at(*choices.fibers[pick], *point);
  if (Contention::is_event(event)) learn(running_, event);
  if (!counts) return pick;
  if (weight_[running_] != 0) --weight_[running_];
  intended_ = kNobody;
  return pick;
}

std::uint32_t Surw::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const auto steps = static_cast<std::uint32_t>(choices.steps.size());
  if (own_contention_ && choices.size() > 1)
    own_contention_->fix_ordinals(engine::t_thread.next_object_id);
  if (!knows_) {
    const std::uint32_t pick = rounds_.pick(choices);
    return pick < fibers ? happens(choices, pick) : pick;
  }
  const std::uint32_t from = rng_.next();
  const std::uint32_t first =
      skips_ ? unnoticed(choices, from, contention_) : unnoticed(choices, from);
  if (first != choices.size()) return happens(choices, first);
  if (steps != 0 && (fibers == 0 || rng_.below(fibers + steps) >= fibers)) {
    const std::uint32_t step = rng_.below(steps);
    const bool rare = choices.steps[step]->duty == EnvStep::Duty::may_happen ||
                      (choices.steps[step]->kind == ChoiceKind::fire && fibers != 0);
    if (!rare || rng_.one_in(kRareOneIn)) return fibers + step;
    if (fibers == 0) return choices.fallback;
  }
  // Whoever gives way waits until somebody else has gone on.
  const bool gives_way = choices.self_runnable && choices.self.yielded && fibers > 1;
  const auto out = [&](std::uint32_t i) { return gives_way && i == choices.self.index; };
  if (intended_ == kNobody) intended_ = draw_intended(choices);
  bool holds_back = false;
  candidates_.clear();
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (out(i) || !can_go_on(choices, i)) continue;
    if (ThreadPaths::of(*choices.fibers[i]) == intended_ || !selected(choices, i)) {
      candidates_.push_back(i);
    } else {
      holds_back = true;
    }
  }
  // The intended one may be waiting for one that is held back.
  waited_ = holds_back ? waited_ + 1 : 0;
  if (!candidates_.empty() && waited_ <= patience_) return happens(choices, among_candidates());
  // It cannot go on, or does not come: another takes its place.
  waited_ = 0;
  candidates_.clear();
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (!out(i) && can_go_on(choices, i) && selected(choices, i)) candidates_.push_back(i);
  }
  if (!candidates_.empty()) return happens(choices, draw(choices));
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (!out(i)) candidates_.push_back(i);
  }
  return happens(choices, among_candidates());
}

std::uint32_t Surw::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                          std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
