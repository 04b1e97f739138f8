// The optimal search: one execution, and what it means for an event to come before another.
#include "sim/strategy_dpor.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace sim {

using engine::OpKind;
using engine::Point;

void Dpor::join(Clock& into, const Clock& from) {
  if (into.size() < from.size()) into.resize(from.size(), 0);
  for (std::size_t i = 0; i < from.size(); ++i)
    into[i] = std::max(into[i], from[i]);
}

void Dpor::Past::join(const Past& other) {
  Dpor::join(all, other.all);
  Dpor::join(rests_on, other.rests_on);
}

void Dpor::begin(std::uint64_t /*seed*/) {
  paths_.begin();
  run_.length = 0;
  run_.ways.clear();
  run_.by_rank.clear();
  at_ = 0;
  running_ = ThreadPaths::kRoot;
  step_ = unsettled_ = kNone;
  free_running_ = changed_nothing_ = false;
  for (Fiber& fiber : fibers_) {
    fiber.past.clear();
    fiber.wake.clear();
    fiber.read.clear();
    fiber.spins.clear();
    fiber.ordinal = fiber.retries = 0;
    fiber.waits_for_change = fiber.woken_early = false;
  }
  for (Object& object : objects_) {
    object.writes.clear();
    object.reads.clear();
    object.shares.clear();
    object.changes.clear();
    object.rank = 0;
    object.last_write.clear();
    object.reads_all.clear();
    object.shares_since.clear();
    object.let_go_since.clear();
    object.signals.clear();
    object.release.clear();
  }
}

void Dpor::started(SimFiber& fiber) {
  const Id id = paths_.started(fiber, running_);
  if (fibers_.size() <= id) fibers_.resize(id + 1);
  fibers_[id].past = fibers_[running_].past;
}

void Dpor::woken(const SimFiber& fiber) {
  Fiber& state = fibers_[ThreadPaths::of(fiber)];
  const bool parked = fiber.state == SimFiber::State::parked;
  // What it is about to do does not rest on that; what comes after does.
  Past& rests = parked ? state.past : state.wake;
  state.woken_early |= !parked;
  rests.join(fibers_[running_].past);
  if (step_ == kNone) return;
  const Event& by = run_.events[step_];
  if (by.kind == Kind::release_shared && by.shares) rests.join(objects_[by.object].let_go_since);
}

std::uint32_t Dpor::pick(const Choices& choices) {
  settle();
  if (!choices.steps.empty()) saw_environment_ = free_running_ = true;
  if (choices.fibers.empty() || free_running_) return choices.fallback;
  note_yield(choices);
  if (const std::uint32_t index = find_local(choices); index != kNone)
    return go_local(choices, index);
  collect_enabled(choices);
  if (enabled_.empty() && let_waiting_look()) {
    if (const std::uint32_t index = find_local(choices); index != kNone)
      return go_local(choices, index);
    collect_enabled(choices);
  }
  if (enabled_.empty()) {
    free_running_ = true;   // a deadlock, unless time makes somebody go on
    return choices.fallback;
  }
  if (at_ == given_.size()) return go_on(choices, least());
  const auto given = std::find_if(enabled_.begin(), enabled_.end(), [&](const Enabled& each) {
    return each.fiber == given_[at_].fiber;
  });
  ENGINE_CHECK(given != enabled_.end(), "the program differs from one run to the next");
  return go_on(choices, *given);
}

// Of what is no operation on an object, or on one at which nothing races, the order does not
// matter: it happens at once.
std::uint32_t Dpor::find_local(const Choices& choices) const {
  std::uint32_t best = kNone;
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Id id = ThreadPaths::of(fiber);
    if (fibers_[id].waits_for_change) continue;
    const Point* const point = choices.about_to(fiber);
    const Operation operation = operation_at(fiber, point);
    const bool gate = operation.kind == Kind::signal ||
                      (operation.kind == Kind::wait && could_go_on(fiber, point));
    if (operation.object != 0 && !gate) continue;
    if (&fiber == &choices.self) return i;
    if (best == kNone || id < ThreadPaths::of(*choices.fibers[best])) best = i;
  }
  return best;
}

std::uint32_t Dpor::go_local(const Choices& choices, std::uint32_t index) {
  const SimFiber& fiber = *choices.fibers[index];
  const Operation operation = operation_at(fiber, choices.about_to(fiber));
  running_ = ThreadPaths::of(fiber);
  step_ = kNone;
  Fiber& state = fibers_[running_];
  state.spins.clear();
  if (operation.object != 0) {
    Past& signals = objects_[slot_of(operation.object)].signals;
    if (operation.kind == Kind::signal) {
      signals.join(state.past);
    } else {
      state.past.join(signals);
    }
  }
  ran(state);
  return index;
}

void Dpor::ran(Fiber& fiber) {
  if (!fiber.woken_early) return;
  fiber.past.join(fiber.wake);
  fiber.wake.clear();
  fiber.woken_early = false;
}

void Dpor::collect_enabled(const Choices& choices) {
  enabled_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const SimFiber& fiber = *choices.fibers[i];
    const Id id = ThreadPaths::of(fiber);
    const Point* const point = choices.about_to(fiber);
    if (fibers_[id].waits_for_change || !could_go_on(fiber, point)) continue;
    const Operation operation = operation_at(fiber, point);
    enabled_.push_back({id, i, operation, slot_of(operation.object)});
  }
}

const Dpor::Enabled& Dpor::least() const {
  const Enabled* best = &enabled_.front();
  for (const Enabled& each : enabled_) {
    if (&each != best && rests_on_less(each, *best)) best = &each;
  }
  return *best;
}

bool Dpor::rests_on_less(const Enabled& a, const Enabled& b) const {
  const auto component = [&](const Enabled& each, Id id) {
    const Fiber& fiber = fibers_[each.fiber];
    std::uint32_t count = id == each.fiber ? fiber.ordinal + 1 : at(fiber.past.rests_on, id);
    if (each.operation.kind == Kind::acquire)
      count = std::max(count, at(objects_[each.object].release.rests_on, id));
    return count;
  };
  for (auto id = static_cast<Id>(fibers_.size()); id-- != 0;) {
    const std::uint32_t of_a = component(a, id);
    const std::uint32_t of_b = component(b, id);
    if (of_a != of_b) return of_a < of_b;
  }
  return false;
}

std::uint32_t Dpor::add(Id fiber, std::uint32_t rank) {
  if (run_.events.size() == run_.length) run_.events.emplace_back();
  const std::uint32_t number = run_.length++;
  Event& event = run_.events[number];
  event.fiber = fiber;
  event.ordinal = ++fibers_[fiber].ordinal;
  event.object = event.slot = kNone;
  event.rank = rank;
  event.value = event.values = 0;
  event.kind = Kind::plain;
  event.writes = event.shares = event.undid_write = event.moved = false;
  event.overwritten_by = kNone;
  event.before = fibers_[fiber].past;
  return number;
}

void Dpor::put_by_rank(std::uint32_t number) {
  const auto rank = [&](std::uint32_t each) { return run_.events[each].rank; };
  std::vector<std::uint32_t>& all = run_.by_rank;
  all.push_back(number);
  for (std::size_t i = all.size() - 1; i != 0 && rank(all[i - 1]) > rank(number); --i)
    std::swap(all[i - 1], all[i]);
}

std::uint32_t Dpor::go_on(const Choices& /*choices*/, const Enabled& chosen) {
  const Given* const given = at_ < given_.size() ? &given_[at_++] : nullptr;
  running_ = chosen.fiber;
  step_ = add(chosen.fiber, given != nullptr ? given->rank : next_rank_++);
  Event& event = run_.events[step_];
  event.object = whole(chosen.object);
  event.slot = chosen.object;
  event.kind = chosen.operation.kind;
  event.shares = chosen.operation.shares() && !objects_[chosen.object].is_one_of_several;
  event.writes = !event.shares && (chosen.operation.writes || !chosen.operation.looks ||
                                   objects_[event.object].is_never_just_looked_at);
  objects_[chosen.object].is_operated_on = true;
  unite_touched(chosen.object);
  if (given != nullptr) {
    ENGINE_CHECK(given->ordinal == event.ordinal, "the program differs from one run to the next");
    event.undid_write = event.moved = given->undid_write;
  } else {
    find_ways(step_);
  }
  happens(step_);
  if (event.writes) {
    unsettled_ = step_;
    unsettled_slot_ = chosen.object;
    changed_nothing_ = false;
  } else {
    note_look(running_, chosen.object);
  }
  ran(fibers_[running_]);
  return chosen.index;
}

void Dpor::happens(std::uint32_t number) {
  Event& event = run_.events[number];
  Past& past = event.past;
  past = event.before;
  if (event.object != kNone) {
    Object& object = objects_[event.object];
    past.join(object.last_write);
    if (event.writes) {
      join(past.all, object.reads_all);
      past.join(object.shares_since);
    }
    note_order(object, event);
  }
  for (Clock* const clock : {&past.all, &past.rests_on}) {
    if (clock->size() <= event.fiber) clock->resize(event.fiber + 1, 0);
    (*clock)[event.fiber] = event.ordinal;
  }
  fibers_[event.fiber].past = past;
  put_by_rank(number);
  if (event.object == kNone) return;
  Object& object = objects_[event.object];
  if (event.writes) {
    const std::vector<std::uint32_t>& reads = object.reads;
    for (std::size_t i = reads.size(); i-- != 0 && run_.events[reads[i]].overwritten_by == kNone;)
      run_.events[reads[i]].overwritten_by = number;
    object.writes.push_back(number);
    object.last_write = past;
    if (event.kind == Kind::release) objects_[event.slot].release = past;
    object.reads_all.clear();
    object.shares_since.clear();
    object.let_go_since.clear();
  } else if (event.shares) {
    object.shares.push_back(number);
    object.shares_since.join(past);
    if (event.kind == Kind::release_shared) object.let_go_since.join(past);
  } else {
    object.reads.push_back(number);
    join(object.reads_all, past.all);
  }
}

// What was added later than this event and yet comes before it is where it would not have been put
// if it were added now.
void Dpor::note_order(Object& object, const Event& event) {
  if (event.rank > object.rank) {
    object.rank = event.rank;
    return;
  }
  const auto note = [&](const std::vector<std::uint32_t>& numbers) {
    for (const std::uint32_t number : numbers)
      run_.events[number].moved |= run_.events[number].rank > event.rank;
  };
  note(object.writes);
  if (!event.writes) return;
  note(object.reads);
  note(object.shares);
}

std::uint32_t Dpor::value(const SimFiber& /*self*/, const char* what, std::uint32_t count,
                          std::uint32_t /*one_in*/) {
  if (free_running_) return 0;
  if (count > kValuesMax) {
    ++partial_[what];
    return 0;
  }
  const std::uint32_t ordinal = fibers_[running_].ordinal + 1;
  const auto given = std::find_if(
      given_values_.begin(), given_values_.end(),
      [&](const Given& each) { return each.fiber == running_ && each.ordinal == ordinal; });
  const bool is_given = given != given_values_.end();
  const std::uint32_t number = add(running_, is_given ? given->rank : next_rank_++);
  Event& event = run_.events[number];
  event.values = count;
  if (is_given) {
    event.value = given->value;
  } else {
    find_ways(number);
  }
  happens(number);
  return event.value;
}

// --- waiting for a change ---

// The first look at an object since it yielded is the one that matters.
void Dpor::note_look(Id id, std::uint32_t slot) {
  Fiber& fiber = fibers_[id];
  const std::uint64_t changes = objects_[slot].changes.size();
  const bool is_known = std::any_of(fiber.read.begin(), fiber.read.end(),
                                    [&](const Look& look) { return look.object == slot; });
  if (!is_known) fiber.read.push_back({slot, changes});
  if (!fiber.spins.look(slot, changes)) return;
  fiber.read.assign(fiber.spins.looks().begin(), fiber.spins.looks().end());
  give_way(id);
}

// What the last operation has changed, now that it has happened.
void Dpor::settle() {
  if (unsettled_ == kNone) return;
  const std::uint32_t number = std::exchange(unsettled_, kNone);
  const Id id = run_.events[number].fiber;
  Object& object = objects_[unsettled_slot_];
  if (changed_nothing_) {
    note_look(id, unsettled_slot_);
    return;
  }
  fibers_[id].spins.clear();
  object.changes.push_back(number);
  note_changed_by(unsettled_slot_, id);
  // Nobody waits for what he does himself.
  for (Look& look : fibers_[id].read) {
    if (look.object == unsettled_slot_) look.changes = object.changes.size();
  }
  note_change(unsettled_slot_, number);
}

void Dpor::note_change(std::uint32_t slot, std::uint32_t number) {
  for (Fiber& fiber : fibers_) {
    if (!fiber.waits_for_change) continue;
    const bool looked_at = std::any_of(fiber.read.begin(), fiber.read.end(),
                                       [&](const Look& look) { return look.object == slot; });
    if (!looked_at) continue;
    fiber.past.join(run_.events[number].past);
    fiber.waits_for_change = false;
    fiber.read.clear();
  }
}

void Dpor::unchanged(const SimFiber& /*self*/, const engine::SyncObject& object) {
  if (unsettled_ != kNone && slot_of(object.id) == unsettled_slot_) changed_nothing_ = true;
}

void Dpor::note_yield(const Choices& choices) {
  if (choices.point.op == OpKind::yield && choices.self_runnable)
    give_way(ThreadPaths::of(choices.self));
}

// The first change since it looked comes before whatever it does now.
void Dpor::give_way(Id id) {
  Fiber& fiber = fibers_[id];
  if (fiber.waits_for_change || fiber.read.empty()) return;
  std::uint32_t first = kNone;
  for (const Look& look : fiber.read) {
    const std::vector<std::uint32_t>& changes = objects_[look.object].changes;
    if (look.changes < changes.size()) first = std::min(first, changes[look.changes]);
  }
  note_waits_for(id);
  if (first == kNone && fiber.retries == retries_) {
    fiber.waits_for_change = true;
    ++held_back_;
    return;
  }
  if (first == kNone) {
    ++fiber.retries;
  } else {
    fiber.past.join(run_.events[first].past);
  }
  fiber.read.clear();
}

// Everybody who is left waits for a change: they look again, when all else has been done.
bool Dpor::let_waiting_look() {
  bool any = false;
  for (Fiber& fiber : fibers_)
    any |= fiber.waits_for_change;
  if (!any) return false;
  Past everything;
  for (const Fiber& fiber : fibers_)
    everything.join(fiber.past);
  for (Fiber& fiber : fibers_) {
    if (!fiber.waits_for_change) continue;
    fiber.past.join(everything);
    fiber.waits_for_change = false;
    fiber.read.clear();
  }
  return true;
}

std::string Dpor::left_out() const {
  std::string all;
  const auto add_line = [&](const std::string& line) { all += (all.empty() ? "" : "; ") + line; };
  for (const auto& [what, times] : partial_)
    add_line(fmt::format("{} times not every answer to '{}'", times, what));
  for (const auto& [what, times] : unordered_)
    add_line(fmt::format("{} times the order of what is done to '{}'", times, what));
  if (held_back_ != 0) add_line(fmt::format("{} times {}", held_back_, kLookInVain));
  return all;
}

}   // namespace sim
