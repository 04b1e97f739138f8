// Runs other programs and waits for them.
#pragma once

#include <string>
#include <vector>

namespace program {

struct Ended {
  int status = 127;     // as the shell has it: 127 when it could not be run, 128 + signal
  std::string output;   // standard output, when it was asked for
};

// `words` is the program, looked for along PATH, and its arguments. Its output goes where ours
// goes.
[[nodiscard]] int run_program(const std::vector<std::string>& words);
// The same, with its standard output kept; its standard error goes where ours goes.
[[nodiscard]] Ended output_of(const std::vector<std::string>& words);

}   // namespace program
