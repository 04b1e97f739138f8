// The words of a trace file's lines: numbers, and strings that stay on their line.
//
// A string of letters, digits and "_-./:+#@" stands as it is; any other is quoted, with \" \\ \n
// and \xHH for whatever does not print. Each string has one form, so equal traces are equal files.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace traces {

void append_word(std::string& line, std::string_view word);

// Takes words off a line, from the left. After a failure everything fails.
class WordReader {
 public:
  explicit WordReader(std::string_view line) noexcept : rest_{line} {}

  [[nodiscard]] std::optional<std::string> word();
  template <std::integral Number>
  [[nodiscard]] bool number(Number& out) {
    const std::string_view token = bare();
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), out);
    return failed_ ? false : accept(error == std::errc{} && end == token.data() + token.size());
  }
  [[nodiscard]] bool text(std::string& out);
  [[nodiscard]] bool flag(bool& out);
  // Nothing is left, and nothing was wrong.
  [[nodiscard]] bool finished() const noexcept { return !failed_ && !more_; }

 private:
  // The next word up to a blank, empty when there is none.
  std::string_view bare();
  bool accept(bool good) noexcept {
    failed_ |= !good;
    return good;
  }
  void pass_blank() noexcept;

  std::string_view rest_;
  bool more_ = true;   // a word is due
  bool failed_ = false;
};

}   // namespace traces
