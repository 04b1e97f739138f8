#include "sim/library/crashes.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/base/sanitizers.h"
#include "engine/fiber/context.h"
#include "sim/execution.h"
#include "sim/library/program_heap.h"

namespace sim {

#if WAVETANK_ASAN || WAVETANK_TSAN

CrashesAreFindings::CrashesAreFindings() = default;
CrashesAreFindings::~CrashesAreFindings() = default;

#else

namespace {

constexpr std::size_t kSignalStack = std::size_t{64} * 1024;
constexpr std::size_t kGuard = 4096;

// Of this thread; null outside of fibers.
Execution* running() {
  auto* const execution = dynamic_cast<Execution*>(engine::t_thread.executor);
  return execution != nullptr && execution->current().id != ActorId{} ? execution : nullptr;
}

// Who unwinds a broken stack may crash, too.
constinit thread_local bool unwinds = false;

// The finding's place says nothing of where: a crash is the same however it was come to.
void report(Execution& execution, const std::string& what, const std::string& detail,
            FindingKind kind = FindingKind::crash) {
  Finding finding{.kind = kind,
                  .message = what,
                  .place = fmt::format("{} in {}", what, execution.current().name()),
                  .detail = detail};
  if (execution.options().trace && !std::exchange(unwinds, true))
    finding.add_place(CallStack::here());
  unwinds = false;
  execution.report(std::move(finding));
}

void on_signal(int signal, siginfo_t* info, void* /*context*/) {
  Execution* const execution = running();
  if (execution == nullptr) {   // as if nobody had asked
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  const engine::Stack stack = execution->current().stack();
  const auto* const at = static_cast<const std::byte*>(info->si_addr);
  const bool used_up = signal == SIGSEGV && at < stack.bottom && at >= stack.bottom - kGuard;
  // Leaves by switching to the thread's own stack: nobody comes back here.
  const auto gone = signal == SIGSEGV ? ProgramHeap::given_back_at(at) : std::nullopt;
  if (gone) {
    report(*execution, "use of freed memory", fmt::format("in a block of {} bytes\n", *gone),
           FindingKind::lifetime);
  } else if (used_up) {
    report(*execution, "stack overflow",
           fmt::format("all {} KiB of the fiber's stack are used up\n", stack.size / 1024));
  } else {
    const char* const name = sigdescr_np(signal);
    report(*execution, name != nullptr ? name : fmt::format("signal {}", signal), {});
  }
}

[[noreturn]] void on_terminate() {
  if (Execution* const execution = running()) {
    std::string what = "terminate";
    std::string detail;
    if (const std::exception_ptr thrown = std::current_exception()) {
      what = "uncaught exception";
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        detail = fmt::format("{}\n", error.what());
      } catch (...) {
        detail = "of a type that is no std::exception\n";
      }
    }
    report(*execution, what, detail);
  }
  std::abort();
}

}   // namespace

CrashesAreFindings::CrashesAreFindings() : stack_{new std::byte[kSignalStack]} {
  stack_t stack{};
  stack.ss_sp = stack_.get();
  stack.ss_size = kSignalStack;
  sigaltstack(&stack, &stack_before_);
  struct sigaction action{};
  action.sa_sigaction = &on_signal;
  // It never returns, so the signal must not stay blocked.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    sigaction(kSignals[i], &action, &before_[i]);
  terminate_before_ = std::set_terminate(&on_terminate);
}

CrashesAreFindings::~CrashesAreFindings() {
  std::set_terminate(terminate_before_);
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    sigaction(kSignals[i], &before_[i], nullptr);
  sigaltstack(&stack_before_, nullptr);
}

#endif

}   // namespace sim
