#include "sim/thread_order.h"

#include <algorithm>

namespace sim {

using engine::OpKind;

void ThreadOrder::reset() {
  before_.assign(1, {kAnyTime, kAnyTime});
  fibers_.clear();
  started_.clear();
  starting_ = looks_ = 0;
}

void ThreadOrder::event(const engine::Event& event, ActorId by) {
  if (event.op == OpKind::thread_start) {
    starting_ = event.object->id;
  } else if (event.op == OpKind::fiber_spawn && starting_ != 0) {
    const auto child = ActorId::from_value(static_cast<std::uint32_t>(event.a));
    if (started_.size() <= starting_) started_.resize(starting_ + 64);
    started_[starting_] = child;
    starting_ = 0;
    const Stretch before = of(by);
    fiber(child) = {.now = begin(before)};
    if (before != kAnyTime) fiber(by).now = begin(before);
  } else if (event.op == OpKind::thread_join && event.object->id < started_.size()) {
    const ActorId child = started_[event.object->id];
    fiber(child).joined = true;
    const Stretch before = of(by);
    if (before != kAnyTime) fiber(by).now = begin(before, of(child));
  }
}

ThreadOrder::Stretch ThreadOrder::of(ActorId id) {
  if (id.kind() != ActorKind::fiber) return kAnyTime;
  Fiber& known = fiber(id);
  if (known.now == kAnyTime) known.now = begin(kAnyTime);
  return known.now;
}

bool ThreadOrder::joined(ActorId fiber) const noexcept {
  return fiber.kind() == ActorKind::fiber && fiber.ordinal() < fibers_.size() &&
         fibers_[fiber.ordinal()].joined;
}

// Back from the later one; what came before the earlier one is of no interest.
bool ThreadOrder::could_meet(Stretch one, Stretch other) {
  const auto [earlier, later] = std::minmax(one, other);
  if (earlier == kAnyTime) return true;
  ++looks_;
  left_.assign(1, later);
  while (!left_.empty()) {
    const Stretch at = left_.back();
    left_.pop_back();
    if (at == earlier) return false;
    if (at < earlier || before_[at].seen == looks_) continue;
    before_[at].seen = looks_;
    left_.push_back(before_[at].own);
    left_.push_back(before_[at].joined);
  }
  return true;
}

ThreadOrder::Stretch ThreadOrder::begin(Stretch own, Stretch joined) {
  before_.push_back({own, joined});
  return static_cast<Stretch>(before_.size() - 1);
}

ThreadOrder::Fiber& ThreadOrder::fiber(ActorId id) {
  if (fibers_.size() <= id.ordinal()) fibers_.resize(id.ordinal() + 16);
  return fibers_[id.ordinal()];
}

}   // namespace sim
