// The optimal search: objects that are taken for one, because some step has to do with both.
//
// What it knows of objects is that an event is of one. Where that is not enough, the objects become
// one, for the whole search, which begins anew: then all that is done to either is ordered, which
// is more than need be and never too little.
#include <algorithm>

#include "sim/strategy_dpor.h"

namespace sim {

std::uint32_t Dpor::slot_of(std::uint32_t id) {
  constexpr std::uint32_t kQuiet = engine::SyncObject::kQuietId;
  const std::uint32_t slot = (id & kQuiet) != 0 ? (id & ~kQuiet) * 2 + 1 : id * 2;
  if (objects_.size() <= slot) objects_.resize(slot + 1);
  return slot;
}

std::uint32_t Dpor::whole(std::uint32_t slot) const noexcept {
  while (objects_[slot].same_as != kNone)
    slot = objects_[slot].same_as;
  return slot;
}

void Dpor::unite(std::uint32_t a, std::uint32_t b) {
  a = whole(a);
  b = whole(b);
  if (a == b) return;
  objects_[std::max(a, b)].same_as = std::min(a, b);
  objects_[a].is_one_of_several = objects_[b].is_one_of_several = true;
  objects_[std::min(a, b)].is_never_just_looked_at |=
      objects_[std::max(a, b)].is_never_just_looked_at;
  united_ = true;
}

// State that steps use in passing, beside the objects of their operations: where several fibers do,
// those objects are one with it.
void Dpor::touched(const SimFiber& /*self*/, const engine::SyncObject& object,
                   engine::Access access) {
  if (free_running_) return;
  const std::uint32_t slot = slot_of(object.id);
  const std::uint32_t from = step_ == kNone ? kNone : run_.events[step_].object;
  if (from == slot) return;
  const auto note = [](auto& list, auto value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
  };
  Object& state = objects_[slot];
  note(state.touched_by, running_);
  note(state.touched_from, from);
  state.touched_by_write |= access != engine::Access::read;
  unite_touched(slot);
  if (from == kNone && is_shared(state)) ++unordered_[object.name];
}

bool Dpor::is_shared(const Object& object) noexcept {
  if (object.touched_from.empty()) return false;
  return object.is_operated_on || (object.touched_by.size() > 1 && object.touched_by_write);
}

void Dpor::unite_touched(std::uint32_t slot) {
  if (!is_shared(objects_[slot])) return;
  for (const std::uint32_t from : objects_[slot].touched_from) {
    if (from != kNone) unite(slot, from);
  }
  // A step that looks at one and changes the other in passing is a change.
  Object& all = objects_[whole(slot)];
  if (!objects_[slot].touched_by_write || all.is_never_just_looked_at) return;
  all.is_never_just_looked_at = united_ = true;
}

// --- what a fiber waits for by looking again ---

// Of changes to several objects that it looked at, the first lets it go on. Which is the first has
// to be a matter of order, if different fibers make them.
void Dpor::note_waits_for(Id id) {
  std::vector<std::uint32_t> slots;
  for (const Look& look : fibers_[id].read) {
    if (std::find(slots.begin(), slots.end(), look.object) == slots.end())
      slots.push_back(look.object);
  }
  if (slots.size() < 2) return;
  std::sort(slots.begin(), slots.end());
  std::pair<Id, std::vector<std::uint32_t>> waited{id, std::move(slots)};
  if (std::find(waited_for_.begin(), waited_for_.end(), waited) != waited_for_.end()) return;
  waited_for_.push_back(std::move(waited));
  unite_waited_for();
}

void Dpor::note_changed_by(std::uint32_t slot, Id fiber) {
  std::vector<Id>& by = objects_[slot].changed_by;
  if (std::find(by.begin(), by.end(), fiber) != by.end()) return;
  by.push_back(fiber);
  if (!waited_for_.empty()) unite_waited_for();
}

void Dpor::unite_waited_for() {
  for (const auto& [waiter, slots] : waited_for_) {
    const auto race = [&, who = waiter](std::uint32_t a, std::uint32_t b) {
      for (const Id one : objects_[a].changed_by) {
        for (const Id other : objects_[b].changed_by) {
          if (one != other && one != who && other != who) return true;
        }
      }
      return false;
    };
    for (std::size_t i = 0; i < slots.size(); ++i) {
      for (std::size_t j = i + 1; j < slots.size(); ++j) {
        if (race(slots[i], slots[j])) unite(slots[i], slots[j]);
      }
    }
  }
}

}   // namespace sim
