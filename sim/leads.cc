#include "sim/leads.h"

#include <algorithm>

namespace sim {

namespace {
// Completions and timers count from far above; sharing an entry with somebody else makes a lead
// that leads nowhere, and no harm.
constexpr std::size_t kFibers = 1024;
}   // namespace

void Leads::begin() {
  ++execution_;
  seen_.clear();
  for (std::vector<Pair>& each : reads_)
    each.clear();
}

void Leads::happens(const SimFiber& fiber, EventId id, bool reads, EventId write) {
  const std::size_t who = fiber.id.value() % kFibers;
  if (reads_.size() <= who) reads_.resize(who + 1);
  if (seen_in_.size() <= id) seen_in_.resize(std::size_t{id} + 1);
  if (seen_in_[id] != execution_) {
    seen_in_[id] = execution_;
    seen_.push_back(
        {id, static_cast<std::uint32_t>(who), static_cast<std::uint32_t>(reads_[who].size())});
  }
  if (reads) reads_[who].push_back({.read = id, .write = write});
}

Leads::Way Leads::way_to(const Seen& seen, const Contention& contention) const {
  Way way;
  const std::vector<Pair>& reads = reads_[seen.fiber];
  for (std::size_t i = seen.reads; i-- > 0 && way.count != kPairsMax;) {
    if (contention.contended(reads[i].read)) way.pairs[way.count++] = reads[i];
  }
  return way;
}

void Leads::remember(const Contention& contention) {
  events_.resize(std::max(events_.size(), seen_in_.size()));
  for (const Seen& seen : seen_) {
    Event& event = events_[seen.event];
    const Way way = way_to(seen, contention);
    if (!event.known) event.ways[0] = way;
    if (!event.known || way != event.ways[0]) event.ways[1] = way;
    event.known = true;
  }
}

std::span<const Leads::Pair> Leads::to(EventId event, std::uint32_t way) const noexcept {
  if (event >= events_.size()) return {};
  const Way& its = events_[event].ways[way];
  return {its.pairs.data(), its.count};
}

}   // namespace sim
