// ENGINE_CHECK: assertions about our own mistakes, on in every build. Bytes read from a device are
// the world's and never asserted on.
//
// A failed check goes to the calling thread's CheckSink and does not return: the tank installs a
// sink that turns it into a finding and abandons the execution; without a sink the process prints
// the failure and aborts.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace engine {

enum class CheckKind : std::uint8_t {
  assertion,        // a broken invariant of the engine
  atomic_context,   // a blocking call where blocking is forbidden
  lifetime,   // use of something that is gone: a count going 0 -> 1, a dead queue, a stale cell
};

struct CheckFailure {
  CheckKind kind;
  std::string_view expression;
  std::string message;
  std::source_location where;
};

class CheckSink {
 public:
  // Must not return: abandon the caller's stack.
  [[noreturn]] virtual void check_failed(const CheckFailure& failure) noexcept = 0;

 protected:
  ~CheckSink() = default;
};

// The sink of the calling thread; nullptr restores print-and-abort. Returns the one before.
CheckSink* set_check_sink(CheckSink* sink) noexcept;

[[noreturn]] void check_failed(CheckKind kind, std::string_view expression, std::string message,
                               std::source_location where) noexcept;

namespace check_detail {
template <typename... Args>
[[noreturn, gnu::cold, gnu::noinline]] void failed(CheckKind kind, const char* expression,
                                                   std::source_location where,
                                                   fmt::format_string<Args...> format,
                                                   Args&&... args) {
  check_failed(kind, expression, fmt::format(format, std::forward<Args>(args)...), where);
}
[[noreturn, gnu::cold, gnu::noinline]] inline void failed(CheckKind kind, const char* expression,
                                                          std::source_location where) {
  check_failed(kind, expression, {}, where);
}
}   // namespace check_detail

}   // namespace engine

#define ENGINE_CHECK_KIND(kind, cond, ...)                                                        \
  do {                                                                                            \
    if (!(cond)) [[unlikely]]                                                                     \
      ::engine::check_detail::failed(kind, #cond,                                                 \
                                     std::source_location::current() __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

// ENGINE_CHECK(cond) or ENGINE_CHECK(cond, "block {}", b).
#define ENGINE_CHECK(cond, ...) \
  ENGINE_CHECK_KIND(::engine::CheckKind::assertion, cond __VA_OPT__(, ) __VA_ARGS__)
#define ENGINE_CHECK_ALIVE(cond, ...) \
  ENGINE_CHECK_KIND(::engine::CheckKind::lifetime, cond __VA_OPT__(, ) __VA_ARGS__)
