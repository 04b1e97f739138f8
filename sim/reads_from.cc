#include "sim/reads_from.h"

namespace sim {

using engine::Access;
using engine::OpKind;
using engine::Point;

ReadsFrom::ReadsFrom()
    : uses_(1),
      label_(1, ObjectLabels::kNone),
      cells_(kCells),
      combinations_(kCombinationBits / 64) {}

void ReadsFrom::begin() {
  ++execution_;
  held_.begin();
  labels_.begin();
  touched_.clear();
}

// Giving a lock back and opening a gate are left out: who takes it next, or had to wait, says the
// same.
ReadsFrom::Role ReadsFrom::role_of(const Point& point) noexcept {
  if (point.object == nullptr || point.access == Access::none) return {};
  switch (point.op) {
    case OpKind::variable_write:
    case OpKind::atomic_store:
    case OpKind::condition_notify:
    case OpKind::rcu_synchronize:
    case OpKind::work_queue:
    case OpKind::timer_arm:
      return {.reads = false, .writes = true};
    case OpKind::mutex_unlock:
    case OpKind::spin_unlock:
    case OpKind::read_unlock:
    case OpKind::write_unlock:
    case OpKind::rcu_read_unlock:
    case OpKind::completion_signal:
    case OpKind::completion_wait:
    case OpKind::fiber_spawn:
      return {};
    default:
      return {.reads = true, .writes = point.access == Access::write};
  }
}

ReadsFrom::Object& ReadsFrom::object(const engine::SyncObject& object) {
  if (objects_.size() <= object.id) objects_.resize(object.id + 64);
  Object& state = objects_[object.id];
  if (state.execution != execution_) state = {execution_, kInitial};
  return state;
}

ReadsFrom::EventId ReadsFrom::last_write(const engine::SyncObject& object) {
  return this->object(object).last_write;
}

ReadsFrom::EventId ReadsFrom::event_of(const Point& point) {
  const LabelId label = labels_.of(*point.object);
  if (label == ObjectLabels::kNone) return kUnknown;
  // By line: compilers have views of their own about columns.
  const EventId event = events_.of(std::uint64_t{label} << 48U |
                                   std::uint64_t{point.where.line() & 0xFFFFFFU} << 24U |
                                   static_cast<std::uint64_t>(point.op));
  if (event == label_.size()) {
    label_.push_back(label);
    if (uses_.size() <= label) uses_.resize(std::size_t{label} + 1);
    const Role role = role_of(point);
    if (role.reads) uses_[label].reads.push_back(event);
    if (role.writes) uses_[label].writes.push_back(event);
  }
  return event;
}

void ReadsFrom::note_locks(const SimFiber& fiber, LabelId label) {
  held_labels_.clear();
  for (const std::uint32_t lock : held_.of(fiber))
    held_labels_.push_back(labels_.of_id(lock));
  uses_[label].locks.access(held_labels_);
}

std::size_t ReadsFrom::cell_of(Pair pair) noexcept {
  return KeyIndex::mixed(std::uint64_t{pair.read} << 16U | pair.write) % kCells;
}

void ReadsFrom::happens(const SimFiber& fiber, const Point& point) {
  const Role role = role_of(point);
  if (point.object != nullptr) held_.happens(fiber, point);
  if (!role.reads && !role.writes) return;
  const EventId event = event_of(point);
  if (event == kUnknown) return;
  Object& state = object(*point.object);
  if (is_data(*point.object)) note_locks(fiber, labels_.of(*point.object));
  if (role.reads) {
    const Pair pair{event, state.last_write};
    Cell& cell = cells_[cell_of(pair)];
    if (cell.execution != execution_) {
      cell.execution = execution_;
      touched_.push_back(pair);
    }
  }
  if (role.writes) state.last_write = event;
}

const ReadsFrom::Novelty& ReadsFrom::end() {
  novelty_.pairs.clear();
  std::uint64_t sum = 0;
  for (const Pair pair : touched_) {
    Cell& cell = cells_[cell_of(pair)];
    if (cell.times++ == 0) novelty_.pairs.push_back(pair);
    sum += KeyIndex::mixed((std::uint64_t{pair.read} << 16U | pair.write) + 1);
  }
  pairs_seen_ += novelty_.pairs.size();
  contested_.clear();
  for (LabelId label = 1; label < uses_.size(); ++label) {
    const Uses& uses = uses_[label];
    if (!uses.reads.empty() && !uses.writes.empty() && !uses.locks.any())
      contested_.push_back(label);
  }
  const std::size_t bit = KeyIndex::mixed(sum) % kCombinationBits;
  std::uint64_t& word = combinations_[bit / 64];
  novelty_.combination = (word >> bit % 64 & 1U) == 0;
  word |= std::uint64_t{1} << bit % 64;
  return novelty_;
}

}   // namespace sim
