// The whole of `wavetank check thin|cache IMAGE [--json]` but for printing.
#pragma once

#include <cstdint>
#include <string>

namespace checkers::image {

enum class Form : std::uint8_t { text, json };

struct CommandOutcome {
  std::string output;   // for standard output
  std::string error;    // one line for standard error, when the image could not be opened
  int exit_code{2};     // 0 clean, 1 leaks only, 2 damaged or not to be opened
};

[[nodiscard]] CommandOutcome check_thin_file(const std::string& path, Form form);
[[nodiscard]] CommandOutcome check_cache_file(const std::string& path, Form form);

}   // namespace checkers::image
