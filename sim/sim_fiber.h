// A fiber of the tank, with what the scheduler keeps about it. Recycled with its stack.
#pragma once

#include <cstdint>
#include <source_location>
#include <vector>

#include "engine/fiber/fiber.h"
#include "sim/actor.h"
#include "sim/call_stack.h"
#include "sim/operation.h"

namespace sim {

class SimFiber final : public engine::Fiber {
 public:
  using Fiber::Fiber;

  enum class State : std::uint8_t { ended, runnable, parked, spinning };

  ActorId id;
  State state = State::ended;
  bool yielded = false;      // gave way: the rule prefers everybody else
  std::uint64_t turn = 0;    // in a fair end: its last one; 0: it has had none
  std::uint32_t steps = 0;   // decisions made while it ran
  std::uint32_t index = 0;   // among the runnable
  std::uint32_t kind = 0;    // fiber_kinds.h
  std::uint32_t birth = 0;   // how many fibers of whatever kind were started before, and the root
  // What it is about to do, if it stands at a point; on its own stack.
  const engine::Point* pending = nullptr;
  engine::Point waiting{};   // parked or spinning: for what
  CallStack stands;          // and where; in traced executions
  // What it has locked to read, and units of semaphores, in the order they were taken.
  struct Share {
    std::uint32_t object = 0;   // its id
    std::source_location since;
  };
  std::vector<Share> shares;
  // Completed as the last thing it does; null: nothing known to be.
  const engine::SyncObject* ends_with = nullptr;
  // What it does when it goes on, while it is runnable.
  Operation next{};
  // Nobody can notice when it does: it is on its way to its next operation, starts another fiber,
  // opens a gate or waits at one, where who waits says the same.
  bool unnoticed = false;
  // Of a completion: whom it interrupted. Valid if that one still has this id.
  SimFiber* interrupted = nullptr;
  ActorId interrupted_id;
  // --- The strategy's own. ---
  std::uint64_t priority = 0;
  std::uint32_t replay_cursor = 0;
  std::uint32_t replay_step = 0;
  std::uint32_t event_step = ~0U;   // contention.h: at which step it was about to do that
  std::uint16_t event = 0;
};

}   // namespace sim
