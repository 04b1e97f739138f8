// The decisions of an execution that its process may not survive, and how far it came: written down
// as it goes, in memory shared with the parent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/program/run.h"
#include "sim/schedule.h"
#include "sim/strategy.h"

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

// Decides as `inner` does, and writes down what deviates from the rule of schedule.h.
class Logged final : public sim::Strategy {
 public:
  Logged(sim::Strategy& inner, DecisionLog& log) noexcept : inner_{inner}, log_{log} {}
  void begin(std::uint64_t seed) override { inner_.begin(seed); }
  [[nodiscard]] bool wants_every_point() const override { return inner_.wants_every_point(); }
  std::uint32_t pick(const sim::Choices& choices) override;
  std::uint32_t value(const sim::SimFiber& self, const char* what, std::uint32_t count,
                      std::uint32_t one_in) override;
  void started(sim::SimFiber& fiber) override { inner_.started(fiber); }
  void end(std::uint64_t points) override { inner_.end(points); }

 private:
  sim::Strategy& inner_;
  DecisionLog& log_;
};

}   // namespace program
