#include "traces/words.h"

#include <algorithm>

namespace traces {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

bool is_bare(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"_-./:+#@"}.find(c) != std::string_view::npos;
}

bool prints(char c) noexcept {
  return c >= ' ' && c <= '~';
}

}   // namespace

void append_word(std::string& line, std::string_view word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_bare)) {
    line += word;
    return;
  }
  line += '"';
  for (const char c : word) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (prints(c)) {
      line += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      line += "\\x";
      line += kHex[byte >> 4U];
      line += kHex[byte & 15U];
    }
  }
  line += '"';
}

void WordReader::pass_blank() noexcept {
  more_ = !rest_.empty();
  if (!more_) return;
  // A blank promises another word.
  if (rest_.front() != ' ') {
    failed_ = true;
    return;
  }
  rest_.remove_prefix(1);
}

std::string_view WordReader::bare() {
  if (failed_ || !more_) {
    failed_ = true;
    return {};
  }
  const std::string_view token = rest_.substr(0, rest_.find(' '));
  rest_.remove_prefix(token.size());
  if (token.empty() || !std::all_of(token.begin(), token.end(), is_bare)) {
    failed_ = true;
    return {};
  }
  pass_blank();
  return token;
}

std::optional<std::string> WordReader::word() {
  if (failed_ || !more_ || rest_.empty() || rest_.front() != '"') {
    const std::string_view token = bare();
    if (failed_) return std::nullopt;
    return std::string{token};
  }
  std::string out;
  bool plain = true;   // would have stood as it is
  std::size_t i = 1;
  const auto hex = [&](std::size_t at) {
    return at < rest_.size() ? kHex.find(rest_[at]) : std::string_view::npos;
  };
  for (;; ++i) {
    if (i >= rest_.size() || !prints(rest_[i])) {
      failed_ = true;
      return std::nullopt;
    }
    char c = rest_[i];
    if (c == '"') break;
    if (c == '\\') {
      ++i;
      c = i < rest_.size() ? rest_[i] : '\0';
      if (c == 'n') {
        c = '\n';
      } else if (c == 'x') {
        const std::size_t high = hex(i + 1);
        const std::size_t low = hex(i + 2);
        c = static_cast<char>(high << 4U | low);
        if (!accept(high < kHex.size() && low < kHex.size() && !prints(c) && c != '\n'))
          return std::nullopt;
        i += 2;
      } else if (!accept(c == '"' || c == '\\')) {
        return std::nullopt;
      }
    }
    plain = plain && is_bare(c);
    out += c;
  }
  rest_.remove_prefix(i + 1);
  if (!accept(!plain || out.empty())) return std::nullopt;
  pass_blank();
  if (failed_) return std::nullopt;
  return out;
}

bool WordReader::text(std::string& out) {
  auto taken = word();
  if (taken) out = std::move(*taken);
  return taken.has_value();
}

bool WordReader::flag(bool& out) {
  int value = 0;
  const bool good = number(value) && accept(value == 0 || value == 1);
  out = value == 1;
  return good;
}

}   // namespace traces
