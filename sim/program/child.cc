#include "sim/program/child.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/base/sanitizers.h"
#include "engine/fiber/fiber.h"

namespace program {
namespace {

void write_all(int fd, const std::string& bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t written = write(fd, bytes.data() + at, bytes.size() - at);
    if (written < 0 && errno != EINTR) return;
    if (written > 0) at += static_cast<std::size_t>(written);
  }
}

// More than a schedule could need, by far.
constexpr rlim_t kMemoryMax = rlim_t{2} << 30U;

}   // namespace

void confine_memory() noexcept {
#if !WAVETANK_ASAN && !WAVETANK_TSAN
  const rlimit limit{kMemoryMax, kMemoryMax};
  setrlimit(RLIMIT_DATA, &limit);
#endif
}

Child::Child(const std::function<std::string()>& body) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  std::fflush(nullptr);
  engine::Fiber::prepare_fork();
  pid_ = fork();
  if (pid_ == 0) {
    close(ends[0]);
    write_all(ends[1], body());
    // No destructors, no leak check: what a failed execution held is still held.
    _exit(0);
  }
  close(ends[1]);
  pipe_ = ends[0];
  if (pid_ < 0) reap();
}

Child::~Child() {
  if (pid_ >= 0) kill(pid_, SIGKILL);
  reap();
}

bool Child::wait(double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>{seconds};
  std::string buffer(65536, '\0');
  while (pipe_ >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd waiting{pipe_, POLLIN, 0};
    const int ready = poll(&waiting, 1, left.count() <= 0 ? 0 : static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return false;
    const ssize_t got = read(pipe_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      reap();
    } else {
      result_.bytes.append(buffer.data(), static_cast<std::size_t>(got));
    }
  }
  return true;
}

void Child::kill_as_too_slow() {
  if (pid_ < 0) return;
  result_.timed_out = true;
  kill(pid_, SIGKILL);
  reap();
}

void Child::reap() {
  if (pipe_ >= 0) close(pipe_);
  pipe_ = -1;
  if (pid_ < 0) return;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR)
    continue;
  pid_ = -1;
  if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result_.exit_status = WEXITSTATUS(status);
  result_.ended = !result_.timed_out && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

ChildResult run_in_child(const std::function<std::string()>& body, double seconds_max) {
  const auto once = [&] {
    Child child{[&] {
      confine_memory();
      return body();
    }};
    if (!child.wait(seconds_max)) child.kill_as_too_slow();
    return child.result();
  };
  ChildResult result = once();
  return !result.timed_out && is_from_outside(result.signal) ? once() : result;
}

bool is_from_outside(int signal) noexcept {
  return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP;
}

std::string signal_name(int signal) {
  const char* const name = sigdescr_np(signal);
  return name != nullptr ? name : fmt::format("signal {}", signal);
}

std::string death_of(const ChildResult& result) {
  if (result.timed_out) return "hang";
  if (result.signal != 0) return signal_name(result.signal);
  if (result.exit_status != 0) return fmt::format("exit {}", result.exit_status);
  return {};
}

}   // namespace program
