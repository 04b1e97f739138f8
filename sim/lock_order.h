// Finds locks that are taken in opposite orders, without the deadlock having to happen: if one
// fiber takes b while it holds a, and another a while it holds b, some schedule makes both wait for
// ever.
//
// Not reported: orders that one fiber alone makes; cycles whose every step is taken under one and
// the same further lock, which then orders them; cycles in which two meet at a lock that both only
// read; cycles of which two steps cannot be under way at once because one thread was joined before
// the other was started (thread_order.h). Steps that the schedule at hand ran one after the other
// for any other reason do count. A lock that was only tried is held, and others are taken after it,
// but it is never the one that somebody would wait for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/fiber/context.h"
#include "sim/actor.h"
#include "sim/call_stack.h"
#include "sim/finding.h"
#include "sim/thread_order.h"

namespace sim {

class Execution;

// Listens to the locks of one execution. Add it as a sink. It reports to the execution, which ends
// it, or only keeps in mind that there was something to report.
class LockOrder final : public engine::TraceSink {
 public:
  enum class Mode : bool { reports, remembers };
  explicit LockOrder(Execution& execution, Mode mode = Mode::reports)
      : execution_{execution}, mode_{mode} {
    threads_.reset();
  }
  ~LockOrder();   // hears nothing more
  LockOrder(const LockOrder&) = delete;
  LockOrder& operator=(const LockOrder&) = delete;

  void event(const engine::Event& event) noexcept override;
  // In this execution locks were taken in opposite orders.
  [[nodiscard]] bool has_seen() const noexcept { return has_seen_; }
  // Another execution.
  void reset() {
    has_seen_ = false;
    held_.clear();
    stacks_.clear();
    under_.clear();
    ways_.clear();
    orders_.clear();
    places_.clear();
    locks_.clear();
    threads_.reset();
  }

 private:
  static constexpr std::uint32_t kEnd = ~0U;
  struct Held {
    ActorId fiber;
    std::uint32_t lock = 0;
    const char* name = nullptr;   // the lock's own: there while it is held
    bool shared = false;
    std::source_location where;
    std::uint32_t stack = kEnd;   // in stacks_
  };
  // Somebody took `then` while holding `first`.
  struct Order {
    Held first;
    Held then;
    std::uint32_t under = 0;   // in under_: what else was held, sorted
    std::uint32_t under_count = 0;
    ThreadOrder::Stretch stretch = 0;   // of who took it
    const char* fiber_name = nullptr;   // these three outlive the execution's objects
    const char* first_name = nullptr;
    const char* then_name = nullptr;
    std::uint32_t next = kEnd;   // in ways_: another way of the same order
  };

  // All ways of one order that are kept: a few, which differ in fiber or in what else was held; of
  // those which differ only in stretch the first and the latest.
  struct Orders {
    std::uint32_t first = 0;     // held
    std::uint32_t then = 0;      // taken
    std::uint32_t next = kEnd;   // with the same lock held
    std::uint32_t way = kEnd;    // in ways_: the first
    std::uint32_t ways = 0;      // but for those of another stretch
  };
  // What is known of a lock.
  struct Lock {
    std::uint32_t orders = kEnd;   // the latest in which it was held
    std::uint32_t seen = 0;        // by the look with that number
    bool was_then = false;         // it was taken while another was held
  };

  void taken(const engine::Event& event, bool shared);
  void released(const engine::Event& event) noexcept;
  void add(const Held& first, const Held& then);
  [[nodiscard]] Orders& order_of(std::uint32_t first, std::uint32_t then);
  // Adds it: which of ways_ it is. kEnd: it says what is known, or there is no room.
  std::uint32_t note_way(Orders& orders, const Held& first, const Held& then);
  [[nodiscard]] const char* keep(const char* name);
  void make_room();
  // The orders in which that lock was held, by the one taken.
  [[nodiscard]] std::vector<const Orders*> orders_of(std::uint32_t lock) const;
  [[nodiscard]] Lock& lock(std::uint32_t id);
  [[nodiscard]] std::span<const std::uint32_t> under(const Order& order) const {
    return std::span{under_}.subspan(order.under, order.under_count);
  }
  [[nodiscard]] bool leads_to(std::uint32_t from, std::uint32_t to);
  // A way from `from` to `to` that could go with what is on `way` already; extends it. Cycles of
  // more than a few locks are not looked for.
  bool find_way(std::uint32_t from, std::uint32_t to, std::vector<const Order*>& way);
  [[nodiscard]] bool could_meet(const std::vector<const Order*>& cycle);
  [[nodiscard]] Finding describe(const std::vector<const Order*>& cycle) const;

  Execution& execution_;
  const Mode mode_;
  bool has_seen_ = false;
  std::vector<Held> held_;          // by all fibers, which hold few: in the order they were taken
  std::vector<CallStack> stacks_;   // where they were taken, in traced executions
  std::vector<Order> ways_;
  std::vector<std::uint32_t> under_;   // locks
  std::vector<Orders> orders_;
  std::vector<std::uint32_t> places_;   // of orders_, from 1: open addressing; 0: free
  std::vector<Lock> locks_;             // by id
  ThreadOrder threads_;
  std::uint32_t looks_ = 0;
  std::vector<std::uint32_t> left_;   // kept for its memory
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept {
      return std::hash<std::string_view>{}(name);
    }
  };
  std::unordered_set<std::string, NameHash, std::equal_to<>> names_;   // of all executions
  // The last that were kept, by where they stood: most names are literals.
  struct Kept {
    const char* given = nullptr;
    const char* kept = nullptr;
  };
  static constexpr std::size_t kKept = 128;
  std::array<Kept, kKept> kept_{};
};

}   // namespace sim
