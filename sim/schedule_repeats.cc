#include "sim/schedule_repeats.h"

#include <algorithm>
#include <limits>

namespace sim {
namespace {

constexpr std::size_t kTimesMin = 4;
constexpr std::size_t kDecisionsMin = 64;   // fewer stay as they are, one a line
constexpr std::size_t kTimesPlenty = 64;    // no longer circle is looked for

// A decision's value is a number, or whose the step is.
bool names_actor(ChoiceKind kind) noexcept {
  return kind != ChoiceKind::value && kind != ChoiceKind::fire;
}

bool same_row(ActorId a, ActorId b) noexcept {
  return a.kind() == b.kind() && a.device() == b.device();
}

std::optional<std::uint32_t> higher(std::uint32_t number, std::uint32_t by, std::uint64_t times,
                                    std::uint32_t most) {
  const std::uint64_t most_times = by == 0 ? 0 : (most - std::min(number, most)) / by;
  if (number > most || (by != 0 && times > most_times)) return std::nullopt;
  return number + static_cast<std::uint32_t>(by * times);
}

std::optional<ActorId> later(ActorId actor, std::uint32_t by, std::uint64_t times) {
  const auto ordinal = higher(actor.ordinal(), by, times, ActorId::kOrdinalMask);
  if (!ordinal) return std::nullopt;
  return ActorId{actor.kind(), actor.device(), *ordinal};
}

bool goes_round(const Decision& first, const Decision& second, const Decision& third) {
  const std::optional<Stride> by = stride(first, second);
  return by && stride(second, third) == by;
}

}   // namespace

std::optional<Stride> stride(const Decision& from, const Decision& to) {
  if (from.kind != to.kind || !same_row(from.at, to.at)) return std::nullopt;
  if (names_actor(from.kind) &&
      !same_row(ActorId::from_value(from.value), ActorId::from_value(to.value)))
    return std::nullopt;
  if (to.at < from.at || to.step < from.step || to.value < from.value) return std::nullopt;
  return Stride{to.at.value() - from.at.value(), to.step - from.step, to.value - from.value};
}

std::optional<Decision> after(const Decision& first, const Stride& stride, std::uint64_t times) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  const auto at = later(first.at, stride.at, times);
  const auto step = higher(first.step, stride.step, times, kMost);
  if (!at || !step) return std::nullopt;
  if (!names_actor(first.kind)) {
    const auto value = higher(first.value, stride.value, times, kMost);
    if (!value) return std::nullopt;
    return Decision{*at, *step, first.kind, *value};
  }
  const auto actor = later(ActorId::from_value(first.value), stride.value, times);
  if (!actor) return std::nullopt;
  return Decision{*at, *step, first.kind, actor->value()};
}

std::optional<Repeat> repeat_at(std::span<const Decision> decisions) {
  std::optional<Repeat> best;
  std::size_t saved = 0;
  const std::size_t most = std::min(kRepeatLinesMax, decisions.size() / kTimesMin);
  for (std::size_t lines = 1; lines <= most; ++lines) {
    std::size_t round = 0;
    while (round + 2 * lines < decisions.size() &&
           goes_round(decisions[round], decisions[round + lines], decisions[round + 2 * lines]))
      ++round;
    if (round == 0) continue;
    const Repeat repeat{lines, (round + 2 * lines) / lines};
    const std::size_t all = repeat.times * lines;
    if (repeat.times < kTimesMin || all < kDecisionsMin) continue;
    if (all - lines > saved) {
      best = repeat;
      saved = all - lines;
    }
    if (repeat.times >= kTimesPlenty) break;
  }
  return best;
}

}   // namespace sim
