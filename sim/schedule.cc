#include "sim/schedule.h"

#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace sim {

using engine::Errc;
using engine::fail;
using engine::Result;

namespace {

constexpr std::string_view kHeader = "wavetank-schedule 1";
constexpr std::size_t kLineMax = 512;
constexpr std::size_t kNameMax = 64;
constexpr std::size_t kFieldsMax = 5;

constexpr std::array<std::string_view, 6> kChoiceNames{"run",  "effect", "complete",
                                                       "fire", "step",   "value"};
constexpr std::array<std::string_view, 4> kActorNames{"fiber", "io", "timer", "step"};

template <typename T>
std::optional<T> to_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// fiber:2:writer, io:1.5:data, timer:3:tick
void append_actor(std::string& text, ActorId id, const Schedule& schedule) {
  text += kActorNames[static_cast<std::size_t>(id.kind())];
  text += ':';
  if (id.kind() == ActorKind::io) text += fmt::format("{}.", id.device());
  text += fmt::format("{}", id.ordinal());
  const auto name = schedule.names.find(id.value());
  if (name == schedule.names.end()) return;
  text += ':';
  text += clean_name(name->second);
}

std::optional<ActorId> to_actor(std::string_view text, Schedule& schedule) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::size_t kind = 0;
  while (kind < kActorNames.size() && kActorNames[kind] != text.substr(0, colon))
    ++kind;
  if (kind == kActorNames.size()) return std::nullopt;
  text.remove_prefix(colon + 1);
  const std::size_t name_at = text.find(':');
  std::string_view number = text.substr(0, name_at);
  std::uint32_t device = 0;
  if (static_cast<ActorKind>(kind) == ActorKind::io) {
    const std::size_t dot = number.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const auto parsed = to_number<std::uint32_t>(number.substr(0, dot));
    if (!parsed || *parsed >= ActorId::kDevices) return std::nullopt;
    device = *parsed;
    number.remove_prefix(dot + 1);
  }
  const auto ordinal = to_number<std::uint32_t>(number);
  if (!ordinal || *ordinal > ActorId::kOrdinalMask) return std::nullopt;
  const ActorId id{static_cast<ActorKind>(kind), device, *ordinal};
  if (name_at == std::string_view::npos) return id;
  const std::string_view name = text.substr(name_at + 1);
  if (name.empty() || name.size() > kNameMax || clean_name(name) != name) return std::nullopt;
  const auto [known, added] = schedule.names.emplace(id.value(), name);
  if (!added && known->second != name) return std::nullopt;
  return id;
}

std::optional<Decision> to_decision(std::string_view line, Schedule& schedule) {
  std::array<std::string_view, kFieldsMax> fields;
  std::size_t count = 0;
  while (!line.empty()) {
    const std::size_t space = line.find(' ');
    if (count == fields.size()) return std::nullopt;
    fields[count++] = line.substr(0, space);
    if (space == std::string_view::npos) break;
    line.remove_prefix(space + 1);
  }
  if (count < 4 || fields[0] != "at") return std::nullopt;
  const auto at = to_actor(fields[1], schedule);
  const auto step = to_number<std::uint32_t>(fields[2]);
  if (!at || !step) return std::nullopt;
  std::size_t kind = 0;
  while (kind < kChoiceNames.size() && kChoiceNames[kind] != fields[3])
    ++kind;
  if (kind == kChoiceNames.size()) return std::nullopt;
  Decision decision{*at, *step, static_cast<ChoiceKind>(kind), 0};
  switch (decision.kind) {
    case ChoiceKind::fire:
      if (count != 4) return std::nullopt;
      return decision;
    case ChoiceKind::value: {
      if (count != kFieldsMax) return std::nullopt;
      const auto value = to_number<std::uint32_t>(fields[4]);
      if (!value) return std::nullopt;
      decision.value = *value;
      return decision;
    }
    case ChoiceKind::run:
    case ChoiceKind::effect:
    case ChoiceKind::complete:
    case ChoiceKind::step:
      break;
  }
  if (count != kFieldsMax) return std::nullopt;
  const auto actor = to_actor(fields[4], schedule);
  if (!actor) return std::nullopt;
  const bool io = decision.kind == ChoiceKind::effect || decision.kind == ChoiceKind::complete;
  if (io && actor->kind() != ActorKind::io) return std::nullopt;
  if (decision.kind == ChoiceKind::step && actor->kind() != ActorKind::step) return std::nullopt;
  decision.value = actor->value();
  return decision;
}

}   // namespace

std::string clean_name(std::string_view name) {
  std::string clean{name.substr(0, kNameMax)};
  for (char& c : clean) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == '_';
    if (!fine) c = '_';
  }
  return clean;
}

std::string Schedule::to_text() const {
  std::string text{kHeader};
  text += '\n';
  for (const Decision& decision : decisions) {
    text += "at ";
    append_actor(text, decision.at, *this);
    text +=
        fmt::format(" {} {}", decision.step, kChoiceNames[static_cast<std::size_t>(decision.kind)]);
    switch (decision.kind) {
      case ChoiceKind::fire:
        break;
      case ChoiceKind::value:
        text += fmt::format(" {}", decision.value);
        break;
      case ChoiceKind::run:
      case ChoiceKind::effect:
      case ChoiceKind::complete:
      case ChoiceKind::step:
        text += ' ';
        append_actor(text, ActorId::from_value(decision.value), *this);
        break;
    }
    text += '\n';
  }
  text += "end\n";   // so that a truncated file is seen to be one
  return text;
}

Result<Schedule> Schedule::from_text(std::string_view text) {
  Schedule schedule;
  std::uint64_t line_number = 0;
  bool ended = false;
  while (!text.empty()) {
    ++line_number;
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos)
      return fail(Errc::invalid, line_number, "the line does not end");
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline + 1);
    if (line.size() > kLineMax) return fail(Errc::invalid, line_number, "the line is too long");
    if (line_number == 1) {
      if (line != kHeader) return fail(Errc::invalid, 1, "not a schedule of version 1");
      continue;
    }
    if (ended) return fail(Errc::invalid, line_number, "text after the end");
    if (line.empty() || line.front() == '#') continue;
    if (line == "end") {
      ended = true;
      continue;
    }
    const auto decision = to_decision(line, schedule);
    if (!decision) return fail(Errc::invalid, line_number, "not a decision");
    schedule.decisions.push_back(*decision);
  }
  if (!ended) return fail(Errc::invalid, line_number + 1, "the end is missing");
  return schedule;
}

}   // namespace sim
