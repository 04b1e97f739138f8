// The decisions of an execution that its process may not survive, and how far it came: written down
// as it goes, in memory shared with the parent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/program/run.h"
#include "sim/schedule.h"
#include "sim/strategy_around.h"

namespace program {

class DecisionLog {
 public:
  DecisionLog();
  ~DecisionLog();
  DecisionLog(const DecisionLog&) = delete;
  DecisionLog& operator=(const DecisionLog&) = delete;

  // What was written so far. Empty when there was more than the log has room for.
  [[nodiscard]] sim::Schedule schedule() const;
  [[nodiscard]] std::uint64_t preemptions() const noexcept;
  [[nodiscard]] Phase phase() const noexcept;
  // The execution that it is of, by the number that it was begun with.
  [[nodiscard]] std::size_t which() const noexcept;
  void begin(std::size_t which) noexcept;
  void add(const sim::Decision& decision) noexcept;
  void count_preemption() noexcept;
  void enter(Phase phase) noexcept;

 private:
  struct Page;
  Page* page_ = nullptr;
};

// Writes down what deviates from the rule of schedule.h.
class Logged final : public sim::StrategyAround {
 public:
  Logged(sim::Strategy& inner, DecisionLog& log) noexcept : StrategyAround{inner}, log_{log} {}
  std::uint32_t pick(const sim::Choices& choices) override;
  std::uint32_t value(const sim::SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void overruled(const sim::Choices& choices, std::uint32_t pick) override;

 private:
  void write_down(const sim::Choices& choices, std::uint32_t pick);

  DecisionLog& log_;
};

}   // namespace program
