#include "sim/program/child.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

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

}   // namespace

ChildResult run_in_child(const std::function<std::string()>& body, double seconds_max) {
  ChildResult result;
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return result;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    write_all(ends[1], body());
    // No destructors, no leak check: what a failed execution held is still held.
    _exit(0);
  }
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return result;
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>{seconds_max};
  std::string buffer(65536, '\0');
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd waiting{ends[0], POLLIN, 0};
    const int ready = left.count() <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      result.timed_out = true;
      kill(child, SIGKILL);
      break;
    }
    const ssize_t got = read(ends[0], buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    result.bytes.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  result.ended = !result.timed_out && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return result;
}

std::string death_of(const ChildResult& result) {
  if (result.timed_out) return "hang";
  if (result.signal != 0) return strsignal(result.signal);
  if (result.exit_status != 0) return fmt::format("exit {}", result.exit_status);
  return {};
}

}   // namespace program
