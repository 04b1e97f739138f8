#include "sim/contention.h"

namespace sim {

using engine::Access;
using engine::OpKind;
using engine::Point;

Contention::Contention() {
  forget();
}

void Contention::forget() {
  labels_.forget();
  events_.assign(1, {});
  labelled_.assign(1, {});
  contended_.clear();
  begin();
}

void Contention::begin() {
  ++execution_;
  labels_.begin();
  held_.begin();
  touched_.clear();
}

Contention::Role Contention::role_of(const Point& point) noexcept {
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
      return {.reads = true, .writes = changes(point.access)};
  }
}

Contention::EventId Contention::event_of(const Point& point) {
  const Role role = role_of(point);
  if (!role.reads && !role.writes) return kNone;
  const LabelId id = labels_.of(*point.object);
  if (id == ObjectLabels::kNone) return kUnknown;
  if (labelled_.size() <= id) labelled_.resize(std::size_t{id} + 1);
  Label& label = labelled_[id];
  // By line: compilers have views of their own about columns.
  const std::uint32_t key = point.where.line() << 8U | static_cast<std::uint32_t>(point.op);
  for (const Known& known : label.all) {
    if (known.key == key) return known.event;
  }
  if (events_.size() >= kEventsMax) return kUnknown;
  const auto event = static_cast<EventId>(events_.size());
  events_.push_back({.label = id, .role = role, .is_data = is_data(*point.object), .locks = {}});
  label.all.push_back({key, event});
  return event;
}

Contention::EventId Contention::happens(SimFiber& fiber, const Point& point) {
  if (point.object == nullptr) return kNone;
  held_.happens(fiber, point);
  const EventId id = event_at(fiber, point);
  if (!is_event(id)) return id;
  Event& event = events_[id];
  if (event.is_data) note_locks(fiber, event);
  const std::uint32_t who = fiber.id.value();
  event.by_several = event.by_several || (event.execution == execution_ && event.fiber != who);
  event.repeats = event.repeats || event.execution == execution_;
  event.execution = execution_;
  event.fiber = who;
  Label& label = labelled_[event.label];
  if (label.execution != execution_) {
    label.execution = execution_;
    label.fiber = who;
    label.by_several = false;
  } else if (label.fiber != who && !label.by_several) {
    label.by_several = true;
    touched_.push_back(event.label);
  }
  return id;
}

void Contention::note_locks(const SimFiber& fiber, Event& event) {
  if (event.locks.none()) return;
  held_labels_.clear();
  for (const std::uint32_t lock : held_.of(fiber))
    held_labels_.push_back(labels_.of_id(lock));
  event.locks.access(held_labels_);
}

// Both have happened in this execution.
bool Contention::contend(const Event& a, const Event& b) const noexcept {
  if (!a.role.writes && !b.role.writes) return false;
  if (&a == &b ? !a.by_several : a.fiber == b.fiber && !a.by_several && !b.by_several) return false;
  return !a.is_data || !a.locks.meet(b.locks);
}

void Contention::settle(LabelId id) {
  Label& label = labelled_[id];
  for (const Known& known : label.all) {
    const EventId a = known.event;
    Event& event = events_[a];
    if (event.contended || event.execution != execution_) continue;
    for (const Known& other : label.all) {
      const Event& its = events_[other.event];
      if (its.execution != execution_ || !contend(event, its)) continue;
      event.contended = true;
      if (label.reads.empty() && label.writes.empty()) contended_.push_back(id);
      if (event.role.reads) label.reads.push_back(a);
      if (event.role.writes) label.writes.push_back(a);
      break;
    }
  }
}

void Contention::end() {
  for (const LabelId label : touched_)
    settle(label);
}

}   // namespace sim
