// Follows a schedule. Where the schedule no longer fits, says so once and goes on by the rule.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sim/strategy.h"

namespace sim {

// The first decision that could not be carried out.
struct Divergence {
  Decision decision;
  std::string text;   // "at fiber writer#2 step 17: io 1.5 cannot complete now"
};

class Replay final : public Strategy {
 public:
  explicit Replay(Schedule schedule);

  void begin(std::uint64_t seed) override;
  std::uint32_t pick(const Choices& choices) override;
  std::uint32_t value(const SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(SimFiber& fiber) override;
  void overruled(const Choices& choices, std::uint32_t pick) override;
  void end(std::uint64_t points) override;

  // Of the last execution; complete once it has ended.
  [[nodiscard]] const std::optional<Divergence>& divergence() const noexcept { return divergence_; }
  // How many decisions took hold.
  [[nodiscard]] std::size_t applied() const noexcept { return applied_; }

 private:
  static constexpr std::uint32_t kNever = ~0U;
  // The decision of `fiber` at its present step, or null.
  const Decision* due(SimFiber& fiber);
  void aim(SimFiber& fiber) noexcept;
  void diverge(const Decision& decision, const char* why);

  Schedule schedule_;   // decisions ordered by actor and step
  std::optional<Divergence> divergence_;
  std::size_t applied_ = 0;
};

}   // namespace sim
