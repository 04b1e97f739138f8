#include "sim/strategy_surw.h"

#include <algorithm>

#include "engine/fiber/context.h"
#include "sim/reads_from.h"

namespace sim {

using engine::Point;

void Surw::forget() {
  paths_.forget();
  work_.clear();
  labels_.forget();
  objects_.clear();
  shared_.clear();
  learning_ = true;
  learnt_ = false;
}

void Surw::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  learning_ = !learnt_;
  running_ = ThreadPaths::kRoot;
  intended_ = kNobody;
  paths_.begin();
  labels_.begin();
  held_.begin();
  for (Work& work : work_)
    work.now.assign(work.now.size(), 0);
  if (learning_) return;
  const std::uint32_t draw =
      rng_.next();   // by URW for nothing, so that its seeds keep their meaning
  target_ = shared_.empty() ? 0 : shared_[draw % shared_.size()];
  share_out_work();
}

void Surw::started(SimFiber& fiber) {
  const Id id = paths_.started(fiber, running_);
  if (work_.size() <= id) work_.resize(id + 1);
  if (learning_) return;
  if (weight_.size() <= id) weight_.resize(id + 1, 1);   // not met before
  if (id >= subtree_.size() || id == ThreadPaths::kRoot) return;
  std::uint64_t& parent = weight_[running_];
  parent -= std::min(parent, subtree_[id]);
  weight_[id] = subtree_[id];
}

void Surw::end(std::uint64_t /*points*/) {
  if (selection_ == Selection::one_object) note_shared_objects();
  learnt_ = true;
}

// --- what executions teach ---

void Surw::learn(Id id, const SimFiber& fiber, const Point& point) {
  Work& work = work_[id];
  if (learning_) ++work.all;
  if (selection_ == Selection::everything || point.object == nullptr) return;
  held_.happens(fiber, point);
  const ReadsFrom::Role role = ReadsFrom::role_of(point);
  if (!role.reads && !role.writes) return;
  const ObjectLabels::Id label = labels_.of(*point.object);
  if (work.now.size() <= label) work.now.resize(label + 1);
  ++work.now[label];
  if (objects_.size() <= label) objects_.resize(label + 1);
  objects_[label].changed = objects_[label].changed || role.writes;
  if (!is_data(*point.object)) return;
  held_labels_.clear();
  for (const std::uint32_t lock : held_.of(fiber))
    held_labels_.push_back(labels_.of_id(lock));
  objects_[label].locks.access(held_labels_);
}

void Surw::note_shared_objects() {
  std::vector<std::uint32_t> users(objects_.size(), 0);
  for (Work& work : work_) {
    if (work.most.size() < work.now.size()) work.most.resize(work.now.size(), 0);
    for (std::size_t label = 0; label < work.most.size(); ++label) {
      if (label < work.now.size()) work.most[label] = std::max(work.most[label], work.now[label]);
      users[label] += work.most[label] != 0 ? 1 : 0;
    }
  }
  shared_.clear();
  for (std::uint32_t label = 1; label < objects_.size(); ++label) {
    if (users[label] > 1 && objects_[label].changed && !objects_[label].locks.any())
      shared_.push_back(label);
  }
}

std::uint32_t Surw::work_on_target(Id id) const noexcept {
  const Work& work = work_[id];
  if (selection_ == Selection::everything) return work.all;
  return target_ < work.most.size() ? work.most[target_] : 0;
}

// A fiber speaks for those that it will start, until it has.
void Surw::share_out_work() {
  const auto fibers = static_cast<Id>(work_.size());
  subtree_.assign(fibers, 0);
  for (Id id = fibers; id-- > 0;) {   // children have higher ids
    subtree_[id] += work_on_target(id);
    if (id != ThreadPaths::kRoot) subtree_[paths_.parent_of(id)] += subtree_[id];
  }
  weight_ = subtree_;
}

// --- walking ---

bool Surw::selected(const Point* point) {
  if (selection_ == Selection::everything) return true;
  if (point == nullptr || point->object == nullptr) return false;
  const ReadsFrom::Role role = ReadsFrom::role_of(*point);
  return (role.reads || role.writes) && labels_.of(*point->object) == target_;
}

std::uint32_t Surw::draw(const Choices& choices, bool only_selected) {
  std::uint64_t sum = 0;
  candidates_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    if (only_selected && !selected(choices.about_to(*choices.fibers[i]))) continue;
    candidates_.push_back(i);
    sum += std::max<std::uint64_t>(weight_[ThreadPaths::of(*choices.fibers[i])], 1);
  }
  std::uint64_t at = rng_.next64() % sum;
  for (const std::uint32_t i : candidates_) {
    const std::uint64_t weight =
        std::max<std::uint64_t>(weight_[ThreadPaths::of(*choices.fibers[i])], 1);
    if (at < weight) return i;
    at -= weight;
  }
  return candidates_.back();
}

// Who is to be the next to touch the object: any fiber that has been started, by what it has left.
Surw::Id Surw::draw_intended(const Choices& choices) {
  std::uint64_t sum = 0;
  for (const SimFiber* const fiber : choices.fibers)
    sum += weight_[ThreadPaths::of(*fiber)];
  if (sum == 0) return kNobody;
  std::uint64_t at = rng_.next64() % sum;
  for (const SimFiber* const fiber : choices.fibers) {
    const std::uint64_t weight = weight_[ThreadPaths::of(*fiber)];
    if (at < weight) return ThreadPaths::of(*fiber);
    at -= weight;
  }
  return kNobody;
}

// The fiber at `pick` goes on: keeps the accounts.
std::uint32_t Surw::happens(const Choices& choices, std::uint32_t pick) {
  running_ = ThreadPaths::of(*choices.fibers[pick]);
  const Point* const point = choices.about_to(*choices.fibers[pick]);
  if (point == nullptr) return pick;
  if (learning_ || keeps_learning()) learn(running_, *choices.fibers[pick], *point);
  if (learning_ || !selected(point)) return pick;
  if (weight_[running_] != 0) --weight_[running_];
  if (selection_ == Selection::one_object) intended_ = draw_intended(choices);
  return pick;
}

std::uint32_t Surw::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const auto steps = static_cast<std::uint32_t>(choices.steps.size());
  if (choices.size() > 1) labels_.fix_ordinals(engine::t_thread.next_object_id);
  if (steps != 0 && (fibers == 0 || rng_.below(fibers + steps) >= fibers)) {
    const std::uint32_t step = rng_.below(steps);
    const bool rare = choices.steps[step]->duty == EnvStep::Duty::may_happen ||
                      (choices.steps[step]->kind == ChoiceKind::fire && fibers != 0);
    if (!rare || rng_.one_in(kRareOneIn)) return fibers + step;
    if (fibers == 0) return choices.fallback;
  }
  // Whoever gives way waits until somebody else has gone on.
  if (choices.self_runnable && choices.self.yielded && fibers > 1) {
    std::uint32_t other = rng_.below(fibers - 1);
    if (other >= choices.self.index) ++other;
    return happens(choices, other);
  }
  if (learning_) return happens(choices, rng_.below(fibers));
  if (selection_ == Selection::everything) return happens(choices, draw(choices, false));
  if (intended_ == kNobody) intended_ = draw_intended(choices);
  candidates_.clear();
  for (std::uint32_t i = 0; i < fibers; ++i) {
    if (!selected(choices.about_to(*choices.fibers[i])) ||
        ThreadPaths::of(*choices.fibers[i]) == intended_)
      candidates_.push_back(i);
  }
  // The intended one cannot go on: another takes its place.
  if (candidates_.empty()) return happens(choices, draw(choices, true));
  return happens(choices, candidates_[rng_.below(static_cast<std::uint32_t>(candidates_.size()))]);
}

std::uint32_t Surw::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                          std::uint32_t one_in) {
  return rng_.answer(count, one_in);
}

}   // namespace sim
