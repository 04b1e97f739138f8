#include "sim/program/strategies.h"

#include "sim/strategy_pct.h"
#include "sim/strategy_pos.h"
#include "sim/strategy_random.h"

namespace program {
namespace {

// PCT spreads its change points over an expected number of choices. What was learnt from earlier
// runs would make a seed mean different things at different times, so several lengths take turns.
constexpr std::array<std::uint64_t, 3> kPctLengths{100, 400, 1600};

std::unique_ptr<sim::Strategy> pct(std::uint64_t length) {
  return std::make_unique<sim::Pct>(sim::Pct::Options{.depth_max = 4, .choices_expected = length});
}

}   // namespace

std::vector<NamedThing> list_strategies() {
  return {{"portfolio", "the others in turn, dealt out by seed"},
          {"random", "random walk, with a temper that varies from seed to seed"},
          {"pct", "probabilistic concurrency testing: few priority changes, up to depth 4"},
          {"pos", "partial-order sampling: a random priority for each operation"}};
}

bool StrategyBox::choose(std::string_view name) {
  dealt_.clear();
  const bool all = name == "portfolio";
  if (all || name == "random") dealt_.push_back(std::make_unique<sim::RandomWalk>());
  if (all || name == "pct") {
    for (const std::uint64_t length : kPctLengths)
      dealt_.push_back(pct(length));
  }
  if (all || name == "pos") dealt_.push_back(std::make_unique<sim::Pos>());
  if (all) dealt_.push_back(std::make_unique<sim::RandomWalk>());
  return !dealt_.empty();
}

sim::Strategy& StrategyBox::for_seed(std::uint64_t seed) {
  return *dealt_[seed % dealt_.size()];
}

}   // namespace program
