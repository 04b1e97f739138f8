#include "sim/strategies.h"

#include <algorithm>
#include <array>

#include "sim/strategy_guided.h"
#include "sim/strategy_pct.h"
#include "sim/strategy_portfolio.h"
#include "sim/strategy_pos.h"
#include "sim/strategy_random.h"
#include "sim/strategy_stall.h"
#include "sim/strategy_surw.h"

namespace sim {
namespace {

constexpr std::array kNames{
    StrategyName{"portfolio", "all but urw; who finds what is new gets more of the schedules"},
    StrategyName{"random", "random walk, with a temper that varies from seed to seed"},
    StrategyName{"pct", "probabilistic concurrency testing: few priority changes, up to depth 4"},
    StrategyName{"pos", "partial-order sampling: a random priority for each operation"},
    StrategyName{"stall", "a few fibers and I/Os stop early and stay behind"},
    StrategyName{"urw", "uniform random walk: who has more left to do goes on more often"},
    StrategyName{"surw", "the same for the operations on a few objects, others in each execution"},
    StrategyName{"guided",
                 "seeks reads of writes that were never seen, from what earlier ones saw"},
};

}   // namespace

std::span<const StrategyName> strategy_names() noexcept {
  return kNames;
}

bool StrategyBox::choose(std::string_view names) {
  names_ = names;
  dealt_.clear();
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    if (!add(names.substr(0, comma))) return false;
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return !dealt_.empty();
}

bool StrategyBox::add(std::string_view name) {
  const std::size_t before = dealt_.size();
  if (name == "portfolio") dealt_.push_back(std::make_unique<Portfolio>());
  if (name == "random") dealt_.push_back(std::make_unique<RandomWalk>());
  if (name == "pct") {
    // Learns the length.
    dealt_.push_back(std::make_unique<Pct>(Pct::Options{.depth_max = 4, .steps_expected = 0}));
  }
  if (name == "pos") dealt_.push_back(std::make_unique<Pos>());
  if (name == "stall") dealt_.push_back(std::make_unique<Stall>());
  if (name == "urw") dealt_.push_back(std::make_unique<Surw>(Surw::Selection::everything));
  if (name == "surw") dealt_.push_back(std::make_unique<Surw>(Surw::Selection::few_objects));
  if (name == "guided") dealt_.push_back(std::make_unique<Guided>());
  return dealt_.size() != before;
}

Strategy& StrategyBox::for_seed(std::uint64_t seed) {
  return *dealt_[seed % dealt_.size()];
}

bool StrategyBox::keeps_learning() const {
  return std::any_of(dealt_.begin(), dealt_.end(),
                     [](const auto& strategy) { return strategy->keeps_learning(); });
}

void StrategyBox::start_afresh() {
  static_cast<void>(choose(std::string{names_}));
}

void StrategyBox::forget() {
  for (const std::unique_ptr<Strategy>& strategy : dealt_)
    strategy->forget();
}

}   // namespace sim
