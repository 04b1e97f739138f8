// The bounded search: probes, which estimate how many executions there would be without reduction.
//
// Those are the leaves of the tree that the search would walk if it stopped at every operation,
// with each that others could notice one, and if it remembered nothing. A random walk down a tree
// that takes each way with a known probability, and multiplies the inverses, has their number for
// its mean, whatever the probabilities are. It varies the less the better they fit the sizes of
// what is below. Where a way costs something little is below it, the less the more there is still
// to come at which the same could be spent; taken like any other, such ways would have spent all of
// it at the beginning of each walk. How much there is to come is a guess: each walk draws one of
// several, and its probability is that of all of them together (the balance heuristic of E. Veach,
// L. Guibas, "Optimally combining sampling techniques for Monte Carlo rendering", 1995), so that no
// walk that one of them has overlooked weighs too much.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/sampling.h"
#include "sim/strategy_bounded.h"

namespace sim {

namespace {

double fraction(Rng& rng) noexcept {
  return rng.next() * 0x1p-32;
}

}   // namespace

void Bounded::probe(std::uint64_t seed) {
  probing_ = true;
  rng_.reseed(seed);
  probe_ways_ = 1;
  const auto binds = [](std::uint32_t bound) { return bound != 0 && bound != Bounds::kNone; };
  pilots_ = !has_piloted_ && (binds(bounds_.preemptions) || binds(bounds_.faults));
  has_piloted_ = true;
  preemption_chances_.now = fault_chances_.now = 0;
  as_probable_.fill(1);
  guess_ = rng_.below(kGuesses.size());
}

void Bounded::end_probes() {
  probing_ = more_shared_ = false;
}

// Who goes on unless interrupted; null: nobody. A probe has all fibers go on at once to where
// somebody could notice, so that whose turn it is is not told by who did.
const SimFiber* Bounded::whose_turn(const Choices& choices) const {
  if (!probing_) return choices.self_runnable ? &choices.self : nullptr;
  const auto found =
      std::find_if(choices.fibers.begin(), choices.fibers.end(),
                   [&](const SimFiber* fiber) { return ThreadPaths::of(*fiber) == turn_; });
  return found == choices.fibers.end() ? nullptr : *found;
}

// Of the executions from a place with `more` ways that cost something, those after one of them, in
// proportion to those after one that costs nothing, where so much may still be spent.
Bounded::ByGuess Bounded::come_by(Chances& chances, double more, std::uint32_t left) noexcept {
  chances.now += more;
  const double to_come = std::max(chances.usual - chances.now, 0.0) + 1;
  ByGuess shares{};
  for (std::size_t i = 0; i < kGuesses.size(); ++i)
    shares.at(i) = std::min(1.0, left / (to_come * kGuesses.at(i)));
  return shares;
}

// So probable was what was drawn.
void Bounded::drawn(const ByGuess& probabilities) noexcept {
  probe_ways_ /= probabilities.at(guess_);
  for (std::size_t i = 0; i < kGuesses.size(); ++i)
    as_probable_.at(i) *= probabilities.at(i) / probabilities.at(guess_);
}

// By whichever guess it could have come about.
double Bounded::estimate() const noexcept {
  const double sum = std::accumulate(as_probable_.begin(), as_probable_.end(), 0.0);
  return probe_ways_ * static_cast<double>(kGuesses.size()) / sum;
}

// Which of ways_.
std::size_t Bounded::draw() {
  const auto count = [this](std::uint32_t cost) {
    return static_cast<double>(std::count_if(ways_.begin(), ways_.end(),
                                             [cost](const Way& way) { return way.cost == cost; }));
  };
  const double free = count(0);
  const double others = static_cast<double>(ways_.size()) - free;
  if (bounds_.preemptions == Bounds::kNone || others == 0 || free == 0) {
    if (bounds_.preemptions != Bounds::kNone) preemption_chances_.now += others;
    probe_ways_ *= static_cast<double>(ways_.size());
    return rng_.below(static_cast<std::uint32_t>(ways_.size()));
  }
  const ByGuess shares = come_by(preemption_chances_, others, bounds_.preemptions - preemptions_);
  const auto weight = [](const Way& way, double share) {
    return std::pow(share, static_cast<double>(way.cost));
  };
  const auto all = [&](double share) {
    return std::accumulate(ways_.begin(), ways_.end(), 0.0,
                           [&](double sum, const Way& way) { return sum + weight(way, share); });
  };
  if (pilots_) return rng_.below(static_cast<std::uint32_t>(free));   // those come first
  double at = all(shares.at(guess_)) * fraction(rng_);
  std::size_t chosen = 0;
  while (chosen + 1 < ways_.size() && at >= weight(ways_[chosen], shares.at(guess_)))
    at -= weight(ways_[chosen++], shares.at(guess_));
  ByGuess probabilities{};
  for (std::size_t i = 0; i < kGuesses.size(); ++i)
    probabilities.at(i) = weight(ways_[chosen], shares.at(i)) / all(shares.at(i));
  drawn(probabilities);
  return chosen;
}

std::uint32_t Bounded::draw_value(std::uint32_t count, std::uint32_t cost) {
  if (cost == 0 || bounds_.faults == Bounds::kNone) {
    probe_ways_ *= count;
    return rng_.below(count);
  }
  if (faults_ >= bounds_.faults) return 0;
  const double others = count - 1;
  const ByGuess shares = come_by(fault_chances_, others, bounds_.faults - faults_);
  if (pilots_) return 0;
  const bool strikes = (1 + others * shares.at(guess_)) * fraction(rng_) >= 1;
  ByGuess probabilities{};
  for (std::size_t i = 0; i < kGuesses.size(); ++i)
    probabilities.at(i) = (strikes ? shares.at(i) : 1) / (1 + others * shares.at(i));
  drawn(probabilities);
  return strikes ? 1 + rng_.below(count - 1) : 0;
}

}   // namespace sim
