#include "engine/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace engine {
namespace {
// One of the two pieces of per-thread state in the engine (the other: engine/fiber/context.cc). A
// check must find its sink from anywhere, also where no executor is at hand.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit thread_local CheckSink* t_sink = nullptr;
}   // namespace

CheckSink* set_check_sink(CheckSink* sink) noexcept {
  CheckSink* const before = t_sink;
  t_sink = sink;
  return before;
}

void check_failed(CheckKind kind, std::string_view expression, std::string message,
                  std::source_location where) noexcept {
  const CheckFailure failure{kind, expression, std::move(message), where};
  if (t_sink != nullptr) t_sink->check_failed(failure);
  fmt::print(stderr, "{}:{}: check failed: {}{}{}\n", where.file_name(), where.line(), expression,
             failure.message.empty() ? "" : ": ", failure.message);
  std::fflush(stderr);
  std::abort();
}

}   // namespace engine
