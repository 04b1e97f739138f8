// Numbers on a command line. CLI11 takes -1 for the largest number there is, what is larger for
// that, too, and knows nan.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <system_error>

#include <CLI/CLI.hpp>

namespace sim {

// Why `text` is no number of that type, as CLI11 names types; empty: it is one, or another type.
inline std::string why_no_number(const std::string& type, const std::string& text) {
  const char* const end = text.data() + text.size();
  std::from_chars_result read{end, {}};
  if (type == "UINT") {
    std::uint64_t value = 0;
    read = std::from_chars(text.data(), end, value);
  } else if (type == "FLOAT") {
    double value = 0;
    read = std::from_chars(text.data(), end, value);
    if (!std::isfinite(value) || std::signbit(value)) return text + " is no number from 0 on";
  }
  if (read.ec == std::errc{} && read.ptr == end) return {};
  return text +
         (read.ec == std::errc::result_out_of_range ? " is too large" : " is no number from 0 on");
}

// Has all numeric options of `app` and of its commands refuse what is none.
inline void want_plain_numbers(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (type != "UINT" && type != "FLOAT") continue;
    option->check([type](const std::string& text) { return why_no_number(type, text); });
  }
  for (CLI::App* const command : app.get_subcommands({}))
    want_plain_numbers(*command);
}

}   // namespace sim
