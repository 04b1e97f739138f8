#include "real-io/program/words.h"

#include <fmt/format.h>

namespace wavetankd {

std::string in_words(std::string_view what, const engine::Error& error) {
  const std::string_view text = error.what;
  if (text.empty()) return fmt::format("{}: {} ({})", what, to_string(error.code), error.where);
  return fmt::format("{}: {} ({}): {}", what, text, error.where, to_string(error.code));
}

}   // namespace wavetankd
