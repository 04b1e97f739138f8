// Runs something in a process of its own, whose death is an answer and not an accident: executions
// that fail leak what they held, and an engine that crashes takes only its process along.
#pragma once

#include <functional>
#include <string>

namespace program {

struct ChildResult {
  bool ended = false;   // returned and sent `bytes`
  std::string bytes;
  int signal = 0;           // that killed it
  int exit_status = 0;      // when it ended by itself: a sanitizer's verdict
  bool timed_out = false;   // it was killed because it took too long
};

// What killed the process, in a word or two; empty when it ended well.
[[nodiscard]] std::string death_of(const ChildResult& result);

// Forks, runs `body`, and hands back what it returned. Only for single-threaded programs.
[[nodiscard]] ChildResult run_in_child(const std::function<std::string()>& body,
                                       double seconds_max);

}   // namespace program
