// What the sampling strategies have in common: which operations are worth a decision, and the
// priorities that operations draw.
#pragma once

#include <cstdint>

#include "sim/contention.h"
#include "sim/operation.h"
#include "sim/rng.h"
#include "sim/strategy.h"

namespace sim {

// False where all that fiber `index` could do now is to queue: picking it would be no decision.
[[nodiscard]] inline bool can_go_on(const Choices& choices, std::uint32_t index) noexcept {
  const SimFiber& fiber = *choices.fibers[index];
  const Operation::Kind kind = fiber.next.kind;
  if (kind != Operation::Kind::acquire) return true;
  return could_go_on(fiber, choices.about_to(fiber));
}

// Index of a fiber that goes on before anything is decided, since nobody could notice when it did.
// None: choices.size(). Who starts another comes first: a fiber that competed with those it starts,
// at every start, would hardly ever have all of them together, as the first are done when the last
// is started. What fibers do on their way may matter after all, if it is no operation, so it should
// not always come in one order: it is looked for from a place on that `random` gives.
[[nodiscard]] std::uint32_t unnoticed(const Choices& choices, std::uint32_t random) noexcept;
// The same, or one that can go on with an operation that others do not contend for.
[[nodiscard]] std::uint32_t unnoticed(const Choices& choices, std::uint32_t random,
                                      Contention& contention);

// What to begin with as long as nothing is known of a program: everybody takes a step in turn, who
// was started last first, then the environment, and so on. It is the least like what a program does
// by itself, and has all fibers meet.
class Rounds {
 public:
  void begin() noexcept { last_ = kNobody; }
  [[nodiscard]] std::uint32_t pick(const Choices& choices) noexcept;

 private:
  static constexpr ActorId kNobody{ActorKind::step, ~0U, ~0U};
  // Of those that can go on; none: choices.size().
  [[nodiscard]] std::uint32_t youngest_before_last(const Choices& choices) const noexcept;
  ActorId last_ = kNobody;   // who had its turn in this round
};

// Priorities of operations, as partial-order sampling draws them. The highest one is next; whoever
// has none, which is 0, draws one. Of a crowd of n each draws one that is the higher the less
// often: its best is distributed like that of one fiber.
class Priorities {
 public:
  // One of these, unless it draws.
  static constexpr std::uint64_t kNone = 0;
  static constexpr std::uint64_t kLast = 1;

  explicit Priorities(Rng& rng) noexcept : rng_{rng} {}
  // `contention`: what does not matter is no decision; null: all may.
  void begin(bool by_kind, Contention* contention = nullptr) noexcept {
    by_kind_ = by_kind;
    contention_ = contention;
  }
  static void started(SimFiber& fiber) noexcept { fiber.priority = kNone; }

  // Who goes on: unnoticed, else by priority. `held_back(fiber, point)` is asked of each fiber that
  // could; whoever is held back goes on when nobody else can. The operation of the one picked
  // happens: it and those that race with it will draw anew.
  template <typename HeldBack>
  std::uint32_t pick(const Choices& choices, HeldBack held_back);

 private:
  static constexpr std::uint32_t kRareOneIn = 64;
  struct Best {
    std::uint32_t index;
    std::uint64_t priority = 0;
    void see(std::uint32_t i, std::uint64_t its) noexcept {
      if (its <= priority) return;
      index = i;
      priority = its;
    }
  };

  [[nodiscard]] std::uint64_t draw(std::uint32_t crowd) noexcept;
  // Whoever yields waits until somebody else has gone on, and then has the chances of all others;
  // whoever has had its turn (schedule.h) comes last.
  [[nodiscard]] static bool gives_way(const Choices& choices, SimFiber& fiber) noexcept {
    if (&fiber != &choices.self || !choices.self_runnable || choices.fallback == fiber.index)
      return false;
    if (!fiber.yielded) fiber.priority = kLast;
    return fiber.yielded;
  }
  // A step that happens though it need not; none: choices.size().
  void see_steps(const Choices& choices, Best& best);
  void happens(const Choices& choices, std::uint32_t index) noexcept;

  Rng& rng_;
  Contention* contention_ = nullptr;
  bool by_kind_ = false;
};

template <typename HeldBack>
std::uint32_t Priorities::pick(const Choices& choices, HeldBack held_back) {
  if (choices.unnoticed != 0 || contention_ != nullptr) {
    const std::uint32_t random = rng_.next();
    const std::uint32_t first = contention_ != nullptr ? unnoticed(choices, random, *contention_)
                                                       : unnoticed(choices, random);
    if (first != choices.size()) {
      choices.fibers[first]->priority = kNone;
      return first;
    }
  }
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  Best best{choices.size()};
  Best held{choices.size()};
  Best queues{choices.size()};
  for (std::uint32_t i = 0; i < fibers; ++i) {
    SimFiber& fiber = *choices.fibers[i];
    if (fiber.priority == kNone) fiber.priority = draw(by_kind_ ? choices.kinds.live(fiber) : 1);
    if (!can_go_on(choices, i) || gives_way(choices, fiber)) {
      queues.see(i, fiber.priority);
    } else if (held_back(fiber, choices.about_to(fiber))) {
      held.see(i, fiber.priority);
    } else {
      best.see(i, fiber.priority);
    }
  }
  if (!choices.steps.empty()) see_steps(choices, best);
  if (best.index == choices.size()) best = held;
  if (best.index == choices.size()) best = queues;
  if (best.index == choices.size()) best.index = choices.fallback;
  if (choices.self.yielded) choices.self.priority = kNone;
  if (best.index < fibers) happens(choices, best.index);
  return best.index;
}

}   // namespace sim
