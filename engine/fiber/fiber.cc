#include "engine/fiber/fiber.h"

#include <utility>

#include <boost/context/detail/fcontext.hpp>

#include "engine/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#include <sanitizer/common_interface_defs.h>
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#include <sanitizer/tsan_interface.h>
#endif
#endif

#if defined(__SANITIZE_THREAD__)
// The per-thread state changes hands here without a lock, as it may.
#define ENGINE_NO_TSAN [[gnu::no_sanitize_thread]]
#else
#define ENGINE_NO_TSAN
#endif

namespace engine {

namespace fcontext = boost::context::detail;

#if defined(__SANITIZE_THREAD__)
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
#if defined(__SANITIZE_THREAD__)
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(Stack stack) noexcept : stack_{stack} {}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  if (stack_.bottom != nullptr && tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
#endif
}

// Runs on the new side of a switch: what was left behind is remembered in `from`.
void Fiber::finish_switch(Fiber& self, Fiber& from) noexcept {
#if defined(__SANITIZE_ADDRESS__)
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
  ENGINE_NO_TSAN static void run(fcontext::transfer_t transfer) {
    Fiber& from = *static_cast<Fiber*>(transfer.data);
    from.machine_context_ = transfer.fctx;
    Fiber& self = *t_thread.fiber;
    self.asan_fake_stack_ = nullptr;
    finish_switch(self, from);
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(&self);   // of whoever started it
#endif
    self.entry_(self.argument_);
    self.on_exit_(self);
    ENGINE_CHECK(false, "fiber {} went on after its end", self.name());
  }
};

// What the last body did with this fiber and its stack comes before what the next one does.
void Fiber::take_over() noexcept {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(this);
#endif
}

ENGINE_NO_TSAN void Fiber::prepare_at(const char* name, OnExit on_exit, std::byte* top, Entry entry,
                                      void* argument) {
  object.~SyncObject();   // another body is another fiber
  new (&object) SyncObject{ObjectKind::fiber, name};
  context = Context{.kind = ContextKind::worker};
  notified = false;
  entry_ = entry;
  argument_ = argument;
  on_exit_ = on_exit;
  machine_context_ =
      fcontext::make_fcontext(top, static_cast<std::size_t>(top - stack_.bottom), &Trampoline::run);
#if defined(__SANITIZE_THREAD__)
  // A new identity each time, or one that is settled: reusing another would order what two
  // unrelated bodies do.
  if (tsan_fiber_ != nullptr) __tsan_destroy_fiber(tsan_fiber_);
  tsan_fiber_ =
      t_settled.count == 0 ? __tsan_create_fiber(0) : t_settled.identity[--t_settled.count];
  __tsan_set_fiber_name(tsan_fiber_, name);
  __tsan_release(this);
#endif
}

ENGINE_NO_TSAN void Fiber::settle() {
#if defined(__SANITIZE_THREAD__)
  if (tsan_fiber_ == nullptr || t_settled.count == SettledIdentities::kMax) return;
  t_settled.identity[t_settled.count++] = std::exchange(tsan_fiber_, nullptr);
#endif
}

void Fiber::prepare_fork() noexcept {
#if defined(__SANITIZE_THREAD__)
  t_settled.clear();
#endif
}

ENGINE_NO_TSAN void Fiber::switch_to(Fiber& to) {
  t_thread.fiber = &to;
  t_thread.context = &to.context;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&asan_fake_stack_, to.stack_.bottom, to.stack_.size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.tsan_fiber_, switch_flags());
#endif
  const fcontext::transfer_t transfer = fcontext::jump_fcontext(to.machine_context_, this);
  Fiber& from = *static_cast<Fiber*>(transfer.data);
  from.machine_context_ = transfer.fctx;
  finish_switch(*this, from);
}

ENGINE_NO_TSAN void Fiber::exit_to(Fiber& to) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(this);
#endif
  t_thread.fiber = &to;
  t_thread.context = &to.context;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(nullptr, to.stack_.bottom, to.stack_.size);
#endif
#if defined(__SANITIZE_THREAD__)
  __tsan_switch_to_fiber(to.tsan_fiber_, switch_flags());
#endif
  fcontext::jump_fcontext(to.machine_context_, this);
  ENGINE_CHECK(false, "an ended fiber was resumed");
  __builtin_unreachable();
}

}   // namespace engine
