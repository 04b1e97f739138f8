#include "sim/strategy_surw.h"

#include <algorithm>

namespace sim {

using engine::Access;
using engine::Point;

void Surw::forget() {
  paths_.forget();
  work_.clear();
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
  if (learning_) return;
  target_ = shared_.empty() ? 0 : shared_[rng_.below(static_cast<std::uint32_t>(shared_.size()))];
  share_out_work();
}

void Surw::started(SimFiber& fiber) {
  const Id id = paths_.started(fiber, running_);
  if (learning_) {
    if (work_.size() <= id) work_.resize(id + 1);
    return;
  }
  if (weight_.size() <= id) weight_.resize(id + 1, 1);   // not met before
  if (id >= subtree_.size() || id == ThreadPaths::kRoot) return;
  std::uint64_t& parent = weight_[running_];
  parent -= std::min(parent, subtree_[id]);
  weight_[id] = subtree_[id];
}

void Surw::end(std::uint64_t /*points*/) {
  if (!learning_) return;
  note_shared_objects();
  learnt_ = true;
}

// --- what the first execution teaches ---

void Surw::learn(Id id, const Point& point) {
  Work& work = work_[id];
  ++work.all;
  // Nobody races for a completion: who waits comes after who signals.
  if (point.object == nullptr || point.access == Access::none ||
      point.object->kind == engine::ObjectKind::completion)
    return;
  auto& counts = point.access == Access::write ? work.writes : work.reads;
  if (counts.size() <= point.object->id) counts.resize(point.object->id + 1, 0);
  ++counts[point.object->id];
}

void Surw::note_shared_objects() {
  std::size_t objects = 0;
  for (const Work& work : work_)
    objects = std::max({objects, work.reads.size(), work.writes.size()});
  for (std::uint32_t object = 0; object < objects; ++object) {
    std::uint32_t users = 0;
    bool changed = false;
    for (const Work& work : work_) {
      const bool writes = object < work.writes.size() && work.writes[object] != 0;
      const bool reads = object < work.reads.size() && work.reads[object] != 0;
      users += writes || reads ? 1 : 0;
      changed = changed || writes;
    }
    if (users > 1 && changed) shared_.push_back(object);
  }
}

std::uint32_t Surw::work_on_target(Id id) const noexcept {
  const Work& work = work_[id];
  if (selection_ == Selection::everything) return work.all;
  const std::uint32_t reads = target_ < work.reads.size() ? work.reads[target_] : 0;
  return reads + (target_ < work.writes.size() ? work.writes[target_] : 0);
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

bool Surw::selected(const Point* point) const noexcept {
  if (selection_ == Selection::everything) return true;
  return point != nullptr && point->object != nullptr && point->object->id == target_;
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
  if (learning_) {
    if (point != nullptr) learn(running_, *point);
    return pick;
  }
  if (point == nullptr || !selected(point)) return pick;
  if (weight_[running_] != 0) --weight_[running_];
  if (selection_ == Selection::one_object) intended_ = draw_intended(choices);
  return pick;
}

std::uint32_t Surw::pick(const Choices& choices) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const auto steps = static_cast<std::uint32_t>(choices.steps.size());
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
