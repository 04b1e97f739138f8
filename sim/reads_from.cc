#include "sim/reads_from.h"

#include <string_view>

namespace sim {
namespace {

using engine::Access;
using engine::OpKind;
using engine::Point;

std::uint64_t mixed(std::uint64_t value) noexcept {
  value = (value ^ value >> 32U) * 0xD6E8FEB86659FD93ULL;
  value = (value ^ value >> 32U) * 0xD6E8FEB86659FD93ULL;
  return value ^ value >> 32U;
}

std::uint64_t hash_of(std::string_view text) noexcept {   // FNV-1a
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text)
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
  return hash;
}

}   // namespace

ReadsFrom::ReadsFrom()
    : label_index_(kIndexSize),
      event_index_(kIndexSize),
      uses_(1),
      label_(1, kNoLabel),
      cells_(kCells),
      combinations_(kCombinationBits / 64) {}

void ReadsFrom::begin() {
  ++execution_;
  held_.begin();
  fixed_below_ = ~0U;
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

std::uint16_t ReadsFrom::look_up(std::vector<Slot>& index, std::uint64_t key, std::size_t next) {
  key |= 1U;   // 0: free
  std::size_t at = (key >> 20U) % kIndexSize;
  while (index[at].key != 0) {
    if (index[at].key == key) return index[at].id;
    at = (at + 1) % kIndexSize;
  }
  if (next >= kEventsMax) return kUnknown;
  index[at] = {key, static_cast<std::uint16_t>(next)};
  return index[at].id;
}

ReadsFrom::Object& ReadsFrom::object(const engine::SyncObject& object) {
  if (objects_.size() <= object.id) objects_.resize(object.id + 64);
  Object& state = objects_[object.id];
  if (state.execution == execution_) return state;
  std::uint64_t key = hash_of(object.name) + static_cast<std::uint64_t>(object.kind);
  if (object.id < fixed_below_) key ^= std::uint64_t{object.id} << 40U;
  const std::uint16_t label = look_up(label_index_, mixed(key), uses_.size());
  if (label == uses_.size()) uses_.emplace_back();
  state = {execution_, label == kUnknown ? kNoLabel : label, kInitial};
  return state;
}

ReadsFrom::LabelId ReadsFrom::label_of(const engine::SyncObject& object) {
  return this->object(object).label;
}

ReadsFrom::EventId ReadsFrom::last_write(const engine::SyncObject& object) {
  return this->object(object).last_write;
}

ReadsFrom::EventId ReadsFrom::event_of(const Point& point) {
  const LabelId label = object(*point.object).label;
  if (label == kNoLabel) return kUnknown;
  const std::uint64_t key =
      std::uint64_t{label} << 48U | std::uint64_t{point.where.line() & 0xFFFFFFU} << 24U |
      std::uint64_t{point.where.column() & 0xFFFFU} << 8U | static_cast<std::uint64_t>(point.op);
  const std::uint16_t event = look_up(event_index_, mixed(key), label_.size());
  if (event == label_.size()) {
    label_.push_back(label);
    const Role role = role_of(point);
    if (role.reads) uses_[label].reads.push_back(event);
    if (role.writes) uses_[label].writes.push_back(event);
  }
  return event;
}

void ReadsFrom::note_locks(const SimFiber& fiber, LabelId label) {
  held_labels_.clear();
  for (const std::uint32_t lock : held_.of(fiber))
    held_labels_.push_back(objects_[lock].label);
  uses_[label].locks.access(held_labels_);
}

std::size_t ReadsFrom::cell_of(Pair pair) noexcept {
  return mixed(std::uint64_t{pair.read} << 16U | pair.write) % kCells;
}

void ReadsFrom::happens(const SimFiber& fiber, const Point& point) {
  const Role role = role_of(point);
  if (point.object != nullptr) held_.happens(fiber, point);
  if (!role.reads && !role.writes) return;
  const EventId event = event_of(point);
  if (event == kUnknown) return;
  Object& state = object(*point.object);
  if (engine::ObjectKind::variable == point.object->kind ||
      engine::ObjectKind::atomic == point.object->kind)
    note_locks(fiber, state.label);
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
    sum += mixed((std::uint64_t{pair.read} << 16U | pair.write) + 1);
  }
  pairs_seen_ += novelty_.pairs.size();
  contested_.clear();
  for (LabelId label = 1; label < uses_.size(); ++label) {
    const Uses& uses = uses_[label];
    if (!uses.reads.empty() && !uses.writes.empty() && !uses.locks.any())
      contested_.push_back(label);
  }
  const std::size_t bit = mixed(sum) % kCombinationBits;
  std::uint64_t& word = combinations_[bit / 64];
  novelty_.combination = (word >> bit % 64 & 1U) == 0;
  word |= std::uint64_t{1} << bit % 64;
  return novelty_;
}

}   // namespace sim
