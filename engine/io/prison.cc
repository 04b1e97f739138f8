#include "engine/io/prison.h"

#include <bit>
#include <tuple>

#include "engine/base/check.h"

namespace engine::io {
namespace {

// Cells with equal groups are ordered by their beginnings and do not overlap.
auto group_of(const CellKey& key) noexcept {
  return std::tuple{key.kind, key.thin};
}

struct KeyBefore {
  bool operator()(const CellKey& key, const Cell& cell) const noexcept {
    return std::tuple{group_of(key), key.begin} <
           std::tuple{group_of(cell.key()), cell.key().begin};
  }
};

std::uint64_t kind_and_thin(const CellKey& key) noexcept {
  return static_cast<std::uint64_t>(key.kind) << 32U | key.thin.value();
}

}   // namespace

bool Prison::Order::operator()(const Cell& a, const Cell& b) const noexcept {
  return KeyBefore{}(a.key(), b);
}

Prison::Prison(const char* name, std::uint64_t range_blocks_max)
    : object_{ObjectKind::cell, name}, range_blocks_max_{range_blocks_max} {
  ENGINE_CHECK(std::has_single_bit(range_blocks_max), "{}: windows of {} blocks", name,
               range_blocks_max);
}

Prison::~Prison() {
  ENGINE_CHECK_ALIVE(held() == 0, "{}: destroyed with {} cells held", object_.name, held());
}

// Keys that may overlap lie in the same window, and so meet in the same shard.
Prison::Shard& Prison::shard_of(const CellKey& key) noexcept {
  ENGINE_CHECK(key.begin < key.end, "{}: an empty range at {}", object_.name, key.begin);
  const std::uint64_t window = key.begin / range_blocks_max_;
  ENGINE_CHECK(window == (key.end - 1) / range_blocks_max_,
               "{}: blocks {} to {} lie in more than one window", object_.name, key.begin, key.end);
  const std::uint64_t mixed = (window ^ kind_and_thin(key) << 20U) * 0x9e3779b97f4a7c15U;
  return shards_[mixed >> 60U];
}

Cell* Prison::find_overlap(Tree& cells, const CellKey& key) noexcept {
  const auto after = cells.upper_bound(key, KeyBefore{});
  if (after != cells.begin()) {
    Cell& before = *std::prev(after);
    if (group_of(before.key_) == group_of(key) && before.key_.end > key.begin) return &before;
  }
  if (after != cells.end() && group_of(after->key_) == group_of(key) && after->key_.begin < key.end)
    return &*after;
  return nullptr;
}

void Prison::claim(Tree& cells, const CellKey& key, Bio* holder, Cell& memory,
                   std::source_location where) {
  memory.key_ = key;
  memory.holder_ = holder;
  memory.held_ = true;
  const bool inserted = cells.insert(memory).second;
  ENGINE_CHECK(inserted, "{}: block {} is claimed twice", object_.name, key.begin);
  trace_event(OpKind::cell_detain, &object_, where, kind_and_thin(key), key.begin, 1);
}

Prison::Detained Prison::detain(const CellKey& key, Bio& bio, Cell& memory,
                                std::source_location where) {
  return detain_with(key, bio, memory, nullptr, nullptr, where);
}

Prison::Detained Prison::detain_with(const CellKey& key, Bio& bio, Cell& memory,
                                     GiveBackMemory give_back, void* argument,
                                     std::source_location where) {
  ENGINE_CHECK_ALIVE(!memory.held_, "{}: the memory of a cell in use is offered", object_.name);
  Shard& shard = shard_of(key);
  const SpinGuard guard{shard.lock, where};
  if (Cell* const other = find_overlap(shard.cells, key); other != nullptr) {
    other->inmates_.push_back(bio);
    trace_event(OpKind::cell_detain, &object_, where, kind_and_thin(key), key.begin, 0);
    if (give_back != nullptr) give_back(argument);
    return Detained::inmate;
  }
  claim(shard.cells, key, &bio, memory, where);
  return Detained::holder;
}

bool Prison::try_lock(const CellKey& key, Cell& memory, std::source_location where) {
  ENGINE_CHECK_ALIVE(!memory.held_, "{}: the memory of a cell in use is offered", object_.name);
  Shard& shard = shard_of(key);
  const SpinGuard guard{shard.lock, where};
  if (find_overlap(shard.cells, key) != nullptr) return false;
  claim(shard.cells, key, nullptr, memory, where);
  return true;
}

void Prison::unlink(Shard& shard, Cell& cell, std::source_location where) {
  shard.cells.erase(shard.cells.iterator_to(cell));
  cell.held_ = false;
  cell.holder_ = nullptr;
  trace_event(OpKind::cell_release, &object_, where, kind_and_thin(cell.key_), cell.key_.begin);
}

void Prison::release(Cell& cell, BioList& bios, std::source_location where) {
  ENGINE_CHECK_ALIVE(cell.held_, "{}: a cell is released that is not held", object_.name);
  Shard& shard = shard_of(cell.key_);
  const SpinGuard guard{shard.lock, where};
  bios.splice(bios.end(), cell.inmates_);
  unlink(shard, cell, where);
}

void Prison::release_all(Cell& cell, BioList& bios, std::source_location where) {
  ENGINE_CHECK_ALIVE(cell.held_, "{}: a cell is released that is not held", object_.name);
  // A claim's holder changes only under its claim, and that is the caller's.
  if (cell.holder_ != nullptr) {
    ENGINE_CHECK_ALIVE(!cell.holder_->submitted, "{}: the holder is in flight", object_.name);
    bios.push_back(*cell.holder_);
  }
  release(cell, bios, where);
}

void Prison::visit_release_with(Cell& cell, VisitBios visit, void* argument,
                                std::source_location where) {
  ENGINE_CHECK_ALIVE(cell.held_, "{}: a cell is released that is not held", object_.name);
  Shard& shard = shard_of(cell.key_);
  const SpinGuard guard{shard.lock, where};
  BioList bios;
  bios.splice(bios.end(), cell.inmates_);
  visit(argument, bios);
  ENGINE_CHECK(bios.empty(), "{}: inmates of block {} were left behind", object_.name,
               cell.key_.begin);
  unlink(shard, cell, where);
}

bool Prison::promote_or_release(Cell& cell, std::source_location where) {
  ENGINE_CHECK_ALIVE(cell.held_, "{}: a cell is released that is not held", object_.name);
  ENGINE_CHECK(cell.key_.end - cell.key_.begin == 1, "{}: a range cell is handed on", object_.name);
  Shard& shard = shard_of(cell.key_);
  const SpinGuard guard{shard.lock, where};
  if (cell.inmates_.empty()) {
    unlink(shard, cell, where);
    return false;
  }
  cell.holder_ = &cell.inmates_.front();
  cell.inmates_.pop_front();
  trace_event(OpKind::cell_detain, &object_, where, kind_and_thin(cell.key_), cell.key_.begin, 1);
  return true;
}

std::size_t Prison::held() const noexcept {
  std::size_t cells = 0;
  for (const Shard& shard : shards_)
    cells += shard.cells.size();
  return cells;
}

}   // namespace engine::io
