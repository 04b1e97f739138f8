#include "sim/reads_from.h"

namespace sim {

using engine::Point;

ReadsFrom::ReadsFrom(Contention& contention)
    : contention_{contention}, cells_(kCells), combinations_(kCombinationBits / 64) {}

void ReadsFrom::begin() {
  ++execution_;
  touched_.clear();
}

ReadsFrom::Object& ReadsFrom::object(const engine::SyncObject& object) {
  if (objects_.size() <= object.id) objects_.resize(object.id + 64);
  Object& state = objects_[object.id];
  if (state.execution != execution_) state = {execution_, Contention::kNone};
  return state;
}

ReadsFrom::EventId ReadsFrom::last_write(const engine::SyncObject& object) {
  return this->object(object).last_write;
}

std::size_t ReadsFrom::cell_of(Pair pair) noexcept {
  return KeyIndex::mixed(std::uint64_t{pair.read} << 16U | pair.write) % kCells;
}

void ReadsFrom::happens(EventId event, const Point& point) {
  if (!Contention::is_event(event)) return;
  const Contention::Role role = contention_.role_of(event);
  Object& state = object(*point.object);
  if (role.reads) note({event, state.last_write});
  if (role.writes) state.last_write = event;
}

void ReadsFrom::note(Pair pair) {
  if (latest_.size() <= pair.read) latest_.resize(std::size_t{pair.read} + 1);
  Object& latest = latest_[pair.read];
  if (latest.execution == execution_ && latest.last_write == pair.write) return;
  latest = {execution_, pair.write};
  Cell& cell = cells_[cell_of(pair)];
  if (cell.execution == execution_) return;
  cell.execution = execution_;
  touched_.push_back(pair);
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
  const std::size_t bit = KeyIndex::mixed(sum) % kCombinationBits;
  std::uint64_t& word = combinations_[bit / 64];
  novelty_.combination = (word >> bit % 64 & 1U) == 0;
  word |= std::uint64_t{1} << bit % 64;
  return novelty_;
}

}   // namespace sim
