#include "sim/program/subprocess.h"

#include <array>
#include <cerrno>

#include <sys/wait.h>
#include <unistd.h>

namespace program {
namespace {

[[noreturn]] void become(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

int status_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return 127;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string read_all(int from) {
  std::string all;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return all;
    all.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}   // namespace

int run_program(const std::vector<std::string>& words) {
  const pid_t child = fork();
  if (child == 0) become(words);
  return child < 0 ? 127 : status_of(child);
}

Ended output_of(const std::vector<std::string>& words) {
  Ended ended;
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return ended;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    become(words);
  }
  close(ends[1]);
  if (child > 0) {
    ended.output = read_all(ends[0]);
    ended.status = status_of(child);
  }
  close(ends[0]);
  return ended;
}

}   // namespace program
