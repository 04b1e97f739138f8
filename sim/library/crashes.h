// A program under test that crashes: by a signal, by an exception that nobody catches, or because a
// stack is used up.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <exception>
#include <memory>

namespace sim {

// As long as it lives, what kills the process while a fiber of an execution runs on this thread is
// that execution's finding instead; whatever the fibers held is lost, as in other executions that
// fail. Outside of fibers, and with sanitizers, which know more, everything is as before.
class CrashesAreFindings {
 public:
  CrashesAreFindings();
  ~CrashesAreFindings();
  CrashesAreFindings(const CrashesAreFindings&) = delete;
  CrashesAreFindings& operator=(const CrashesAreFindings&) = delete;

 private:
  static constexpr std::array kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  std::array<struct sigaction, kSignals.size()> before_{};
  std::terminate_handler terminate_before_ = nullptr;
  stack_t stack_before_{};
  std::unique_ptr<std::byte[]> stack_;   // a fiber's own may be what is used up
};

}   // namespace sim
