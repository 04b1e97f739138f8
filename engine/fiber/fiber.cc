#include "engine/fiber/fiber.h"

#include <utility>

#include <boost/context/detail/fcontext.hpp>

#include "engine/base/check.h"
#include "engine/base/sanitizers.h"

#if WAVETANK_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if WAVETANK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

// Where it says WAVETANK_NO_TSAN, the per-thread state changes hands without a lock, as it may.
namespace engine {

namespace fcontext = boost::context::detail;

#if WAVETANK_TSAN
namespace {
// In the tank a switch orders nothing: its fibers stand for threads. On a reactor they take turns
// on one thread for good, and what one has done the next may see.
unsigned switch_flags() noexcept {
  return t_thread.points != nullptr ? __tsan_switch_to_fiber_no_sync : 0;
}

// Making an identity for the sanitizer costs as much as some ten thousand switches, so those that
// are settled wait here for another body. Plain arrays: of these accesses it must not know, as they
// come from every fiber.
struct SettledIdentities {
  static constexpr std::size_t kMax = 4096;
  void* identity[kMax];   // NOLINT(cppcoreguidelines-avoid-c-arrays,modernize-avoid-c-arrays)
  std::size_t count = 0;

  ~SettledIdentities() { clear(); }
  void clear() noexcept {
    while (count != 0)
      __tsan_destroy_fiber(identity[--count]);
  }
};
thread_local SettledIdentities t_settled;
}   // namespace
#endif

Fiber::Fiber() noexcept {
  context.kind = ContextKind::outside;
#if WAVETANK_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(Stack stack) noexcept : stack_{stack} {}

Fiber::~Fiber() {
#if WAVETANK_TSAN
  if (stack_.bottom != nullptr && tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
#endif
}

// Runs on the new side of a switch: what was left behind is remembered in `from`.
void Fiber::finish_switch(Fiber& self, Fiber& from) noexcept {
#if WAVETANK_ASAN
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(self.asan_fake_stack_, &bottom, &size);
  if (from.stack_.bottom == nullptr) {   // a thread's own stack: learn its bounds
    from.stack_.size = size;
    from.stack_.bottom = static_cast<std::byte*>(const_cast<void*>(bottom));
  }
#endif
  (void)self;
  (void)from;
}

struct Fiber::Trampoline {
  WAVETANK_NO_TSAN static void run(fcontext::transfer_t transfer) {
    Fiber& from = *static_cast<Fiber*>(transfer.data);
    from.machine_context_ = transfer.fctx;
    Fiber& self = *t_thread.fiber;
    self.asan_fake_stack_ = nullptr;
    finish_switch(self, from);
#if WAVETANK_TSAN
    __tsan_acquire(&self);   // of whoever started it
#endif
    self.entry_(self.argument_);
    self.on_exit_(self);
    ENGINE_CHECK(false, "fiber {} went on after its end", self.name());
  }
};

// What the last body did with this fiber and its stack comes before what the next one does.
void Fiber::take_over() noexcept {
#if WAVETANK_TSAN
  __tsan_acquire(this);
#endif
}

WAVETANK_NO_TSAN void Fiber::prepare_at(const char* name, OnExit on_exit, std::byte* top,
                                        Entry entry, void* argument) {
  object.~SyncObject();   // another body is another fiber
  new (&object) SyncObject{ObjectKind::fiber, name};
  context = Context{.kind = ContextKind::worker};
  notified = false;
  entry_ = entry;
  argument_ = argument;
  on_exit_ = on_exit;
  machine_context_ =
      fcontext::make_fcontext(top, static_cast<std::size_t>(top - stack_.bottom), &Trampoline::run);
#if WAVETANK_TSAN
  // A new identity each time, or one that is settled: reusing another would order what two
  // unrelated bodies do.
  if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
  tsan_fiber_ =
      t_settled.count == 0 ? __tsan_create_fiber(0) : t_settled.identity[--t_settled.count];
  __tsan_set_fiber_name(tsan_fiber_, name);
  __tsan_release(this);
#endif
}

WAVETANK_NO_TSAN void Fiber::settle() {
#if WAVETANK_TSAN
  __tsan_acquire(this);   // whoever gets the stack next comes after it, too
  if (tsan_fiber_ == nullptr || t_settled.count == SettledIdentities::kMax) return;
  t_settled.identity[t_settled.count++] = std::exchange(tsan_fiber_, nullptr);
#endif
}

void Fiber::prepare_fork() noexcept {
#if WAVETANK_TSAN
  t_settled.clear();
#endif
}

WAVETANK_NO_TSAN void Fiber::switch_to(Fiber& to) {
  t_thread.fiber = &to;
  t_thread.context = &to.context;
#if WAVETANK_ASAN
  __sanitizer_start_switch_fiber(&asan_fake_stack_, to.stack_.bottom, to.stack_.size);
#endif
#if WAVETANK_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_, switch_flags());
#endif
  const fcontext::transfer_t transfer = fcontext::jump_fcontext(to.machine_context_, this);
  Fiber& from = *static_cast<Fiber*>(transfer.data);
  from.machine_context_ = transfer.fctx;
  finish_switch(*this, from);
}

WAVETANK_NO_TSAN void Fiber::exit_to(Fiber& to) {
#if WAVETANK_TSAN
  __tsan_release(this);
#endif
  t_thread.fiber = &to;
  t_thread.context = &to.context;
#if WAVETANK_ASAN
  __sanitizer_start_switch_fiber(nullptr, to.stack_.bottom, to.stack_.size);
#endif
#if WAVETANK_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber_, switch_flags());
#endif
  fcontext::jump_fcontext(to.machine_context_, this);
  ENGINE_CHECK(false, "an ended fiber was resumed");
  __builtin_unreachable();
}

}   // namespace engine
