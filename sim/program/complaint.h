// What is said to who asks for something that cannot be done.
#pragma once

#include <cstdio>
#include <string_view>

#include <fmt/format.h>

namespace program {

// Exit status: unusable arguments, or an environment that will not do.
inline constexpr int kUsage = 2;

// One line on standard error; the exit status.
inline int complain(std::string_view error) {
  fmt::print(stderr, "wavetank: {}\n", error);
  return kUsage;
}

}   // namespace program
