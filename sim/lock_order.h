// Finds locks that are taken in opposite orders, without the deadlock having to happen: if one
// fiber takes b while it holds a, and another a while it holds b, some schedule makes both wait for
// ever.
//
// Not reported: orders that one fiber alone makes; cycles whose every step is taken under one and
// the same further lock, which then orders them; cycles in which two meet at a lock that both only
// read. Does not see: orders that starting and joining make impossible, which it reports all the
// same; try_lock that backs off.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <source_location>
#include <string>
#include <vector>

#include "engine/fiber/context.h"
#include "sim/actor.h"
#include "sim/call_stack.h"
#include "sim/finding.h"

namespace sim {

class Execution;

// Listens to the locks of one execution. Add it as a sink; it reports to the execution.
class LockOrder final : public engine::TraceSink {
 public:
  explicit LockOrder(Execution& execution) noexcept : execution_{execution} {}
  ~LockOrder();   // hears nothing more
  LockOrder(const LockOrder&) = delete;
  LockOrder& operator=(const LockOrder&) = delete;

  void event(const engine::Event& event) noexcept override;
  // Another execution.
  void reset() {
    held_.clear();
    orders_.clear();
  }

 private:
  struct Held {
    ActorId fiber;
    std::uint32_t lock = 0;
    const char* name = nullptr;   // the lock's own: there while it is held
    bool shared = false;
    std::source_location where;
    CallStack stack{};   // in traced executions
  };
  // Somebody took `then` while holding `first`.
  struct Order {
    Held first;
    Held then;
    std::set<std::uint32_t> under;   // what else was held
    std::string fiber_name{};        // these three outlive the execution's objects
    std::string first_name{};
    std::string then_name{};
  };

  void taken(const engine::Event& event, bool shared);
  void released(const engine::Event& event) noexcept;
  void add(const Held& first, const Held& then);
  [[nodiscard]] bool leads_to(std::uint32_t from, std::uint32_t to) const;
  // A way from `from` to `to` that could go with what is on `way` already; extends it. Cycles of
  // more than a few locks are not looked for.
  bool find_way(std::uint32_t from, std::uint32_t to, std::vector<const Order*>& way) const;
  [[nodiscard]] static bool could_meet(const std::vector<const Order*>& cycle);
  [[nodiscard]] static Finding describe(const std::vector<const Order*>& cycle);

  Execution& execution_;
  std::vector<Held> held_;   // by all fibers, which hold few: in the order they were taken
  // By the lock held, then the one taken: a few ways of each order, which differ in fiber or in
  // what else was held.
  std::map<std::uint32_t, std::map<std::uint32_t, std::vector<Order>>> orders_;
};

}   // namespace sim
