#include "real-io/program/words.h"

#include <iterator>

#include <fmt/format.h>

namespace wavetankd {

std::string printable(std::string_view text) {
  std::string shown;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= ' ' && byte != 0x7F)
      shown += each;
    else
      fmt::format_to(std::back_inserter(shown), "\\x{:02x}", byte);
  }
  return shown;
}

std::string in_words(std::string_view what, const engine::Error& error) {
  const std::string_view text = error.what;
  if (text.empty()) return fmt::format("{}: {} ({})", what, to_string(error.code), error.where);
  return fmt::format("{}: {} ({}): {}", what, text, error.where, to_string(error.code));
}

}   // namespace wavetankd
