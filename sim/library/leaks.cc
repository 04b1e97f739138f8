#include "sim/library/leaks.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "sim/library/crashes.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

constexpr int kRuns = 3;
constexpr std::size_t kBlocksTold = 5;
constexpr std::uint32_t kVainLooks = 8;   // before they become seldom

std::string amount(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

Finding describe(const std::vector<Takings::Block>& lost) {
  Finding finding;
  finding.kind = FindingKind::leak;
  finding.place = "memory never freed";   // one for all: stacks differ between compilers
  std::size_t bytes = 0;
  for (const Takings::Block& block : lost)
    bytes += block.bytes;
  finding.message = fmt::format("{} in {} lost, each time this schedule is run",
                                amount(bytes, "byte"), amount(lost.size(), "block"));
  for (std::size_t i = 0; i < std::min(lost.size(), kBlocksTold); ++i) {
    const Takings::Block& block = lost[i];
    finding.detail += fmt::format("{} takes {} at step {}; in the end nothing points to it\n",
                                  block.fiber, amount(block.bytes, "byte"), block.point);
    finding.add_place(block.stack);
  }
  if (lost.size() > kBlocksTold)
    finding.detail += fmt::format("and {} more\n", amount(lost.size() - kBlocksTold, "block"));
  finding.fiber = lost.front().fiber;
  finding.point = lost.front().point;
  return finding;
}

}   // namespace

const Outcome& LeakWatch::run(const Program& program) {
  takings_.begin();
  const Outcome& outcome = execution_.run(program);
  takings_.end();
  if (wanted_ && !takings_.looked()) blind_ = true;
  return outcome;
}

bool LeakWatch::lost() {
  const bool lost = look();
  takings_.let_go();   // to whoever runs the program once more
  return lost;
}

bool LeakWatch::look() {
  const std::size_t left = wanted_ ? takings_.left() : 0;
  if (left == 0 || execution_.outcome().finding) return false;   // who fails frees nothing
  if (takings_.held_as_before()) return false;
  std::uint32_t& in_vain = in_vain_[left];
  if (looks_ == Looks::each_time || in_vain < kVainLooks || std::has_single_bit(in_vain)) {
    const auto lost = takings_.lost();
    if (!lost) unscannable_ = lost.error();
    if (lost && !lost->empty()) return true;
  }
  ++in_vain;
  return false;
}

std::string LeakWatch::not_looked_for() const {
  if (!unscannable_.empty())
    return fmt::format("leaks, where an execution leaves memory behind: {}", unscannable_);
  if (!blind_) return {};
  return fmt::format(
      "leaks, where operator new is the program's own or a sanitizer's, or more than {} searches "
      "run "
      "at the same time",
      ProgramHeap::kHeapsMax);
}

std::optional<LeakTrial> leak_of(const Program& program, const Schedule& schedule,
                                 const SearchOptions& options) {
  const CrashesAreFindings crashes;
  Execution execution{{.stack_bytes = options.stack_bytes}};
  std::vector<Takings::Block> lost;
  for (int i = 0; i < kRuns; ++i) {
    Replay strategy{schedule};
    execution.reset({.strategy = &strategy,
                     .points_max = options.points_max,
                     .fair_end = options.fair_end,
                     .timers_race = options.timers_race});
    Takings takings{execution, i == kRuns - 1 ? Takings::Detail::yes : Takings::Detail::no};
    takings.begin();
    const Outcome& outcome = execution.run(program);
    takings.end();
    if (outcome.finding || takings.left() == 0) return std::nullopt;
    auto looked = takings.lost();
    if (!looked || looked->empty()) return std::nullopt;
    lost = *std::move(looked);
  }
  const Outcome& outcome = execution.outcome();
  return LeakTrial{describe(lost), outcome.schedule, outcome.preemptions, outcome.digest};
}

std::optional<Outcome> with_leak(const Program& program, const Outcome& outcome,
                                 const SearchOptions& options) {
  std::optional<LeakTrial> leak = leak_of(program, outcome.schedule, options);
  if (!leak) return std::nullopt;
  Outcome found = outcome;
  found.finding = std::move(leak->finding);
  return found;
}

}   // namespace sim
