// Runs something in a process of its own, whose death is an answer and not an accident: executions
// that fail leak what they held, and an engine that crashes takes only its process along.
#pragma once

#include <functional>
#include <string>

#include <sys/types.h>

namespace program {

struct ChildResult {
  bool ended = false;   // returned and sent `bytes`
  std::string bytes;
  int signal = 0;           // that killed it
  int exit_status = 0;      // when it ended by itself: a sanitizer's verdict
  bool timed_out = false;   // it was killed because it took too long
};

// "Segmentation fault", say, for SIGSEGV.
[[nodiscard]] std::string signal_name(int signal);

// Nobody sends that one to himself: a person does, or the kernel where memory has run out.
[[nodiscard]] bool is_from_outside(int signal) noexcept;

// What killed the process, in a word or two; empty when it ended well.
[[nodiscard]] std::string death_of(const ChildResult& result);

// To be called in a process that runs one schedule after the other: one that asks for more memory
// than any could need dies of it, rather than the machine. An exploration keeps what it has seen,
// and a sanitizer needs as much as it needs.
void confine_memory() noexcept;

// One process. Only for single-threaded programs.
class Child {
 public:
  // Forks; there `body` runs, and what it returns is sent here.
  explicit Child(const std::function<std::string()>& body);
  // Kills it, if it has not ended.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Takes in what it has to say, for so long. True: it has ended.
  bool wait(double seconds);
  void kill_as_too_slow();
  [[nodiscard]] const ChildResult& result() const noexcept { return result_; }

 private:
  void reap();

  pid_t pid_ = -1;
  int pipe_ = -1;
  ChildResult result_;
};

// Forks, runs `body` with its memory confined, and hands back what it returned. Killed from
// outside, it is run once more.
[[nodiscard]] ChildResult run_in_child(const std::function<std::string()>& body,
                                       double seconds_max);

}   // namespace program
