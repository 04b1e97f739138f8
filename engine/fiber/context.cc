#include "engine/fiber/context.h"

#include "engine/base/check.h"

namespace engine {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): see the header
constinit thread_local ThreadState t_thread{};

void blocking_forbidden(const char* operation, std::source_location where) {
  const Context& context = current_context();
  const char* why = "outside any fiber";
  if (context.spin_depth != 0) {
    why = "holding a spin lock";
  } else if (context.read_depth != 0) {
    why = "inside an RCU read section";
  } else if (context.kind == ContextKind::caller) {
    why = "in a caller's map";
  } else if (context.kind == ContextKind::completion) {
    why = "in a completion";
  }
  check_failed(CheckKind::atomic_context, operation,
               fmt::format("{} may block, called {} entered at {}:{}", operation, why,
                           context.entered.file_name(), context.entered.line()),
               where);
}

}   // namespace engine
