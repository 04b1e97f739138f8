// Who is running, and may it block? The per-thread state of the seam.
//
// Every stretch of engine code runs in one of these contexts:
//   worker      a fiber on its own behalf; may block
//   caller      inside a target's map(), on behalf of whoever submitted a bio; must not block
//   completion  where end_io and timer callbacks run; must not block
//   outside     no fiber of an executor; must not block (there is nothing to park)
// Holding a SpinLock or being inside an RCU read section forbids blocking in any context.
// assert_may_block() stands at the head of every blocking primitive, also where it would not have
// to wait this time, so one schedule is enough to find a call in the wrong place.
#pragma once

#include <cstdint>
#include <source_location>

#include "engine/base/sanitizers.h"
#include "engine/fiber/event.h"

namespace engine {

class Executor;
class Fiber;

enum class ContextKind : std::uint8_t { worker, caller, completion, outside };

struct Context {
  ContextKind kind = ContextKind::outside;
  std::uint16_t spin_depth = 0;
  std::uint16_t read_depth = 0;
  // Where the innermost of caller, completion, spin lock or read section was entered.
  std::source_location entered{};
};

// Told of every scheduling point of the thread. The tank's scheduler is one.
class PointHook {
 public:
  // May run other fibers before it returns. Any context.
  virtual void point(const Point& point) = 0;
  // The fiber needs the spin lock `point.object`, which another holds; returns when it may be free.
  virtual void spin_wait(const Point& point) = 0;
  // `object` is a spin lock that was just released.
  virtual void spin_released(const SyncObject& object) noexcept = 0;
  // What runs now has to do with `object` as well, beside the point that it stood at last.
  virtual void touched(const SyncObject& object, Access access) noexcept = 0;
  // What it stood at has left `object` as it was.
  virtual void unchanged(const SyncObject& object) noexcept = 0;
  // What runs now has a share of that, a lock to read or a unit of a semaphore, and is about to let
  // one go: the objects themselves do not know who has them.
  virtual void has_share(const SyncObject& object, std::source_location where) noexcept = 0;
  virtual void lets_share_go(const SyncObject& object) noexcept = 0;

 protected:
  ~PointHook() = default;
};

class TraceSink {
 public:
  virtual void event(const Event& event) noexcept = 0;

 protected:
  ~TraceSink() = default;
};

struct ThreadState {
  PointHook* points = nullptr;   // null on real disks
  TraceSink* sink = nullptr;     // null when nobody watches
  Context* context = nullptr;    // of what runs now; never null once an executor runs
  Executor* executor = nullptr;
  Fiber* fiber = nullptr;   // null on a thread's own stack
  std::uint32_t next_object_id = 1;
  std::uint32_t next_quiet_id = SyncObject::kQuietId;
  std::uint32_t thread_index = 0;   // dense, for sharded counters
  Context outside;
};

// The only other thread_local of the engine is the check sink. Fibers never change thread, so an
// address computed before a switch stays right after it.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
extern constinit thread_local ThreadState t_thread;

inline Context& current_context() noexcept {
  Context* const context = t_thread.context;
  return context != nullptr ? *context : t_thread.outside;
}

// Not for ThreadSanitizer: fibers of one thread share its counter.
WAVETANK_NO_TSAN
inline SyncObject::SyncObject(ObjectKind object_kind, const char* object_name) noexcept
    : name{object_name},
      id{t_thread.next_object_id++},
      kind{object_kind},
      seal{own_seal() & kSealBits} {}

WAVETANK_NO_TSAN
inline SyncObject::SyncObject(Quiet /*quiet*/, const char* object_name) noexcept
    : name{object_name},
      id{t_thread.next_quiet_id++},
      kind{ObjectKind::none},
      seal{own_seal() & kSealBits} {}

// Not for ThreadSanitizer: of what others do with it only the data counts.
WAVETANK_NO_TSAN
inline SyncObject::~SyncObject() {
  seal = (own_seal() ^ kBroken) & kSealBits;
  // It counts, though compilers take what is written to an object that ends for written in vain.
  asm("" : : "r"(this) : "memory");
}

inline void schedule_point(OpKind op, Access access, const SyncObject* object,
                           std::source_location where) {
  if (t_thread.points != nullptr) [[unlikely]]
    t_thread.points->point(Point{op, access, object, where});
}

// Where state that fibers share is used without a point: under a raw lock, or in a plain atomic
// that somebody decides by. Not where only reports look. Whoever reasons about which steps commute
// has to know (sim/strategy_dpor.h); nobody goes on meanwhile. In the same step as the use.
inline void also_touches(const SyncObject& object, Access access = Access::write) noexcept {
  if (t_thread.points != nullptr) [[unlikely]]
    t_thread.points->touched(object, access);
}
// An operation that might have changed `object`, as its point said, has not.
inline void left_unchanged(const SyncObject& object) noexcept {
  if (t_thread.points != nullptr) [[unlikely]]
    t_thread.points->unchanged(object);
}

inline void trace_event(const Event& event) noexcept {
  if (t_thread.sink != nullptr) [[unlikely]]
    t_thread.sink->event(event);
}
inline void trace_event(OpKind op, const SyncObject* object, std::source_location where,
                        std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0,
                        const char* name = nullptr) noexcept {
  if (t_thread.sink != nullptr) [[unlikely]]
    t_thread.sink->event(Event{op, object, where, a, b, c, name});
}

[[nodiscard]] inline bool may_block() noexcept {
  const Context& context = current_context();
  return context.kind == ContextKind::worker && context.spin_depth == 0 && context.read_depth == 0;
}

[[gnu::cold]] void blocking_forbidden(const char* operation, std::source_location where);

// Fails, in every build, where the caller must not block; names both places.
inline void assert_may_block(const char* operation,
                             std::source_location where = std::source_location::current()) {
  if (!may_block()) [[unlikely]]
    blocking_forbidden(operation, where);
}

// Enters a non-blocking context for a scope: a target's map(), an end_io, a timer callback.
class ContextScope {
 public:
  explicit ContextScope(ContextKind kind,
                        std::source_location where = std::source_location::current()) noexcept
      : context_{current_context()}, saved_kind_{context_.kind}, saved_entered_{context_.entered} {
    context_.kind = kind;
    context_.entered = where;
  }
  ~ContextScope() {
    context_.kind = saved_kind_;
    context_.entered = saved_entered_;
  }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  Context& context_;   // of the fiber that made the scope; a switch does not change it
  ContextKind saved_kind_;
  std::source_location saved_entered_;
};

}   // namespace engine
