#include "sim/schedule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "sim/schedule_repeats.h"

namespace sim {

using engine::Errc;
using engine::fail;
using engine::Result;

namespace {

constexpr std::string_view kPlain = "wavetank-schedule 1";
constexpr std::string_view kWithRepeats = "wavetank-schedule 2";
constexpr std::size_t kLineMax = 512;
constexpr std::size_t kScheduleNameMax = 64;
constexpr std::size_t kFieldsMax = 5;
constexpr std::size_t kLooksApartMax = 64;   // decisions, for what goes round

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

void append_stride(std::string& text, std::uint32_t stride) {
  if (stride != 0) text += fmt::format("+{}", stride);
}

// fiber:2:writer, io:1.5:data, timer:3:tick, fiber:9+1
void append_actor(std::string& text, ActorId id, const Schedule& schedule,
                  std::uint32_t stride = 0) {
  text += kActorNames[static_cast<std::size_t>(id.kind())];
  text += ':';
  if (id.kind() == ActorKind::io) text += fmt::format("{}.", id.device());
  text += fmt::format("{}", id.ordinal());
  append_stride(text, stride);
  if (stride != 0) return;
  const auto name = schedule.names.find(id.value());
  if (name == schedule.names.end()) return;
  text += ':';
  text += clean_name(name->second);
}

void append_decision(std::string& text, const Decision& decision, const Schedule& schedule,
                     const Stride& stride = {}) {
  text += "at ";
  append_actor(text, decision.at, schedule, stride.at);
  text += fmt::format(" {}", decision.step);
  append_stride(text, stride.step);
  text += fmt::format(" {}", kChoiceNames[static_cast<std::size_t>(decision.kind)]);
  switch (decision.kind) {
    case ChoiceKind::fire:
      break;
    case ChoiceKind::value:
      text += fmt::format(" {}", decision.value);
      append_stride(text, stride.value);
      break;
    case ChoiceKind::run:
    case ChoiceKind::effect:
    case ChoiceKind::complete:
    case ChoiceKind::step:
      text += ' ';
      append_actor(text, ActorId::from_value(decision.value), schedule, stride.value);
      break;
  }
  text += '\n';
}

struct ReadDecision {
  Decision decision;
  Stride stride;   // only in a repeat
};

// Takes the stride off the end of `text`. False: what is there is none.
bool take_stride(std::string_view& text, std::uint32_t& stride) {
  const std::size_t plus = text.find('+');
  if (plus == std::string_view::npos) return true;
  const auto number = to_number<std::uint32_t>(text.substr(plus + 1));
  if (!number || *number == 0) return false;
  stride = *number;
  text = text.substr(0, plus);
  return true;
}

std::optional<ActorId> to_actor(std::string_view text, Schedule& schedule, std::uint32_t& stride) {
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
  if (!take_stride(number, stride)) return std::nullopt;
  const auto ordinal = to_number<std::uint32_t>(number);
  if (!ordinal || *ordinal > ActorId::kOrdinalMask) return std::nullopt;
  const ActorId id{static_cast<ActorKind>(kind), device, *ordinal};
  if (name_at == std::string_view::npos) return id;
  if (stride != 0) return std::nullopt;   // another each time
  const std::string_view name = text.substr(name_at + 1);
  if (name.empty() || name.size() > kScheduleNameMax || clean_name(name) != name)
    return std::nullopt;
  const auto [known, added] = schedule.names.emplace(id.value(), name);
  if (!added && known->second != name) return std::nullopt;
  return id;
}

std::optional<ReadDecision> to_decision(std::string_view line, Schedule& schedule) {
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
  Stride stride;
  const auto at = to_actor(fields[1], schedule, stride.at);
  if (!at || !take_stride(fields[2], stride.step)) return std::nullopt;
  const auto step = to_number<std::uint32_t>(fields[2]);
  if (!step) return std::nullopt;
  std::size_t kind = 0;
  while (kind < kChoiceNames.size() && kChoiceNames[kind] != fields[3])
    ++kind;
  if (kind == kChoiceNames.size()) return std::nullopt;
  Decision decision{*at, *step, static_cast<ChoiceKind>(kind), 0};
  switch (decision.kind) {
    case ChoiceKind::fire:
      if (count != 4) return std::nullopt;
      return ReadDecision{decision, stride};
    case ChoiceKind::value: {
      if (count != kFieldsMax || !take_stride(fields[4], stride.value)) return std::nullopt;
      const auto value = to_number<std::uint32_t>(fields[4]);
      if (!value) return std::nullopt;
      decision.value = *value;
      return ReadDecision{decision, stride};
    }
    case ChoiceKind::run:
    case ChoiceKind::effect:
    case ChoiceKind::complete:
    case ChoiceKind::step:
      break;
  }
  if (count != kFieldsMax) return std::nullopt;
  const auto actor = to_actor(fields[4], schedule, stride.value);
  if (!actor) return std::nullopt;
  const bool io = decision.kind == ChoiceKind::effect || decision.kind == ChoiceKind::complete;
  if (io && actor->kind() != ActorKind::io) return std::nullopt;
  if (decision.kind == ChoiceKind::step && actor->kind() != ActorKind::step) return std::nullopt;
  decision.value = actor->value();
  return ReadDecision{decision, stride};
}

// Goes through the lines; what is wrong with one is told; null: nothing.
class TextReader {
 public:
  const char* take(std::string_view line, bool first) {
    if (first) return header(line);
    if (ended_) return "text after the end";
    if (line.empty() || line.front() == '#') return nullptr;
    if (line == "end") {
      if (lines_left_ != 0) return "the end comes before all lines of a repeat";
      ended_ = true;
      return nullptr;
    }
    if (repeats_ && line.starts_with(kRepeat)) return begin_repeat(line.substr(kRepeat.size()));
    const auto read = to_decision(line, schedule_);
    if (!read) return "not a decision";
    if (lines_left_ == 0) {
      if (read->stride != Stride{}) return "a stride outside of a repeat";
      schedule_.decisions.push_back(read->decision);
      return nullptr;
    }
    if (!after(read->decision, read->stride, times_ - 1))
      return "a number that becomes too large when it is repeated";
    circle_.push_back(*read);
    if (--lines_left_ == 0) go_round();
    return nullptr;
  }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] Schedule schedule() && { return std::move(schedule_); }

 private:
  static constexpr std::string_view kRepeat = "repeat ";

  const char* header(std::string_view line) {
    repeats_ = line == kWithRepeats;
    return repeats_ || line == kPlain ? nullptr : "not a schedule of version 1 or 2";
  }

  const char* begin_repeat(std::string_view counts) {
    if (lines_left_ != 0) return "a repeat within a repeat";
    const std::size_t space = counts.find(' ');
    if (space == std::string_view::npos) return "not a repeat of so many times so many lines";
    const auto times = to_number<std::uint32_t>(counts.substr(0, space));
    const auto lines = to_number<std::uint32_t>(counts.substr(space + 1));
    if (!times || !lines || *times == 0 || *lines == 0)
      return "not a repeat of so many times so many lines";
    if (*lines > kRepeatLinesMax) return "a repeat of more than 512 lines";
    if (std::uint64_t{*times} * *lines > kRepeatedMax - repeated_)
      return "repeats of more than 33554432 decisions in all";
    repeated_ += std::size_t{*times} * *lines;
    times_ = *times;
    lines_left_ = *lines;
    circle_.clear();
    return nullptr;
  }

  void go_round() {
    for (std::size_t i = 0; i < times_; ++i) {
      for (const ReadDecision& each : circle_)
        schedule_.decisions.push_back(*after(each.decision, each.stride, i));
    }
  }

  Schedule schedule_;
  bool repeats_ = false;   // it may have some
  bool ended_ = false;
  std::size_t repeated_ = 0;
  std::size_t times_ = 0;
  std::size_t lines_left_ = 0;   // of a repeat
  std::vector<ReadDecision> circle_;
};
static_assert(kRepeatLinesMax == 512 && kRepeatedMax == 33554432, "as the texts have it");

}   // namespace

std::string clean_name(std::string_view name) {
  std::string clean{name.substr(0, kScheduleNameMax)};
  for (char& c : clean) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.' || c == '_';
    if (!fine) c = '_';
  }
  return clean;
}

std::string Schedule::to_text() const {
  std::string text;
  std::size_t repeated = 0;
  std::size_t next_look = 0;   // for what goes round
  std::size_t in_vain = 0;
  for (std::size_t i = 0; i < decisions.size();) {
    const std::span<const Decision> rest = std::span{decisions}.subspan(i);
    const auto repeat = i >= next_look ? repeat_at(rest) : std::nullopt;
    const std::size_t all = repeat ? repeat->lines * repeat->times : 0;
    if (repeat && all <= kRepeatedMax - repeated) {
      text += fmt::format("repeat {} {}\n", repeat->times, repeat->lines);
      for (std::size_t line = 0; line < repeat->lines; ++line)
        append_decision(text, rest[line], *this, *stride(rest[line], rest[line + repeat->lines]));
      i += all;
      repeated += all;
      in_vain = 0;
      continue;
    }
    // The longer it was in vain the less often: a schedule by chance has nothing that goes round.
    if (i >= next_look) next_look = i + 1 + std::min(++in_vain / 16, kLooksApartMax);
    append_decision(text, rest.front(), *this);
    ++i;
  }
  text.insert(0, fmt::format("{}\n", repeated != 0 ? kWithRepeats : kPlain));
  text += "end\n";   // so that a truncated file is seen to be one
  return text;
}

Result<Schedule> Schedule::from_text(std::string_view text) {
  TextReader reader;
  std::uint64_t line_number = 0;
  while (!text.empty()) {
    ++line_number;
    const std::size_t newline = text.find('\n');
    if (newline == std::string_view::npos)
      return fail(Errc::invalid, line_number, "the line does not end");
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline + 1);
    if (line.size() > kLineMax) return fail(Errc::invalid, line_number, "the line is too long");
    const char* const wrong = reader.take(line, line_number == 1);
    if (wrong != nullptr) return fail(Errc::invalid, line_number, wrong);
  }
  if (!reader.ended()) return fail(Errc::invalid, line_number + 1, "the end is missing");
  return std::move(reader).schedule();
}

}   // namespace sim
