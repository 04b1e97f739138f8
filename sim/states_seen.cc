#include "sim/states_seen.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>
#include <vector>

#include <sys/mman.h>

#include "engine/base/check.h"

namespace sim {
namespace {

constexpr std::uint64_t kCapacityMin = 1024;
constexpr std::uint64_t kCapacityLeast = 16;   // whatever may be used
// Of both tables, for each place of one: their entries, and what growing takes meanwhile, which is
// half of the old places at two thirds of the new, at most.
constexpr std::uint64_t kBytesAPlace = 40;

// 0 marks a place that is free.
std::uint64_t key_of(std::uint64_t hash) noexcept {
  return hash != 0 ? hash : 1;
}

}   // namespace

// Where a process died with the table in its hands, what it left is whole enough: an entry at most
// is missing, which is then searched once more.
std::unique_lock<ProcessMutex> StatesSeen::guard() const {
  return of_ == Of::all_forked ? std::unique_lock{shared_->mutex}
                               : std::unique_lock{shared_->mutex, std::defer_lock};
}

StatesSeen::StatesSeen(Of whom, std::uint64_t bytes_max) : of_{whom} {
  static_assert(sizeof(Beginning) + sizeof(Beginning) / 3 + sizeof(Class) <= kBytesAPlace);
  const std::uint64_t capacity_max = std::max(bytes_max / kBytesAPlace, kCapacityLeast);
  shared_ = reinterpret_cast<Shared*>(map(sizeof(Shared)));
  ENGINE_CHECK(shared_ != nullptr, "no memory for a search: {}",
               std::generic_category().message(errno));
  if (of_ == Of::all_forked) shared_->mutex.make();
  beginnings_ = make<Beginning>(0, capacity_max);
  classes_ = make<Class>(1, capacity_max);
}

StatesSeen::~StatesSeen() {
  munmap(beginnings_.entries, beginnings_.capacity_max * sizeof(Beginning));
  munmap(classes_.entries, classes_.capacity_max * sizeof(Class));
  munmap(shared_, sizeof(Shared));
}

std::byte* StatesSeen::map(std::size_t bytes) const {
  const int sharing = of_ == Of::all_forked ? MAP_SHARED : MAP_PRIVATE;
  void* const at =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

// As much as may be had.
template <typename Entry>
StatesSeen::Table<Entry> StatesSeen::make(std::size_t number, std::uint64_t capacity_max) const {
  Table<Entry> table{.used = &shared_->used[number], .capacity = &shared_->capacity[number]};
  table.capacity_max = capacity_max;
  std::byte* at = map(table.capacity_max * sizeof(Entry));
  for (; at == nullptr && table.capacity_max > kCapacityMin;
       at = map(table.capacity_max * sizeof(Entry)))
    table.capacity_max /= 2;
  ENGINE_CHECK(at != nullptr, "no address space for a search: {}",
               std::generic_category().message(errno));
  *table.capacity = table.capacity_min();
  table.entries = reinterpret_cast<Entry*>(at);
  return table;
}

template <typename Entry>
std::uint64_t StatesSeen::Table<Entry>::capacity_min() const {
  return std::min(kCapacityMin, capacity_max);
}

template <typename Entry>
Entry& StatesSeen::Table<Entry>::slot(std::uint64_t key) const {
  std::uint64_t at = key % *capacity;
  while (entries[at].key != 0 && entries[at].key != key)
    at = at + 1 != *capacity ? at + 1 : 0;
  return entries[at];
}

template <typename Entry>
Entry* StatesSeen::Table<Entry>::find(std::uint64_t key) {
  Entry* const entry = &slot(key);
  if (entry->key != 0 || *used * 2 < *capacity) return entry;
  if (grow()) return &slot(key);
  return *used * 4 < *capacity * 3 ? entry : nullptr;
}

// By less than a half it is not worth the while.
template <typename Entry>
bool StatesSeen::Table<Entry>::grow() {
  const std::uint64_t larger = std::min(*capacity * 2, capacity_max);
  if (larger < *capacity + *capacity / 2) return false;
  std::vector<Entry> old;
  old.reserve(*used);
  std::copy_if(entries, entries + *capacity, std::back_inserter(old),
               [](const Entry& entry) { return entry.key != 0; });
  std::memset(static_cast<void*>(entries), 0, *capacity * sizeof(Entry));
  *capacity = larger;
  for (const Entry& entry : old)
    slot(entry.key) = entry;
  return true;
}

template <typename Entry>
void StatesSeen::Table<Entry>::clear() {
  std::memset(static_cast<void*>(entries), 0, *capacity * sizeof(Entry));
  *used = 0;
  *capacity = capacity_min();
}

std::uint64_t StatesSeen::enter(std::uint64_t state, std::uint32_t preemptions,
                                std::uint64_t asleep) {
  const auto lock = guard();
  Beginning* const known = beginnings_.find(key_of(state));
  if (known == nullptr) {
    ++shared_->forgotten.states;
    return ~asleep;
  }
  Beginning& seen = *known;
  if (seen.key == 0 || seen.preemptions > preemptions) {
    if (seen.key == 0) ++shared_->used[0];
    seen = {.key = key_of(state), .asleep = asleep, .preemptions = preemptions};
    return ~asleep;
  }
  const std::uint64_t wanted = seen.asleep & ~asleep;
  if (seen.preemptions == preemptions) seen.asleep &= asleep;
  return wanted;
}

bool StatesSeen::add_class(std::uint64_t hash) {
  const auto lock = guard();
  Class* const known = classes_.find(key_of(hash));
  if (known == nullptr) {
    ++shared_->forgotten.classes;
    return true;
  }
  if (known->key != 0) return false;
  known->key = key_of(hash);
  ++shared_->used[1];
  return true;
}

std::uint64_t StatesSeen::states() const {
  const auto lock = guard();
  return shared_->used[0];
}

std::uint64_t StatesSeen::classes() const {
  const auto lock = guard();
  return shared_->used[1] + shared_->forgotten.classes;
}

StatesSeen::Forgotten StatesSeen::forgotten() const {
  const auto lock = guard();
  return shared_->forgotten;
}

void StatesSeen::forget_states() {
  beginnings_.clear();
  shared_->forgotten.states = 0;
}

}   // namespace sim
