// toml++, whose own assertions (3.3 has some that malformed input reaches) become
// std::runtime_error: whoever parses a user's file catches that beside toml::parse_error.
#pragma once

#include <stdexcept>

#define TOML_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : throw std::runtime_error{"malformed"})
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wterminate"   // those in noexcept functions stay assertions
#endif
#include <toml++/toml.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
