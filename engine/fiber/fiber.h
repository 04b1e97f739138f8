// One stackful fiber, and the only place that switches stacks or tells the sanitizers about it.
//
// A Fiber belongs to one executor and one OS thread for life. Executors recycle Fibers together
// with their stacks; they are never freed while their executor lives, so a late unpark of a fiber
// that has ended meets valid memory (and is at worst a spurious wake-up of its successor).
//
// Nothing unwinds a suspended fiber: an execution that ends early (a finding in the tank) abandons
// its stacks, and the process that ran it is recycled (docs/decisions/0002-no-unwinding.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include <boost/intrusive/list_hook.hpp>

#include "engine/fiber/context.h"
#include "engine/fiber/stack_pool.h"

namespace engine {

class Fiber {
 public:
  using Entry = void (*)(void* argument);
  // Called on the ending fiber when its body has returned; must switch away for good with
  // exit_to().
  using OnExit = void (*)(Fiber& self);

  // A thread's own stack, so that it can be switched away from and back to.
  Fiber() noexcept;
  // A fiber that can be started again and again with prepare().
  explicit Fiber(Stack stack) noexcept;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the fiber ready to run `body` at the next switch to it. `body` is moved to the fiber's
  // own stack: nothing is allocated. The fiber must be new or ended.
  template <typename Body>
  void prepare(const char* name, OnExit on_exit, Body&& body) {
    using Stored = std::decay_t<Body>;
    static_assert(sizeof(Stored) <= 4096, "captures too much for a fiber's stack");
    take_over();
    std::byte* place = stack_.top() - sizeof(Stored);
    place -= reinterpret_cast<std::uintptr_t>(place) % kStackAlign;
    auto* const stored = new (place) Stored(std::forward<Body>(body));
    prepare_at(
        name, on_exit, place,
        [](void* argument) {
          auto* const self = static_cast<Stored*>(argument);
          (*self)();
          self->~Stored();
        },
        stored);
  }

  // Leaves `this`, which must be running, and runs `to`. Returns when someone switches back.
  void switch_to(Fiber& to);
  // Same, but `this` has ended and its stack may be reused at once.
  [[noreturn]] void exit_to(Fiber& to);

  // Tells ThreadSanitizer that the body has ended and that all which its thread does from now on
  // comes after it: as if it had been joined. Optional; the fiber is cheaper to prepare again then.
  void settle();

  // Before fork() on a thread that has run fibers: ThreadSanitizer does not look at a child that it
  // takes for a copy of many threads.
  static void prepare_fork() noexcept;

  [[nodiscard]] const char* name() const noexcept { return object.name; }
  [[nodiscard]] const Stack& stack() const noexcept { return stack_; }

  // --- For the executor that owns the fiber. ---
  SyncObject object{ObjectKind::fiber, "thread"};
  Context context;
  Executor* executor = nullptr;
  boost::intrusive::list_member_hook<> queue_hook;
  void* executor_data = nullptr;
  bool notified = false;     // an unpark came while it was not parked
  std::uint32_t locks = 0;   // mutexes it has locked, and read-write locks to write

 private:
  static constexpr std::uintptr_t kStackAlign = 64;
  void take_over() noexcept;   // for ThreadSanitizer; nothing otherwise
  void prepare_at(const char* name, OnExit on_exit, std::byte* top, Entry entry, void* argument);
  static void finish_switch(Fiber& self, Fiber& from) noexcept;
  struct Trampoline;
  friend struct Trampoline;

  void* machine_context_ = nullptr;
  Stack stack_;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  OnExit on_exit_ = nullptr;
  void* asan_fake_stack_ = nullptr;
  [[maybe_unused]] void* tsan_fiber_ = nullptr;
};

}   // namespace engine
