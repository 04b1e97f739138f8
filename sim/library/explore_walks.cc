#include "sim/library/explore_walks.h"

#include <algorithm>

#include "sim/library/takings.h"
#include "sim/sampling.h"
#include "sim/strategy_replay.h"

namespace sim {

namespace {

// Where all of them fail nothing is learnt, and some take long for it.
constexpr std::uint32_t kInVain = 10;
// A few within bounds also tell which objects are shared.
constexpr std::uint32_t kWithinBoundsMin = 4;

}   // namespace

void AnyWalk::begin(std::uint64_t seed) {
  rng_.reseed(seed);
  ways_ = 1;
}

std::uint32_t AnyWalk::pick(const Choices& choices) {
  if (const std::uint32_t first = unnoticed(choices, 0); first != choices.size()) return first;
  can_go_on_.clear();
  for (std::uint32_t i = 0; i < choices.fibers.size(); ++i) {
    const bool gives_way = choices.fibers[i] == &choices.self && choices.fallback != i;
    if (!gives_way && can_go_on(choices, i)) can_go_on_.push_back(i);
  }
  if (can_go_on_.empty()) return choices.fallback;
  const auto ways = static_cast<std::uint32_t>(can_go_on_.size());
  ways_ *= ways;
  return can_go_on_[rng_.below(ways)];
}

std::uint32_t AnyWalk::value(const SimFiber& /*self*/, const char* /*what*/, std::uint32_t count,
                             std::uint32_t /*one_in*/) {
  ways_ *= count;
  return rng_.below(count);
}

void ExploreWalks::begin(Bounded* search) {
  search_ = search;
  estimate_ = {};
  walked_ = 0;
  one_ended_ = false;
  // The first within bounds counts little.
  const std::uint32_t min = search != nullptr ? kWithinBoundsMin : 0;
  const std::uint32_t walks =
      search != nullptr ? std::max(options_.probes + 1, min) : options_.probes;
  while (walked_ < walks && (one_ended_ || walked_ < kInVain)) {
    if (differ_ || (walked_ >= min && limit_.over())) break;
    walk();
  }
  if (search != nullptr) search->end_probes();
}

void ExploreWalks::go_on(std::uint64_t walks_max) {
  if (options_.probes == 0 || estimate_.walks() == 0) return;
  for (; walks_max != 0 && estimate_.is_wide() && !limit_.over(); --walks_max)
    walk();
  if (search_ != nullptr) search_->end_probes();
}

void ExploreWalks::walk() {
  const std::uint32_t number = walked_++;
  if (search_ != nullptr) {
    search_->probe(number);
    execution_.reset({.strategy = search_, .points_max = options_.points_max, .timers_race = true});
  } else {
    execution_.reset({.seed = number, .strategy = &any_, .points_max = options_.points_max});
  }
  const Outcome& outcome = run_on_own_heap(execution_, program_);
  if (outcome.finding) {
    if (!failed_) {
      failed_ = outcome;
      timers_raced_ = search_ != nullptr;
    }
    return;
  }
  if (!one_ended_ && options_.probes != 0) run_again(outcome);
  one_ended_ = true;
  const std::optional<double> ways = search_ != nullptr ? search_->ways() : any_.ways();
  if (ways) estimate_.add(*ways);
}

// The walk that comes to its end first, under the same schedule.
void ExploreWalks::run_again(const Outcome& outcome) {
  Execution again{{.stack_bytes = options_.stack_bytes}};
  Replay strategy{outcome.schedule};
  again.reset({.strategy = &strategy,
               .points_max = options_.points_max,
               .timers_race = search_ != nullptr});
  differ_ = again.run(program_).digest != outcome.digest;
}

}   // namespace sim
