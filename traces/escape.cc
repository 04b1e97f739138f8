#include "traces/escape.h"

#include <cstdint>

#include <fmt/format.h>

namespace traces {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The length of the well-formed UTF-8 sequence at the front, 0 if there is none.
std::size_t sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return static_cast<unsigned char>(text[i]);
  };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  std::uint32_t code = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
    code = code << 6U | (byte(i) & 0x3FU);
  }
  static constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool bad = code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ||
                   (code & 0xFFFEU) == 0xFFFEU;
  return bad ? 0 : length;
}

template <typename Special>
std::string escaped(std::string_view text, Special&& special) {
  std::string out;
  out.reserve(text.size() + 8);
  while (!text.empty()) {
    const std::size_t length = sequence(text);
    const char c = text.front();
    if (length == 0) {
      out += kReplacement;
    } else if (length > 1 || !special(out, c)) {
      const bool control =
          length == 1 && static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t';
      out += control || c == '\x7f' ? kReplacement : text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}   // namespace

std::string well_formed(std::string_view text) {
  return escaped(text, [](std::string&, char) { return false; });
}

std::string escape_xml(std::string_view text) {
  return escaped(text, [](std::string& out, char c) {
    switch (c) {
      case '&':
        out += "&amp;";
        return true;
      case '<':
        out += "&lt;";
        return true;
      case '>':
        out += "&gt;";
        return true;
      case '"':
        out += "&quot;";
        return true;
      default:
        return false;
    }
  });
}

std::string escape_json(std::string_view text) {
  return escaped(text, [](std::string& out, char c) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
      return true;
    }
    if (static_cast<unsigned char>(c) < ' ' || c == '<' || c == '>' || c == '&') {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
      return true;
    }
    return false;
  });
}

std::string escape_dot(std::string_view text) {
  return escaped(text, [](std::string& out, char c) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
      return true;
    }
    if (c == '\n') {
      out += "\\l";
      return true;
    }
    return false;
  });
}

}   // namespace traces
