// The bounded search: what depends on what, told by hashes; and who sleeps meanwhile.
#include <algorithm>
#include <utility>

#include "sim/strategy_bounded.h"

namespace sim {

using engine::OpKind;
using engine::Point;

namespace {

constexpr std::uint64_t kTimersName = 1;

// The finalizer of splitmix64.
std::uint64_t mixed(std::uint64_t value) noexcept {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ value >> 30U) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ value >> 27U) * 0x94D049BB133111EBULL;
  return value ^ value >> 31U;
}

std::uint64_t hash_text(const char* text, std::uint64_t hash) noexcept {
  for (; text != nullptr && *text != 0; ++text)
    hash = (hash ^ static_cast<unsigned char>(*text)) * 0x100000001B3ULL;   // FNV-1a
  return hash;
}

}   // namespace

std::uint64_t Bounded::mix(std::uint64_t a, std::uint64_t b) noexcept {
  return mixed(mixed(a) + b);
}

std::uint64_t Bounded::hash_of(const engine::SyncObject& object) noexcept {
  return hash_text(object.name, 0xCBF29CE484222325ULL + static_cast<std::uint64_t>(object.kind));
}

// A place in the program: that a step from there touches something in passing is seen afterwards.
std::uint64_t Bounded::where_stands(const SimFiber& fiber, const Point* point) {
  if (point == nullptr && fiber.steps == 0) return hash_text(fiber.name(), 7);
  const Point& at = point != nullptr ? *point : fiber.waiting;
  const auto [file, is_new] = files_.try_emplace(at.where.file_name());
  if (is_new) file->second = hash_text(at.where.file_name(), 11);
  return mix(file->second + at.where.line(), static_cast<std::uint64_t>(at.op));
}

void Bounded::begin_actor(Id id, Id parent) {
  actors_[id].acts = true;
  actors_[id].path = mix(actors_[parent].path, ++actors_[parent].children);
  set_chain(id, mix(actors_[parent].chain, actors_[id].path));
}

void Bounded::set_chain(Id id, std::uint64_t chain) {
  Actor& actor = actors_[id];
  sum_ += mix(chain, actor.path) - (actor.chain != 0 ? mix(actor.chain, actor.path) : 0);
  actor.chain = chain;
  if (id == running_) actor.observed_before = actor.observed;
}

// --- objects ---

std::uint32_t Bounded::slot_of(const engine::SyncObject& object) noexcept {
  constexpr std::uint32_t kQuiet = engine::SyncObject::kQuietId;
  return (object.id & kQuiet) != 0 ? (object.id & ~kQuiet) * 2 + 1 : object.id * 2;
}

// Timers are one object: which of them fires first is decided between all of them.
Bounded::Object& Bounded::object_of(const engine::SyncObject& object) {
  if (object.kind == engine::ObjectKind::timer) return timers();
  const std::uint32_t slot = slot_of(object);
  if (objects_.size() <= slot) objects_.resize(slot + 1);
  Object& state = objects_[slot];
  if (state.execution != execution_) renew(state, hash_of(object));
  return state;
}

Bounded::Object& Bounded::timers() {
  if (timers_.execution != execution_) renew(timers_, kTimersName);
  return timers_;
}

void Bounded::renew(Object& object, std::uint64_t name) {
  std::vector<Transfer> transfers = std::move(object.transfers);
  transfers.clear();
  object = {};
  object.execution = execution_;
  object.transfers = std::move(transfers);
  object.name = name;
  const auto known = names_.find(name);
  object.shared = known != names_.end() && known->second.shared;
}

void Bounded::share(Object& object) {
  object.shared = true;
  Name& name = names_[object.name];
  if (name.shared) return;
  name.shared = more_shared_ = true;
  stops_.insert(name.touched_at.begin(), name.touched_at.end());
}

void Bounded::touch(Id id, const Operation& operation, const engine::SyncObject& object) {
  using Kind = Operation::Kind;
  Object& state = object_of(object);
  const Place place = &state == &timers_ ? Place{0, Part::timers} : Place{slot_of(object)};
  if (operation.kind == Kind::signal || operation.kind == Kind::wait) {
    // What waits comes after all signals, which come in any order.
    const bool signals = operation.kind == Kind::signal;
    const std::uint64_t now = mix(mix(actors_[id].chain, state.name), signals ? 0 : state.signals);
    set_chain(id, now);
    if (signals) state.signals += mix(now, 1);
    actors_[id].spins.clear();
    log({.place = place, .does = signals ? Does::add : Does::look});
    return;
  }
  touch_object(id, place, operation.writes ? Does::change : Does::look, state);
  if (operation.kind == Kind::release_shared) {
    let_go_of_ = place.object;
    state.let_go += mix(actors_[id].chain, 1);
  }
  if (&state == &timers_) return;
  if (operation.writes) {
    last_changed_ = place.object;
    changed_nothing_ = false;
  } else {
    note_look(actors_[id], place.object, state.changes);
  }
}

// Which object it is need not be told but by its name: what a fiber does next follows from its
// chain.
void Bounded::touch_object(Id id, Place place, Does does, Object& object) {
  if (object.toucher == kNobody) {
    object.toucher = id;
  } else if (object.toucher != id && (does != Does::look || object.written) && !object.shared) {
    share(object);
  }
  object.written |= does != Does::look;
  std::uint64_t before = object.last_write;
  if (does != Does::add) before = mix(before, object.adds);
  if (does != Does::look) before = mix(before, object.looks);
  const std::uint64_t now =
      mix(mix(actors_[id].chain, object.name + static_cast<std::uint64_t>(does)), before);
  set_chain(id, now);
  switch (does) {
    case Does::look:
      object.looks += mix(now, 1);
      break;
    case Does::add:
      object.adds += mix(now, 1);
      break;
    case Does::change:
      object.last_write = now;
      object.looks = object.adds = object.let_go = 0;
      break;
  }
  log({.place = place, .does = does});
}

void Bounded::touched(const SimFiber& /*self*/, const engine::SyncObject& object,
                      engine::Access access) {
  if (free_running_) return;
  Object& state = object_of(object);
  Name& name = names_[state.name];
  auto& from = name.touched_at;
  if (std::find(from.begin(), from.end(), running_from_) == from.end()) {
    from.push_back(running_from_);
    if (name.shared) more_shared_ |= stops_.insert(running_from_).second;
  }
  const Does does = access == engine::Access::add     ? Does::add
                    : access == engine::Access::write ? Does::change
                                                      : Does::look;
  touch_object(running_, {slot_of(object)}, does, state);
}

void Bounded::transfer(Id id, const EnvStep::Touch& touch) {
  std::vector<Transfer>& transfers = object_of(*touch.device).transfers;
  std::uint64_t before = 0;
  for (const Transfer& other : transfers) {
    const bool meets = other.begin < touch.end && touch.begin < other.end;
    if (meets && (touch.writes || other.writes)) before += mix(other.hash, 1);
  }
  const std::uint64_t now = mix(mix(actors_[id].chain, touch.begin), before);
  set_chain(id, now);
  if (touch.writes) {
    std::erase_if(transfers, [&](const Transfer& other) {
      return touch.begin <= other.begin && other.end <= touch.end;
    });
  }
  transfers.push_back({touch.begin, touch.end, now, touch.writes});
  log({.place = {slot_of(*touch.device), Part::contents},
       .does = touch.writes ? Does::change : Does::look,
       .begin = touch.begin,
       .end = touch.end});
}

void Bounded::touch_everything(Id id) {
  const std::uint64_t now = mix(sum_, actors_[id].path);
  for (Id other = 0; other < actors_.size(); ++other) {
    if (actors_[other].acts) set_chain(other, mix(actors_[other].chain, now));
  }
  log({.place = {0, Part::everything}, .does = Does::change});
}

// --- waiting for a change ---

void Bounded::unchanged(const SimFiber& /*self*/, const engine::SyncObject& object) {
  if (slot_of(object) == last_changed_) changed_nothing_ = true;
}

// The first look at an object since it yielded is the one that matters.
void Bounded::note_look(Actor& actor, std::uint32_t slot, std::uint64_t changes) {
  const bool is_known = std::any_of(actor.read.begin(), actor.read.end(),
                                    [&](const Look& look) { return look.object == slot; });
  if (!is_known) actor.read.push_back({slot, changes});
  if (!actor.spins.look(slot, changes)) return;
  actor.read.assign(actor.spins.looks().begin(), actor.spins.looks().end());
  actor.waits_for_change = true;
}

// What the last operation has changed, now that it has happened.
void Bounded::settle() {
  const std::uint32_t slot = std::exchange(last_changed_, kNone);
  if (slot == kNone) return;
  Object& object = objects_[slot];
  Actor& actor = actors_[running_];
  if (changed_nothing_) {
    note_look(actor, slot, object.changes);
    return;
  }
  ++object.changes;
  actor.spins.clear();
  // Nobody waits for what he does himself.
  for (Look& look : actor.read) {
    if (look.object == slot) look.changes = object.changes;
  }
}

// --- who sleeps ---

bool Bounded::conflict(const Touch& a, const Touch& b) noexcept {
  if (a.place.part == Part::everything || b.place.part == Part::everything) return true;
  if (a.place != b.place) return false;
  if (a.does == b.does && a.does != Does::change) return false;
  return a.begin < b.end && b.begin < a.end;
}

void Bounded::log(const Touch& touch) {
  if (bounds_.preemptions != Bounds::kNone) return;
  if (free_running_ || probing_ || !bounds_.schedules || follow_rule_) return;
  log_.push_back(touch);
  std::erase_if(sleepers_, [&](const Sleeper& sleeper) {
    const std::vector<Touch>& did = nodes_[sleeper.node].did[sleeper.way].touches;
    return std::any_of(did.begin(), did.end(),
                       [&](const Touch& other) { return conflict(touch, other); });
  });
}

bool Bounded::sleeps(Id actor) const noexcept {
  return std::any_of(sleepers_.begin(), sleepers_.end(),
                     [&](const Sleeper& sleeper) { return sleeper.actor == actor; });
}

// The ways of a node before that one, which have been tried.
void Bounded::put_to_sleep(std::uint32_t number, std::uint32_t ways) {
  const Node& node = nodes_[number];
  for (std::uint32_t i = 0; i < ways; ++i) {
    const bool is_known = i < node.did.size() && node.did[i].is_known;
    if (is_known && !sleeps(node.ways[i].actor))
      sleepers_.push_back({node.ways[i].actor, number, i});
  }
}

void Bounded::end_recordings() {
  // What was given has been recorded.
  if (at_ < fixed_) recordings_.clear();
  for (const Recording& recording : recordings_) {
    Node& node = nodes_[recording.node];
    node.did.resize(std::max(node.did.size(), node.ways.size()));
    node.did[recording.way].is_known = true;
    std::vector<Touch>& did = node.did[recording.way].touches;
    for (std::size_t i = recording.from; i < log_.size(); ++i) {
      const Touch& touch = log_[i];
      const bool known = std::any_of(did.begin(), did.end(), [&](const Touch& other) {
        return other.place == touch.place && other.does == touch.does &&
               other.begin == touch.begin && other.end == touch.end;
      });
      if (!known) did.push_back(touch);
    }
  }
  recordings_.clear();
}

}   // namespace sim
