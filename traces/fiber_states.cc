#include "traces/fiber_states.h"

#include <algorithm>

namespace traces {

FiberStates::FiberStates(const Trace& trace) {
  std::size_t next = 0;
  for (std::size_t i = 0; i <= trace.events.size(); ++i) {
    for (; next < trace.decisions.size() && trace.decisions[next].events_before <= i; ++next) {
      const Decision& d = trace.decisions[next];
      if (d.kind != "run") continue;
      if (d.put_aside) set(d.from, 2 * i, FiberState::aside);
      run(d.to, 2 * i);
    }
    if (i == trace.events.size()) break;
    const Event& e = trace.events[i];
    run(e.fiber, 2 * i + 1);
    const auto named = static_cast<std::uint32_t>(e.a);
    if (e.op == "fiber_park") {
      set(e.fiber, 2 * i + 1, FiberState::waiting);
    } else if (e.op == "fiber_exit") {
      set(e.fiber, 2 * i + 1, FiberState::absent);
    } else if (e.op == "fiber_spawn" || e.op == "fiber_unpark") {
      set(named, 2 * i + 1, FiberState::ready);
    }
  }
}

void FiberStates::set(std::uint32_t fiber, std::size_t position, FiberState state) {
  std::vector<Change>& changes = changes_[fiber];
  if (changes.empty() || changes.back().state != state) changes.push_back({position, state});
}

void FiberStates::run(std::uint32_t fiber, std::size_t position) {
  if (fiber == current_) {
    // A fiber that parked and found itself woken goes on.
    set(fiber, position, FiberState::running);
    return;
  }
  if (current_ != 0) {
    const std::vector<Change>& before = changes_[current_];
    if (!before.empty() && before.back().state == FiberState::running)
      set(current_, position, FiberState::ready);
  }
  current_ = fiber;
  set(fiber, position, FiberState::running);
}

FiberState FiberStates::between(std::uint32_t fiber, std::size_t from, std::size_t to) const {
  const auto found = changes_.find(fiber);
  if (found == changes_.end()) return FiberState::absent;
  const std::vector<Change>& changes = found->second;
  // The first change after `from`.
  auto change = std::upper_bound(
      changes.begin(), changes.end(), from,
      [](std::size_t wanted, const Change& each) { return wanted < each.position; });
  const FiberState first = change == changes.begin() ? FiberState::absent : (change - 1)->state;
  for (; change != changes.end() && change->position < to; ++change) {
    if (change->state == FiberState::running) return FiberState::running;
  }
  return first;
}

}   // namespace traces
