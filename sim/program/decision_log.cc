#include "sim/program/decision_log.h"

#include <array>
#include <new>
#include <type_traits>

#include <sys/mman.h>

#include "sim/operation.h"

namespace program {

using sim::ChoiceKind;
using sim::Decision;

struct DecisionLog::Page {
  std::uint32_t count = 0;
  Phase phase{};
  std::uint64_t preemptions = 0;
  std::size_t which = 0;
  std::array<Decision, std::size_t{1} << 18U> decisions;
};
static_assert(std::is_trivially_copyable_v<Decision>);

DecisionLog::DecisionLog() {
  void* const memory =
      mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc{};
  page_ = static_cast<Page*>(memory);   // zeroes, which is an empty log
}

DecisionLog::~DecisionLog() {
  munmap(page_, sizeof(Page));
}

void DecisionLog::begin(std::size_t which) noexcept {
  page_->which = which;
  page_->count = 0;
  page_->preemptions = 0;
  page_->phase = Phase::setup;
}

void DecisionLog::count_preemption() noexcept {
  ++page_->preemptions;
}

void DecisionLog::enter(Phase phase) noexcept {
  page_->phase = phase;
}

std::uint64_t DecisionLog::preemptions() const noexcept {
  return page_->preemptions;
}

std::size_t DecisionLog::which() const noexcept {
  return page_->which;
}

Phase DecisionLog::phase() const noexcept {
  return page_->phase;
}

void DecisionLog::add(const Decision& decision) noexcept {
  if (page_->count < page_->decisions.size()) page_->decisions[page_->count] = decision;
  ++page_->count;
}

sim::Schedule DecisionLog::schedule() const {
  sim::Schedule schedule;
  if (page_->count > page_->decisions.size()) return schedule;
  schedule.decisions.assign(page_->decisions.begin(), page_->decisions.begin() + page_->count);
  return schedule;
}

std::uint32_t Logged::pick(const sim::Choices& choices) {
  const std::uint32_t pick = StrategyAround::pick(choices);
  write_down(choices, pick);
  return pick;
}

void Logged::overruled(const sim::Choices& choices, std::uint32_t pick) {
  StrategyAround::overruled(choices, pick);
  write_down(choices, pick);
}

void Logged::write_down(const sim::Choices& choices, std::uint32_t pick) {
  const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
  const bool goes_on = choices.self_runnable && choices.fallback == choices.self.index &&
                       could_go_on(choices.self, &choices.point);
  if (goes_on && pick < fibers && pick != choices.self.index) log_.count_preemption();
  if (pick == choices.fallback) return;
  if (pick < fibers) {
    log_.add(
        {choices.self.id, choices.self.steps, ChoiceKind::run, choices.fibers[pick]->id.value()});
  } else {
    const sim::EnvStep& step = *choices.steps[pick - fibers];
    log_.add({choices.self.id, choices.self.steps, step.kind,
              step.kind == ChoiceKind::fire ? 0 : step.id.value()});
  }
}

std::uint32_t Logged::value(const sim::SimFiber& self, const char* what, std::uint32_t count,
                            std::uint32_t one_in) {
  const std::uint32_t value = StrategyAround::value(self, what, count, one_in);
  if (value != 0) log_.add({self.id, self.steps, ChoiceKind::value, value});
  return value;
}

}   // namespace program
