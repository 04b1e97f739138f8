#include "sim/library/explore.h"

#include <utility>

#include "sim/rng.h"
#include "sim/shrink.h"
#include "sim/strategy_dpor.h"
#include "sim/strategy_replay.h"

namespace sim {
namespace {

// Product of the numbers of ways at each operation of a random walk: its mean over walks is the
// number of interleavings (D. Knuth, "Estimating the efficiency of backtrack programs", 1975).
class Probe final : public Strategy {
 public:
  void begin(std::uint64_t seed) override {
    rng_.reseed(seed);
    ways_ = 1;
  }
  std::uint32_t pick(const Choices& choices) override {
    if (choices.fibers.empty()) return choices.fallback;
    const auto fibers = static_cast<std::uint32_t>(choices.fibers.size());
    ways_ *= fibers;
    return rng_.below(fibers);
  }
  std::uint32_t value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                      std::uint32_t /*one_in*/) override {
    ways_ *= count;
    return rng_.below(count);
  }
  [[nodiscard]] double ways() const noexcept { return ways_; }

 private:
  Rng rng_;
  double ways_ = 1;
};

double interleavings(const Program& program, const ExploreOptions& options) {
  double sum = 0;
  std::uint32_t ended = 0;
  Execution execution;
  Probe probe;
  for (std::uint32_t i = 0; i < options.probes; ++i) {
    execution.reset({.seed = i, .strategy = &probe, .points_max = options.points_max});
    if (execution.run(program).finding) continue;
    sum += probe.ways();
    ++ended;
  }
  return ended == 0 ? 0 : sum / ended;
}

}   // namespace

Exploration explore(const Program& program, const ExploreOptions& options) {
  Exploration result;
  result.interleavings = interleavings(program, options);
  Dpor search;
  Execution execution;
  for (;;) {
    execution.reset({.strategy = &search, .points_max = options.points_max});
    const Outcome& outcome = execution.run(program);
    if (outcome.finding) {
      result.found = shrunk(program, outcome,
                            {.points_max = options.points_max,
                             .lock_order = false,
                             .shrink_tries = options.shrink_tries});
      result.found->ordinal = result.executions + result.cut_short + 1;
      break;
    }
    ++(search.was_cut_short() ? result.cut_short : result.executions);
    if (!search.next()) {
      result.complete = true;
      break;
    }
    if (result.executions + result.cut_short >= options.executions_max) break;
  }
  result.done = result.complete ? 1 : search.done();
  if (search.fixed_environment())
    result.limits = "timers fired and I/O happened only when every fiber was waiting";
  return result;
}

}   // namespace sim
