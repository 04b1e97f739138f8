#include "sim/shrink.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace sim {

namespace {

class Shrinker {
 public:
  Shrinker(const ShrinkAttempt& attempt, const ShrinkOptions& options, ShrinkTrial first)
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
  static constexpr std::size_t kBatch = 32;
  // Of all candidates of a batch together, but one.
  static constexpr std::size_t kBatchDecisions = 1'000'000;

  [[nodiscard]] std::size_t size() const noexcept { return best_.schedule.decisions.size(); }
  [[nodiscard]] std::size_t batch_max() const {
    return std::clamp<std::size_t>(kBatchDecisions / std::max<std::size_t>(size(), 1), 1, kBatch);
  }
  [[nodiscard]] bool spent() const {
    return tries_ >= options_.tries_max || (options_.out_of_time && options_.out_of_time());
  }

  // Takes the first of the candidates that fails and is smaller. Its index.
  std::optional<std::size_t> take_first(const std::vector<Schedule>& candidates) {
    const std::span<const Schedule> all{candidates};
    std::size_t begin = 0;
    while (begin < all.size() && !spent()) {
      const auto left = static_cast<std::size_t>(
          std::min<std::uint64_t>(all.size() - begin, options_.tries_max - tries_));
      std::optional<ShrinkHit> hit = attempt_(all.subspan(begin, left));
      if (!hit) {
        tries_ += left;
        return std::nullopt;
      }
      tries_ += hit->which + 1;
      begin += hit->which + 1;
      if (!smaller(hit->trial)) continue;
      best_ = std::move(hit->trial);
      return begin - 1;
    }
    return std::nullopt;
  }

  [[nodiscard]] bool smaller(const ShrinkTrial& trial) const {
    const std::size_t count = trial.schedule.decisions.size();
    // Early on, a big cut may cost a preemption; near the end none.
    const std::uint64_t cost = trial.preemptions * 2 + count;
    const std::uint64_t best_cost = best_.preemptions * 2 + size();
    const bool fewer = trial.preemptions < best_.preemptions && cost <= best_cost;
    return cost < best_cost || fewer || lowers_values(trial.schedule);
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

  [[nodiscard]] Schedule without(std::size_t first, std::size_t count) const {
    Schedule candidate = best_.schedule;
    const auto from = candidate.decisions.begin() + static_cast<std::ptrdiff_t>(first);
    candidate.decisions.erase(from, from + static_cast<std::ptrdiff_t>(count));
    return candidate;
  }

  // Halves, quarters and so on (A. Zeller, R. Hildebrandt, "Simplifying and Isolating
  // Failure-Inducing Input", 2002), from the end: what comes late is seldom the cause of what comes
  // before.
  void drop_chunks() {
    if (size() != 0 && take_first({without(0, size())})) return;
    for (std::size_t chunk = size() / 2; chunk > 1 && !spent(); chunk /= 2) {
      while (drop_windows(chunk) && !spent()) {
      }
    }
  }

  // From the end on, next to each other. After a hit the windows before it are still the same.
  bool drop_windows(std::size_t width) {
    bool any = false;
    std::size_t end = size();
    while (end >= width && end != 0 && !spent()) {
      std::vector<Schedule> batch;
      std::size_t next = end;
      for (; next >= width && next != 0 && batch.size() < batch_max(); next -= width)
        batch.push_back(without(next - width, width));
      const auto hit = take_first(batch);
      if (hit) {
        any = true;
        next = std::min(end - *hit * width - width, size());
      }
      end = next;
    }
    return any;
  }

  bool drop_pairs() {
    std::vector<Schedule> batch;
    for (std::size_t i = 0; i < size() && !spent(); ++i) {
      for (std::size_t j = i + 2; j < size(); ++j) {
        Schedule candidate = best_.schedule;
        candidate.decisions.erase(candidate.decisions.begin() + static_cast<std::ptrdiff_t>(j));
        candidate.decisions.erase(candidate.decisions.begin() + static_cast<std::ptrdiff_t>(i));
        batch.push_back(std::move(candidate));
      }
      if (batch.size() >= kBatch && take_first(std::exchange(batch, {}))) return true;
    }
    return take_first(batch).has_value();
  }

  // One preemption at another place may do the work of two.
  bool move_one_drop_another() {
    if (best_.preemptions < 2) return false;
    for (std::size_t dropped = 0; dropped < size(); ++dropped) {
      for (std::size_t moved = 0; moved < size(); ++moved) {
        if (moved == dropped || best_.schedule.decisions[moved].kind != ChoiceKind::run) continue;
        if (spent()) return false;
        const std::uint32_t step = best_.schedule.decisions[moved].step;
        std::vector<Schedule> batch;
        const auto to = [&](std::uint32_t there) {
          Schedule candidate = best_.schedule;
          candidate.decisions[moved].step = there;
          candidate.decisions.erase(candidate.decisions.begin() +
                                    static_cast<std::ptrdiff_t>(dropped));
          batch.push_back(std::move(candidate));
        };
        for (std::uint32_t distance = 1; distance <= kMoveSteps; ++distance) {
          to(step + distance);
          if (distance < step) to(step - distance);
        }
        if (take_first(batch)) return true;
      }
    }
    return false;
  }

  bool lower_values() {
    bool any = false;
    for (std::size_t i = 0; i < size() && !spent(); ++i) {
      if (best_.schedule.decisions[i].kind != ChoiceKind::value) continue;
      std::vector<Schedule> batch;
      for (std::uint32_t value = 1; value < best_.schedule.decisions[i].value && value < 8;
           ++value) {
        batch.push_back(best_.schedule);
        batch.back().decisions[i].value = value;
      }
      any = take_first(batch).has_value() || any;
    }
    return any;
  }

  const ShrinkAttempt& attempt_;
  const ShrinkOptions& options_;
  ShrinkTrial best_;
  std::uint64_t tries_ = 0;
};

}   // namespace

ShrinkAttempt one_by_one(std::function<std::optional<ShrinkTrial>(const Schedule&)> attempt) {
  return [attempt = std::move(attempt)](
             std::span<const Schedule> candidates) -> std::optional<ShrinkHit> {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (std::optional<ShrinkTrial> trial = attempt(candidates[i]))
        return ShrinkHit{i, *std::move(trial)};
    }
    return std::nullopt;
  };
}

std::optional<ShrinkResult> shrink(const Schedule& schedule, const ShrinkAttempt& attempt,
                                   const ShrinkOptions& options) {
  std::optional<ShrinkHit> first = attempt({&schedule, 1});
  if (!first) return std::nullopt;
  return Shrinker{attempt, options, std::move(first->trial)}.run();
}

}   // namespace sim
