#include "sim/shrink.h"

#include <algorithm>

namespace sim {

namespace {

using Attempt = std::function<std::optional<ShrinkTrial>(const Schedule&)>;

class Shrinker {
 public:
  Shrinker(const Attempt& attempt, const ShrinkOptions& options, ShrinkTrial first)
      : attempt_{attempt}, options_{options}, best_{std::move(first)} {}

  ShrinkResult run() {
    drop_chunks();
    bool again = true;
    while (again && !spent()) {
      again = drop_windows(1);
      again = drop_windows(2) || again;
      again = lower_values() || again;
      if (!again && size() <= kPairsMax) again = drop_pairs();
      if (!again && size() <= kMovesMax) again = move_one_drop_another();
    }
    return {std::move(best_), tries_, !again && !spent()};
  }

 private:
  static constexpr std::size_t kPairsMax = 24;
  static constexpr std::size_t kMovesMax = 8;
  static constexpr std::uint32_t kMoveSteps = 64;

  [[nodiscard]] std::size_t size() const noexcept { return best_.schedule.decisions.size(); }
  [[nodiscard]] bool spent() const {
    return tries_ >= options_.tries_max || (options_.out_of_time && options_.out_of_time());
  }

  // Takes the candidate if it fails and is smaller.
  bool take(const Schedule& candidate) {
    ++tries_;
    std::optional<ShrinkTrial> trial = attempt_(candidate);
    if (!trial) return false;
    const std::size_t count = trial->schedule.decisions.size();
    // Early on, a big cut may cost a preemption; near the end none.
    const std::uint64_t cost = trial->preemptions * 2 + count;
    const std::uint64_t best_cost = best_.preemptions * 2 + size();
    const bool fewer = trial->preemptions < best_.preemptions && cost <= best_cost;
    if (cost >= best_cost && !fewer && !lowers_values(trial->schedule)) return false;
    best_ = *std::move(trial);
    return true;
  }

  // Same decisions, smaller values.
  [[nodiscard]] bool lowers_values(const Schedule& other) const {
    const auto& mine = best_.schedule.decisions;
    const auto& theirs = other.decisions;
    if (mine.size() != theirs.size()) return false;
    bool lower = false;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      if (mine[i].at != theirs[i].at || mine[i].step != theirs[i].step ||
          mine[i].kind != theirs[i].kind)
        return false;
      if (mine[i].value == theirs[i].value) continue;
      if (mine[i].kind != ChoiceKind::value || theirs[i].value > mine[i].value) return false;
      lower = true;
    }
    return lower;
  }

  bool drop(std::size_t first, std::size_t count) {
    Schedule candidate = best_.schedule;
    const auto from = candidate.decisions.begin() + static_cast<std::ptrdiff_t>(first);
    candidate.decisions.erase(from, from + static_cast<std::ptrdiff_t>(count));
    return take(candidate);
  }

  // Halves, quarters and so on (A. Zeller, R. Hildebrandt, "Simplifying and Isolating
  // Failure-Inducing Input", 2002), from the end: what comes late is seldom the cause of what comes
  // before.
  void drop_chunks() {
    if (size() != 0 && drop(0, size())) return;
    for (std::size_t chunk = size() / 2; chunk > 1 && !spent(); chunk /= 2) {
      while (drop_windows(chunk) && !spent()) {
      }
    }
  }

  bool drop_windows(std::size_t width) {
    bool any = false;
    std::size_t end = size();
    while (end >= width && end != 0 && !spent()) {
      if (drop(end - width, width)) any = true;
      end = std::min(end - std::min(width, end), size());
    }
    return any;
  }

  bool drop_pairs() {
    for (std::size_t i = 0; i < size() && !spent(); ++i) {
      for (std::size_t j = i + 2; j < size() && !spent(); ++j) {
        Schedule candidate = best_.schedule;
        candidate.decisions.erase(candidate.decisions.begin() + static_cast<std::ptrdiff_t>(j));
        candidate.decisions.erase(candidate.decisions.begin() + static_cast<std::ptrdiff_t>(i));
        if (take(candidate)) return true;
      }
    }
    return false;
  }

  // One preemption at another place may do the work of two.
  bool move_one_drop_another() {
    if (best_.preemptions < 2) return false;
    for (std::size_t dropped = 0; dropped < size(); ++dropped) {
      for (std::size_t moved = 0; moved < size(); ++moved) {
        if (moved == dropped || best_.schedule.decisions[moved].kind != ChoiceKind::run) continue;
        const std::uint32_t step = best_.schedule.decisions[moved].step;
        for (std::uint32_t distance = 1; distance <= kMoveSteps; ++distance) {
          if (spent()) return false;
          if (move_and_drop(moved, step + distance, dropped)) return true;
          if (distance < step && move_and_drop(moved, step - distance, dropped)) return true;
        }
      }
    }
    return false;
  }

  bool move_and_drop(std::size_t moved, std::uint32_t step, std::size_t dropped) {
    Schedule candidate = best_.schedule;
    candidate.decisions[moved].step = step;
    candidate.decisions.erase(candidate.decisions.begin() + static_cast<std::ptrdiff_t>(dropped));
    return take(candidate);
  }

  bool lower_values() {
    bool any = false;
    for (std::size_t i = 0; i < size() && !spent(); ++i) {
      if (best_.schedule.decisions[i].kind != ChoiceKind::value) continue;
      for (std::uint32_t value = 1; value < best_.schedule.decisions[i].value && value < 8;
           ++value) {
        Schedule candidate = best_.schedule;
        candidate.decisions[i].value = value;
        if (!take(candidate)) continue;
        any = true;
        break;
      }
    }
    return any;
  }

  const Attempt& attempt_;
  const ShrinkOptions& options_;
  ShrinkTrial best_;
  std::uint64_t tries_ = 0;
};

}   // namespace

std::optional<ShrinkResult> shrink(const Schedule& schedule, const Attempt& attempt,
                                   const ShrinkOptions& options) {
  std::optional<ShrinkTrial> first = attempt(schedule);
  if (!first) return std::nullopt;
  return Shrinker{attempt, options, *std::move(first)}.run();
}

}   // namespace sim
