// Around a strategy, for who wants to see or change some of its decisions: what is not overridden
// is the inner one's, which is told all that it would be told without this.
#pragma once

#include "sim/strategy.h"

namespace sim {

class StrategyAround : public Strategy {
 public:
  explicit StrategyAround(Strategy& inner) noexcept : inner_{inner} {}

  void forget() override { inner_.forget(); }
  [[nodiscard]] bool will_learn() const override { return inner_.will_learn(); }
  [[nodiscard]] bool keeps_learning() const override { return inner_.keeps_learning(); }
  void begin(std::uint64_t seed) override { inner_.begin(seed); }
  [[nodiscard]] bool wants_every_point() const override { return inner_.wants_every_point(); }
  std::uint32_t pick(const Choices& choices) override { return inner_.pick(choices); }
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override {
    return inner_.value(self, what, count, one_in);
  }
  void started(SimFiber& fiber) override { inner_.started(fiber); }
  void renewed(SimFiber& fiber) override { inner_.renewed(fiber); }
  void touched(const SimFiber& self, const engine::SyncObject& object,
               engine::Access access) override {
    inner_.touched(self, object, access);
  }
  void unchanged(const SimFiber& self, const engine::SyncObject& object) override {
    inner_.unchanged(self, object);
  }
  void woken(const SimFiber& fiber) override { inner_.woken(fiber); }
  void overruled(const Choices& choices, std::uint32_t pick) override {
    inner_.overruled(choices, pick);
  }
  void end(std::uint64_t points) override { inner_.end(points); }

 private:
  Strategy& inner_;
};

}   // namespace sim
