#include "sim/strategy_replay.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace sim {

namespace {

bool earlier(const Decision& a, const Decision& b) noexcept {
  return a.at != b.at ? a.at < b.at : a.step < b.step;
}

}   // namespace

Replay::Replay(Schedule schedule) : schedule_{std::move(schedule)} {
  std::sort(schedule_.decisions.begin(), schedule_.decisions.end(), earlier);
}

void Replay::begin(std::uint64_t /*seed*/) {
  divergence_.reset();
  applied_ = 0;
}

void Replay::started(SimFiber& fiber) {
  const Decision key{fiber.id, 0, ChoiceKind::run, 0};
  const auto first =
      std::lower_bound(schedule_.decisions.begin(), schedule_.decisions.end(), key, earlier);
  fiber.replay_cursor = static_cast<std::uint32_t>(first - schedule_.decisions.begin());
  aim(fiber);
  if (schedule_.names.empty()) return;
  const auto name = schedule_.names.find(fiber.id.value());
  if (name != schedule_.names.end() && !divergence_ &&
      clean_name(name->second) != clean_name(fiber.name())) {
    divergence_ = Divergence{key, fmt::format("fiber {} is {} now, was {}", fiber.id.ordinal(),
                                              fiber.name(), name->second)};
  }
}

void Replay::aim(SimFiber& fiber) noexcept {
  const auto& decisions = schedule_.decisions;
  const std::size_t cursor = fiber.replay_cursor;
  const bool any = cursor < decisions.size() && decisions[cursor].at == fiber.id;
  fiber.replay_step = any ? decisions[cursor].step : kNever;
}

const Decision* Replay::due(SimFiber& fiber) {
  while (fiber.replay_step < fiber.steps) {
    diverge(schedule_.decisions[fiber.replay_cursor], "nothing was to be decided there");
    ++fiber.replay_cursor;
    aim(fiber);
  }
  if (fiber.replay_step != fiber.steps) return nullptr;
  const Decision& decision = schedule_.decisions[fiber.replay_cursor];
  ++fiber.replay_cursor;
  aim(fiber);
  return &decision;
}

std::uint32_t Replay::pick(const Choices& choices) {
  const Decision* const decision = due(choices.self);
  if (decision == nullptr) return choices.fallback;
  const ActorId wanted = ActorId::from_value(decision->value);
  if (decision->kind == ChoiceKind::value) {
    diverge(*decision, "a choice was to be made there, not a value");
    return choices.fallback;
  }
  if (decision->kind == ChoiceKind::run) {
    for (const SimFiber* const fiber : choices.fibers) {
      if (fiber->id != wanted) continue;
      ++applied_;
      return fiber->index;
    }
  } else {
    for (const EnvStep* const step : choices.steps) {
      if (step->kind != decision->kind) continue;
      if (step->id != wanted && decision->kind != ChoiceKind::fire) continue;
      ++applied_;
      return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
    }
  }
  diverge(*decision, "that could not happen then");
  return choices.fallback;
}

std::uint32_t Replay::value(const SimFiber& self, const char* /*what*/, std::uint32_t count,
                            std::uint32_t /*one_in*/) {
  // The cursor is the strategy's own part of the fiber.
  const Decision* const decision = due(const_cast<SimFiber&>(self));
  if (decision == nullptr) return 0;
  if (decision->kind != ChoiceKind::value || decision->value >= count) {
    diverge(*decision, "another value was to be chosen there");
    return 0;
  }
  ++applied_;
  return decision->value;
}

// Fair turns are what they were when it was recorded.
void Replay::overruled(const Choices& choices, std::uint32_t /*pick*/) {
  if (due(choices.self) != nullptr) ++applied_;
}

void Replay::end(std::uint64_t /*points*/) {
  if (applied_ == schedule_.decisions.size() || divergence_) return;
  divergence_ =
      Divergence{{},
                 fmt::format("{} of {} decisions were never reached",
                             schedule_.decisions.size() - applied_, schedule_.decisions.size())};
}

void Replay::diverge(const Decision& decision, const char* why) {
  if (divergence_) return;
  Schedule one;
  one.decisions.push_back(decision);
  for (const std::uint32_t id : {decision.at.value(), decision.value}) {
    const auto name = schedule_.names.find(id);
    if (name != schedule_.names.end()) one.names.insert(*name);
  }
  const std::string text = one.to_text();
  const std::size_t first = text.find('\n') + 1;
  divergence_ = Divergence{
      decision, fmt::format("{}: {}", text.substr(first, text.find('\n', first) - first), why)};
}

}   // namespace sim
