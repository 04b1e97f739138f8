#include "sim/strategy_dpor.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/fiber/mutex.h"

namespace sim {

using engine::OpKind;
using engine::Point;

namespace {

template <typename Range, typename Value>
bool contains(const Range& range, const Value& value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

}   // namespace

// --- operations ---

bool Dpor::dependent(const Operation& a, const Operation& b) noexcept {
  if (a.object != b.object || a.object == 0) return false;
  if (a.kind == Kind::signal && b.kind == Kind::signal) return false;
  return a.writes || b.writes;
}

void Dpor::join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size(), 0);
  for (std::size_t i = 0; i < from.size(); ++i)
    into[i] = std::max(into[i], from[i]);
}

bool Dpor::came_before(std::uint32_t number, const Clock& clock) const noexcept {
  const Node& node = nodes_[number];
  return node.fiber < clock.size() && clock[node.fiber] >= node.ordinal;
}

// --- one execution ---

void Dpor::begin(std::uint64_t /*seed*/) {
  paths_.begin();
  at_ = 0;
  length_ = fixed_;
  picks_ = 0;
  running_ = ThreadPaths::kRoot;
  running_fiber_ = nullptr;
  tried_ = nullptr;
  free_running_ = cut_short_ = false;
  for (FiberState& fiber : fibers_) {
    fiber.clock.clear();
    fiber.read.clear();
    fiber.seen_at = 0;
    fiber.ordinal = 0;
    fiber.waits_for_change = false;
  }
  for (ObjectState& object : objects_) {
    object.last_write = object.last_acquire = kNone;
    object.reads.clear();
    object.signals.clear();
    object.writes = 0;
  }
}

void Dpor::started(SimFiber& fiber) {
  const Id id = paths_.started(fiber, running_);
  if (fibers_.size() <= id) fibers_.resize(id + 1);
}

std::uint32_t Dpor::pick(const Choices& choices) {
  ++picks_;
  note_woken(choices);
  settle_try();
  note_yield(choices);
  if (!choices.steps.empty()) saw_environment_ = true;
  if (choices.fibers.empty() || free_running_) return choices.fallback;
  if (const std::uint32_t index = find_local(choices); index != kNone)
    return go_on(*choices.fibers[index], index);
  collect_enabled(choices);
  if (enabled_.empty()) collect_attempts(choices);
  if (enabled_.empty()) return look_again(choices);
  if (at_ >= fixed_ && !grow()) return choices.fallback;
  Node& node = nodes_[at_];
  const auto chosen = std::find_if(enabled_.begin(), enabled_.end(),
                                   [&](const Enabled& each) { return each.fiber == node.fiber; });
  ENGINE_CHECK(chosen != enabled_.end() && node.values == 0,
               "the program differs from one run to the next");
  const SimFiber& fiber = *choices.fibers[chosen->index];
  const Point* const point = choices.about_to(fiber);
  node.operation = chosen->operation;
  happens(node, at_);
  if (node.operation.kind == Kind::try_acquire) tried_ = point->object;
  ++at_;
  return go_on(fiber, chosen->index);
}

std::uint32_t Dpor::go_on(const SimFiber& fiber, std::uint32_t index) {
  running_ = ThreadPaths::of(fiber);
  running_fiber_ = &fiber;
  FiberState& state = fibers_[running_];
  if (state.waits_for_change) {
    state.waits_for_change = false;
    // What it has seen change comes before whatever it does now.
    for (const auto& [object, writes] : state.read) {
      if (objects_[object].writes != writes && objects_[object].last_write != kNone)
        join(state.clock, nodes_[objects_[object].last_write].clock);
    }
    state.read.clear();
  }
  return index;
}

// Whoever can run now and could not a moment ago has been started or woken by who ran last.
void Dpor::note_woken(const Choices& choices) {
  for (const SimFiber* const fiber : choices.fibers) {
    FiberState& state = fibers_[ThreadPaths::of(*fiber)];
    if (state.seen_at + 1 != picks_ && fiber != &choices.self)
      join(state.clock, fibers_[running_].clock);
    state.seen_at = picks_;
  }
}

void Dpor::note_yield(const Choices& choices) {
  if (choices.point.op != OpKind::yield || !choices.self_runnable) return;
  FiberState& state = fibers_[ThreadPaths::of(choices.self)];
  state.waits_for_change = !state.read.empty();
}

bool Dpor::sees_no_change(const FiberState& state) const {
  if (!state.waits_for_change) return false;
  return std::all_of(state.read.begin(), state.read.end(),
                     [&](const auto& read) { return objects_[read.first].writes == read.second; });
}

// Did the try_lock that has just happened get the lock?
void Dpor::settle_try() {
  if (tried_ == nullptr) return;
  const engine::SyncObject& object = *std::exchange(tried_, nullptr);
  if (engine::Mutex::of(object).owner() == running_fiber_)
    object_state(object.id).last_acquire = at_ - 1;
}

std::uint32_t Dpor::find_local(const Choices& choices) const {
  std::uint32_t best = kNone;
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    if (operation_at(fiber, choices.about_to(fiber)).object != 0) continue;
    if (sees_no_change(fibers_[ThreadPaths::of(fiber)])) continue;
    if (&fiber == &choices.self) return i;
    if (best == kNone || ThreadPaths::of(fiber) < ThreadPaths::of(*choices.fibers[best])) best = i;
  }
  return best;
}

void Dpor::collect_enabled(const Choices& choices) {
  enabled_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Id id = ThreadPaths::of(fiber);
    const Point* const point = choices.about_to(fiber);
    if (sees_no_change(fibers_[id]) || !could_go_on(fiber, point)) continue;
    enabled_.push_back({id, i, operation_at(fiber, point)});
  }
  sort_enabled();
}

void Dpor::sort_enabled() {
  std::sort(enabled_.begin(), enabled_.end(),
            [](const Enabled& a, const Enabled& b) { return a.fiber < b.fiber; });
}

// Nobody can go on as things are. Then queueing for a lock is an operation too, so that time can
// pass or a deadlock be told, and the order in the queue is explored.
void Dpor::collect_attempts(const Choices& choices) {
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    Operation operation = operation_at(fiber, choices.about_to(fiber));
    if (operation.kind != Kind::acquire) continue;
    operation.kind = Kind::plain;
    enabled_.push_back({ThreadPaths::of(fiber), i, operation});
  }
  sort_enabled();
}

// Everybody waits for a change: they look again, for ever.
std::uint32_t Dpor::look_again(const Choices& choices) {
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    if (sees_no_change(fibers_[ThreadPaths::of(*choices.fibers[i])]))
      return go_on(*choices.fibers[i], i);
  }
  return choices.fallback;
}

// Adds a node for the present state. False: all that can be done here has been done elsewhere.
bool Dpor::grow() {
  Node& node = new_node();
  node.enabled.clear();
  for (const Enabled& each : enabled_)
    node.enabled.push_back(each.fiber);
  const auto asleep = [&](Id id) {
    return std::any_of(node.asleep.begin(), node.asleep.end(),
                       [id](const Sleeper& sleeper) { return sleeper.fiber == id; });
  };
  // Whoever runs goes on if it may: failures come with few switches.
  const Enabled* chosen = nullptr;
  for (const Enabled& each : enabled_) {
    if (asleep(each.fiber)) continue;
    if (chosen == nullptr || each.fiber == running_) chosen = &each;
  }
  if (chosen == nullptr) {
    --length_;
    cut_short_ = free_running_ = true;
    return false;
  }
  node.fiber = chosen->fiber;
  node.backtrack.assign(1, chosen->fiber);
  return true;
}

// Inherits who need not be tried: those asleep before whom the last operation did not concern.
Dpor::Node& Dpor::new_node() {
  if (nodes_.size() == length_) nodes_.emplace_back();
  Node& node = nodes_[length_];
  node.values = node.value = 0;
  node.asleep.clear();
  node.backtrack.clear();
  if (length_ != 0) {
    const Node& last = nodes_[length_ - 1];
    for (const Sleeper& sleeper : last.asleep) {
      const bool woken = last.values == 0 && (sleeper.fiber == last.fiber ||
                                              dependent(sleeper.operation, last.operation));
      if (!woken) node.asleep.push_back(sleeper);
    }
  }
  ++length_;
  return node;
}

std::uint32_t Dpor::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                          std::uint32_t /*one_in*/) {
  if (free_running_) return 0;
  if (at_ >= length_) {
    new_node().values = count;
    nodes_[at_].fiber = running_;
  }
  const Node& node = nodes_[at_];
  ENGINE_CHECK(node.values == count, "the program differs from one run to the next");
  ++at_;
  return node.value;
}

// --- what an operation means for the others ---

Dpor::ObjectState& Dpor::object_state(std::uint32_t object) {
  if (objects_.size() <= object) objects_.resize(object + 1);
  return objects_[object];
}

void Dpor::happens(Node& node, std::uint32_t number) {
  FiberState& fiber = fibers_[node.fiber];
  const Operation& operation = node.operation;
  ObjectState& object = object_state(operation.object);
  node.ordinal = ++fiber.ordinal;
  node.clock = fiber.clock;
  const bool look = number + 1 >= fixed_;   // else it was looked at when it was new
  switch (operation.kind) {
    case Kind::wait:
      join(node.clock, object.signals);
      break;
    case Kind::signal:
      break;
    case Kind::acquire:
      if (object.last_write != kNone) join(node.clock, nodes_[object.last_write].clock);
      if (look && object.last_acquire != kNone && !came_before(object.last_acquire, fiber.clock))
        race(object.last_acquire, fiber.clock, node.fiber, number);
      break;
    case Kind::plain:
    case Kind::try_acquire:
    case Kind::release:
      order_after(node, number, object, look);
      break;
  }
  if (node.clock.size() <= node.fiber) node.clock.resize(node.fiber + 1, 0);
  node.clock[node.fiber] = node.ordinal;
  fiber.clock = node.clock;
  if (operation.kind == Kind::wait) return;
  if (operation.kind == Kind::signal) {
    join(object.signals, node.clock);
    ++object.writes;
  } else if (operation.writes) {
    object.last_write = number;
    object.reads.clear();
    ++object.writes;
    if (operation.kind == Kind::acquire) object.last_acquire = number;
  } else {
    object.reads.push_back(number);
    fiber.read.emplace_back(operation.object, object.writes);
  }
}

// After a read comes what has read since the last write; before that, that write.
void Dpor::order_after(Node& node, std::uint32_t number, const ObjectState& object, bool look) {
  const Clock before = node.clock;
  rivals_.clear();
  if (node.operation.writes && !object.reads.empty()) {
    rivals_ = object.reads;
  } else if (object.last_write != kNone) {
    rivals_.push_back(object.last_write);
  }
  for (const std::uint32_t rival : rivals_)
    join(node.clock, nodes_[rival].clock);
  if (!look) return;
  for (const std::uint32_t rival : rivals_) {
    if (came_before(rival, before)) continue;
    const bool through_another = std::any_of(rivals_.begin(), rivals_.end(), [&](auto other) {
      return other != rival && came_before(rival, nodes_[other].clock);
    });
    if (!through_another) race(rival, node.clock, node.fiber, number);
  }
}

// The operation `earlier` and the one that `fiber` is at, which has the number `number`, might as
// well have come the other way round. Of the operations that could then come first in place of the
// earlier one, some must be tried there.
void Dpor::race(std::uint32_t earlier, const Clock& before, Id fiber, std::uint32_t number) {
  Node& there = nodes_[earlier];
  first_.assign(fibers_.size(), 0);
  initials_.clear();
  const auto consider = [&](Id id, std::uint32_t ordinal, const Clock& clock) {
    if (first_[id] != 0) return;
    first_[id] = ordinal;
    for (Id other = 0; other < first_.size() && other < clock.size(); ++other) {
      if (other != id && first_[other] != 0 && clock[other] >= first_[other]) return;
    }
    initials_.push_back(id);
  };
  for (std::uint32_t i = earlier + 1; i < number; ++i) {
    const Node& node = nodes_[i];
    if (node.values == 0 && !came_before(earlier, node.clock))
      consider(node.fiber, node.ordinal, node.clock);
  }
  consider(fiber, ~0U, before);
  for (const Id initial : initials_) {
    if (contains(there.backtrack, initial)) return;
    for (const Sleeper& sleeper : there.asleep) {
      if (sleeper.fiber == initial) return;
    }
  }
  for (const Id initial : {initials_.back(), initials_.front()}) {
    if (!contains(there.enabled, initial)) continue;
    there.backtrack.push_back(initial);
    return;
  }
  there.backtrack = there.enabled;
}

// --- from one execution to the next ---

bool Dpor::next() {
  while (length_ != 0) {
    Node& node = nodes_[length_ - 1];
    if (node.values != 0) {
      if (++node.value < node.values) break;
      --length_;
      continue;
    }
    node.asleep.push_back({node.fiber, node.operation});
    const auto left = std::find_if(node.backtrack.begin(), node.backtrack.end(), [&](Id id) {
      return std::none_of(node.asleep.begin(), node.asleep.end(),
                          [id](const Sleeper& sleeper) { return sleeper.fiber == id; });
    });
    if (left != node.backtrack.end()) {
      node.fiber = *left;
      break;
    }
    --length_;
  }
  fixed_ = length_;
  return length_ != 0;
}

// Of what is known to be tried at each node, the share that has been, from the top down.
double Dpor::done() const {
  double share = 0;
  double of_all = 1;
  for (std::uint32_t i = 0; i < length_; ++i) {
    const Node& node = nodes_[i];
    double tried = node.value;
    double ways = node.values;
    if (node.values == 0) {
      ways = static_cast<double>(node.backtrack.size());
      tried = 0;
      for (const Id id : node.backtrack) {
        tried += id != node.fiber &&
                 std::any_of(node.asleep.begin(), node.asleep.end(),
                             [id](const Sleeper& sleeper) { return sleeper.fiber == id; });
      }
    }
    if (ways == 0) continue;
    share += of_all * tried / ways;
    of_all /= ways;
  }
  return share;
}

}   // namespace sim
