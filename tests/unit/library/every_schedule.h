// Exploration without a thought, to compare with: every schedule, one after the other; and the
// class of equivalent ones that an execution belongs to, told by what happened to each object.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sim/operation.h"
#include "sim/sampling.h"
#include "sim/strategy.h"

namespace unit {

// Tries everything that can be chosen, with no thought of what depends on what.
class EverySchedule final : public sim::Strategy {
 public:
  static constexpr std::uint32_t kAnyNumber = ~0U;
  // `Where::noticed`: whoever does what others cannot notice goes on at once (SimFiber::unnoticed).
  enum class Where : std::uint8_t { everywhere, noticed };
  explicit EverySchedule(std::uint32_t preemptions = kAnyNumber, Where where = Where::everywhere)
      : preemptions_max_{preemptions}, where_{where} {}
  bool next() {
    while (!nodes_.empty() && ++nodes_.back().at == nodes_.back().ways)
      nodes_.pop_back();
    return !nodes_.empty();
  }
  void begin(std::uint64_t /*seed*/) override {
    place_ = 0;
    preemptions_ = 0;
  }
  bool wants_every_point() const override { return true; }
  std::uint32_t pick(const sim::Choices& choices) override {
    if (where_ == Where::noticed) {
      const std::uint32_t unnoticed = sim::unnoticed(choices, 0);
      if (unnoticed != choices.size()) return unnoticed;
    }
    std::vector<std::uint32_t> ways;
    std::optional<std::uint32_t> self;
    for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
      const sim::SimFiber& fiber = *choices.fibers[i];
      if (!sim::could_go_on(fiber, choices.about_to(fiber))) continue;
      if (&fiber == &choices.self) self = i;
      ways.push_back(i);
    }
    if (self && preemptions_ == preemptions_max_) return *self;
    for (std::uint32_t i = 0; i < choices.steps.size(); ++i)
      ways.push_back(static_cast<std::uint32_t>(choices.fibers.size()) + i);
    if (ways.empty()) return choices.fallback;
    const std::uint32_t chosen = ways[choose(static_cast<std::uint32_t>(ways.size()))];
    if (self && chosen != *self) ++preemptions_;
    return chosen;
  }
  std::uint32_t value(const sim::SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                      std::uint32_t /*one_in*/) override {
    return choose(count);
  }

 private:
  struct Node {
    std::uint32_t at;
    std::uint32_t ways;
  };
  std::uint32_t choose(std::uint32_t ways) {
    if (place_ == nodes_.size()) nodes_.push_back({0, ways});
    return nodes_[place_++].at;
  }
  std::vector<Node> nodes_;
  std::size_t place_ = 0;
  std::uint32_t preemptions_ = 0;
  std::uint32_t preemptions_max_;
  Where where_;
};

// Lets `inner` decide, and notes what is done. Of programs whose fibers are all started by one.
class Told final : public sim::Strategy {
 public:
  explicit Told(sim::Strategy& inner) : inner_{inner} {}
  // The class of the execution just run.
  [[nodiscard]] std::string execution() const {
    std::string all;
    for (const auto& [object, done] : objects_) {
      all += fmt::format("{}:", object);
      // Looks between two changes come in any order, and so do readers between two writers.
      for (std::vector<std::string> group : done) {
        std::sort(group.begin(), group.end());
        all += fmt::format(" {}", fmt::join(group, ","));
      }
      all += '\n';
    }
    for (const auto& [fiber, values] : values_)
      all += fmt::format("{} chose {}\n", fiber, fmt::join(values, ","));
    return all;
  }

  void begin(std::uint64_t seed) override {
    objects_.clear();
    values_.clear();
    inner_.begin(seed);
  }
  bool wants_every_point() const override { return true; }
  std::uint32_t pick(const sim::Choices& choices) override {
    const std::uint32_t index = inner_.pick(choices);
    if (index < choices.fibers.size()) note(choices, *choices.fibers[index]);
    return index;
  }
  std::uint32_t value(const sim::SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override {
    const std::uint32_t chosen = inner_.value(self, what, count, one_in);
    values_[self.id.value()].push_back(chosen);
    return chosen;
  }
  void started(sim::SimFiber& fiber) override { inner_.started(fiber); }
  void touched(const sim::SimFiber& self, const engine::SyncObject& object,
               engine::Access access) override {
    inner_.touched(self, object, access);
  }
  void unchanged(const sim::SimFiber& self, const engine::SyncObject& object) override {
    inner_.unchanged(self, object);
  }
  void woken(const sim::SimFiber& fiber) override { inner_.woken(fiber); }
  void end(std::uint64_t points) override { inner_.end(points); }

 private:
  void note(const sim::Choices& choices, const sim::SimFiber& fiber) {
    using Kind = sim::Operation::Kind;
    const sim::Operation operation = sim::operation_at(fiber, choices.about_to(fiber));
    if (operation.object == 0 || operation.kind == Kind::signal || operation.kind == Kind::wait)
      return;
    std::vector<std::vector<std::string>>& done = objects_[operation.object];
    const bool looks = (!operation.writes && operation.looks) || operation.shares();
    const bool with_others = looks && !done.empty() && done.back().front().starts_with("look");
    if (!with_others) done.emplace_back();
    done.back().push_back(fmt::format("{} by {}", looks ? "look" : "change", fiber.id.value()));
  }

  sim::Strategy& inner_;
  std::map<std::uint32_t, std::vector<std::vector<std::string>>> objects_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> values_;
};

}   // namespace unit
