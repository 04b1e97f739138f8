#include "sim/states_seen.h"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include <sys/mman.h>

#include "engine/base/check.h"

namespace sim {
namespace {

// Address space, not memory: more than any machine has memory for.
constexpr std::size_t kReservedMax = std::size_t{1} << 36U;
constexpr std::uint64_t kCapacityMin = 1024;

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

StatesSeen::StatesSeen(Of whom) : of_{whom} {
  shared_ = reinterpret_cast<Shared*>(map(sizeof(Shared)));
  ENGINE_CHECK(shared_ != nullptr, "no memory for a search: {}",
               std::generic_category().message(errno));
  if (of_ == Of::all_forked) shared_->mutex.make();
  beginnings_ = make<Beginning>(0);
  classes_ = make<Class>(1);
}

StatesSeen::~StatesSeen() {
  munmap(beginnings_.entries, beginnings_.bytes);
  munmap(classes_.entries, classes_.bytes);
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
StatesSeen::Table<Entry> StatesSeen::make(std::size_t number) const {
  Table<Entry> table{.used = &shared_->used[number], .capacity = &shared_->capacity[number]};
  *table.capacity = kCapacityMin;
  table.bytes = kReservedMax;
  std::byte* at = map(table.bytes);
  for (; at == nullptr && table.bytes > kCapacityMin * sizeof(Entry); at = map(table.bytes))
    table.bytes /= 2;
  ENGINE_CHECK(at != nullptr, "no address space for a search: {}",
               std::generic_category().message(errno));
  table.entries = reinterpret_cast<Entry*>(at);
  return table;
}

template <typename Entry>
Entry& StatesSeen::Table<Entry>::slot(std::uint64_t key) const {
  std::uint64_t at = key & (*capacity - 1);
  while (entries[at].key != 0 && entries[at].key != key)
    at = (at + 1) & (*capacity - 1);
  return entries[at];
}

template <typename Entry>
Entry& StatesSeen::Table<Entry>::find(std::uint64_t key) {
  Entry* entry = &slot(key);
  if (entry->key == 0 && *used * 2 >= *capacity) {
    grow();
    entry = &slot(key);
  }
  return *entry;
}

template <typename Entry>
void StatesSeen::Table<Entry>::grow() {
  ENGINE_CHECK(*capacity * 2 * sizeof(Entry) <= bytes, "a search has seen {} states", *used);
  const std::vector<Entry> old(entries, entries + *capacity);
  std::memset(static_cast<void*>(entries), 0, *capacity * sizeof(Entry));
  *capacity *= 2;
  for (const Entry& entry : old) {
    if (entry.key != 0) slot(entry.key) = entry;
  }
}

template <typename Entry>
void StatesSeen::Table<Entry>::clear() {
  std::memset(static_cast<void*>(entries), 0, *capacity * sizeof(Entry));
  *used = 0;
  *capacity = kCapacityMin;
}

std::uint64_t StatesSeen::enter(std::uint64_t state, std::uint32_t preemptions,
                                std::uint64_t asleep) {
  const auto lock = guard();
  Beginning& seen = beginnings_.find(key_of(state));
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
  Class& known = classes_.find(key_of(hash));
  if (known.key != 0) return false;
  known.key = key_of(hash);
  ++shared_->used[1];
  return true;
}

std::uint64_t StatesSeen::states() const {
  const auto lock = guard();
  return shared_->used[0];
}

std::uint64_t StatesSeen::classes() const {
  const auto lock = guard();
  return shared_->used[1];
}

void StatesSeen::forget_states() {
  beginnings_.clear();
}

}   // namespace sim
