#include "traces/outline.h"

#include <algorithm>
#include <array>

namespace traces {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string_view unquoted(std::string_view text) {
  const std::size_t begin = text.find('"');
  const std::size_t end = text.rfind('"');
  return begin == end ? std::string_view{} : text.substr(begin + 1, end - begin - 1);
}

bool tells(std::string_view line) {
  static constexpr std::array<std::string_view, 6> kAlways{
      "data_blocks = ",       "thins = ", "discard_reads = ", "cells = ", "low_water_blocks = ",
      "commit_interval_ms = "};
  if (line.ends_with(" = true")) return true;
  if (line.ends_with(" = 0") && !line.starts_with("commit_interval_ms")) return false;
  return std::any_of(kAlways.begin(), kAlways.end(),
                     [&](std::string_view key) { return line.starts_with(key); });
}

}   // namespace

std::size_t WorkloadOutline::operation_count() const noexcept {
  std::size_t count = 0;
  for (const OutlineActor& actor : actors)
    count += actor.operations.size();
  return count;
}

WorkloadOutline outline_of(std::string_view toml) {
  WorkloadOutline outline;
  std::string_view section;
  while (!toml.empty()) {
    const std::size_t end = toml.find('\n');
    const std::string_view line = trimmed(toml.substr(0, end));
    toml.remove_prefix(end == std::string_view::npos ? toml.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    if (line == "[setup]" || line == "[[actor]]") {
      section = line;
      outline.actors.push_back({line == "[setup]" ? "setup" : "", {}});
    } else if (line.front() == '[') {
      section = line;
    } else if (section.empty() && line.starts_with("scenario = ")) {
      outline.scenario = unquoted(line);
    } else if (section == "[system]" && tells(line)) {
      outline.system.emplace_back(line);
    } else if (section == "[faults]" && !line.ends_with(" = 0")) {
      outline.faults.emplace_back(line);
    } else if (section == "[setup]" || section == "[[actor]]") {
      if (line.starts_with("name = ")) {
        outline.actors.back().name = unquoted(line);
      } else if (line.front() == '"') {
        outline.actors.back().operations.emplace_back(unquoted(line));
      }
    }
  }
  return outline;
}

std::size_t characters(std::string_view text) noexcept {
  // All bytes but the later ones of a UTF-8 sequence.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string end_of(std::string_view place, std::size_t width) {
  if (characters(place) <= width) return std::string{place};
  while (!place.empty() && characters(place) + 1 > width) {
    do
      place.remove_prefix(1);
    while (!place.empty() && (static_cast<unsigned char>(place.front()) & 0xC0U) == 0x80U);
  }
  return "…" + std::string{place};
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t room = lines.back().empty() ? 0 : characters(lines.back()) + 1;
    if (room != 0 && room + characters(word) > width) lines.emplace_back();
    // A word that no line holds is cut where it must be; never inside a character.
    while (lines.back().empty() && characters(word) > width) {
      std::size_t cut = 0;
      for (std::size_t n = 0; n < width && cut < word.size(); ++n) {
        ++cut;
        while (cut < word.size() && (static_cast<unsigned char>(word[cut]) & 0xC0U) == 0x80U)
          ++cut;
      }
      lines.back() = word.substr(0, cut);
      word.remove_prefix(cut);
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

}   // namespace traces
