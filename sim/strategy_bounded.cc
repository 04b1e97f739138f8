#include "sim/strategy_bounded.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace sim {

using engine::OpKind;
using engine::Point;

namespace {

constexpr std::uint32_t kValuesMax = 256;   // of one choice
// So begins the name of a choice that does not offer all there is.
constexpr std::string_view kSomeOf = "some of";

// The finalizer of splitmix64.
std::uint64_t mixed(std::uint64_t value) noexcept {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ value >> 30U) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ value >> 27U) * 0x94D049BB133111EBULL;
  return value ^ value >> 31U;
}
}   // namespace

std::uint64_t Bounded::mix(std::uint64_t a, std::uint64_t b) noexcept {
  return mixed(mixed(a) + b);
}

std::uint64_t Bounded::hash_of(const engine::SyncObject& object) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325ULL + static_cast<std::uint64_t>(object.kind);
  for (const char* at = object.name; at != nullptr && *at != 0; ++at)
    hash = (hash ^ static_cast<unsigned char>(*at)) * 0x100000001B3ULL;   // FNV-1a
  return hash;
}

// --- one execution ---

void Bounded::begin(std::uint64_t /*seed*/) {
  ++execution_;
  paths_.begin();
  steps_.clear();
  at_ = 0;
  length_ = probing_ ? 0 : fixed_;
  picks_ = sum_ = 0;
  preemptions_ = faults_ = 0;
  running_ = ThreadPaths::kRoot;
  pair_ = kNobody;
  free_running_ = cut_short_ = new_ = follow_rule_ = false;
  for (Actor& actor : actors_) {
    actor.chain = actor.seen_at = 0;
    actor.acts = actor.aside = actor.waits_for_change = false;
    actor.read.clear();
  }
}

void Bounded::started(SimFiber& fiber) {
  const Id parent = running_;
  const Id id = paths_.started(fiber, parent);
  if (actors_.size() <= id) actors_.resize(id + 1);
  actors_[id].acts = true;
  set_chain(id, mix(actors_[parent].chain, id));
}

void Bounded::end(std::uint64_t /*points*/) {
  if (probing_) {
    probe_ways_ = 0;
    for (const double ways : interruptions_)
      probe_ways_ += probe_base_ * ways;
    return;
  }
  if (!cut_short_) new_ = classes_.insert(sum_).second;
}

void Bounded::set_chain(Id id, std::uint64_t chain) {
  Actor& actor = actors_[id];
  sum_ += mix(chain, id) - (actor.chain != 0 ? mix(actor.chain, id) : 0);
  actor.chain = chain;
}

std::uint32_t Bounded::pick(const Choices& choices) {
  if (free_running_) return choices.fallback;
  ++picks_;
  note_new(choices);
  note_yield(choices);
  if (pair_ != kNobody) return finish_pair(choices);
  for (EnvStep* const step : choices.steps) {
    // A step that need not happen was called for, so it happens at once.
    if (step->duty == EnvStep::Duty::must_happen) continue;
    take_step(choices, *step);
    return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
  }
  if (!bounds_.schedules || follow_rule_) return take_rule(choices);
  const bool goes_on = choices.self_runnable && can_go_on(choices.self, &choices.point);
  if (goes_on && !probing_ && !worth_stopping(choices.self, &choices.point))
    return go_on(choices, choices.self.index);
  if (!probing_ && bounds_.preemptions == Bounds::kNone) {
    if (const std::uint32_t index = find_local(choices); index != kNobody)
      return go_on(choices, index);
  }
  const bool gave_way = choices.point.op == OpKind::yield;
  collect(choices, goes_on && !gave_way);
  if (ways_.empty()) collect_attempts(choices);
  if (ways_.empty()) return look_again(choices);
  std::size_t chosen = 0;
  if (ways_.size() > 1) chosen = decide(choices, goes_on && !gave_way);
  if (chosen == ways_.size()) {
    cut_short_ = free_running_ = true;
    return choices.fallback;
  }
  return take(choices, ways_[chosen], goes_on);
}

std::size_t Bounded::decide(const Choices& choices, bool goes_on) {
  if (probing_) return draw(goes_on);
  if (at_ < fixed_) {
    const Node& node = nodes_[at_++];
    const Id wanted = node.ways[node.at].actor;
    for (std::size_t i = 0; i < ways_.size() && !node.is_value; ++i) {
      if (ways_[i].actor == wanted) return i;
    }
    ENGINE_CHECK(false, "the program differs from one run to the next");
  }
  std::uint64_t state = sum_;
  if (goes_on) state += mix(ThreadPaths::of(choices.self), 1);
  for (const EnvStep* const step : by_age_) {
    const auto id = static_cast<Id>(step->priority - 1);
    if (actors_[id].aside) state += mix(id, 2);
  }
  const auto [at, is_new] = seen_.emplace(state, preemptions_);
  if (!is_new && at->second <= preemptions_) return ways_.size();
  at->second = preemptions_;
  new_node(false).ways = ways_;
  ++at_;
  return 0;
}

// A probe: any way where nobody is interrupted; where somebody would be, the ways are counted and
// nobody is, as such places are many and interruptions are few.
std::size_t Bounded::draw(bool goes_on) {
  if (bounds_.preemptions == Bounds::kNone) {
    probe_base_ *= static_cast<double>(ways_.size());
    return rng_.below(static_cast<std::uint32_t>(ways_.size()));
  }
  std::uint32_t free = 0;
  for (const Way& way : ways_)
    free += way.cost == 0 ? 1 : 0;
  const auto dear = static_cast<double>(ways_.size() - free);
  for (std::size_t i = std::min<std::size_t>(bounds_.preemptions, interruptions_.size() - 1); i > 0;
       --i)
    interruptions_[i] += interruptions_[i - 1] * dear;
  if (goes_on || free == 0) return 0;
  probe_base_ *= free;
  std::uint32_t chosen = rng_.below(free);
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (ways_[i].cost == 0 && chosen-- == 0) return i;
  }
  return 0;
}

Bounded::Node& Bounded::new_node(bool is_value) {
  if (nodes_.size() == length_) nodes_.emplace_back();
  Node& node = nodes_[length_++];
  node.at = 0;
  node.began = searched_;
  node.is_value = is_value;
  return node;
}

std::uint32_t Bounded::value(const SimFiber& /*self*/, const char* what, std::uint32_t count,
                             std::uint32_t one_in) {
  if (free_running_) return 0;
  const auto& indifferent = bounds_.indifferent;
  if (std::find(indifferent.begin(), indifferent.end(), what) != indifferent.end()) return 0;
  const std::uint32_t cost = one_in > 1 ? 1 : 0;
  std::uint32_t chosen = 0;
  if (count > kValuesMax) {
    ++partial_[what];
  } else if (probing_) {
    if (cost == 0) {
      probe_base_ *= count;
      chosen = rng_.below(count);
    }
  } else if (cost == 0 || faults_ < bounds_.faults) {
    if (at_ >= fixed_) {
      if (std::string_view{what}.starts_with(kSomeOf)) ++partial_[what];
      Node& node = new_node(true);
      node.ways.clear();
      for (std::uint32_t i = 0; i < count; ++i)
        node.ways.push_back({kNobody, i, i == 0 ? 0 : cost});
    }
    const Node& node = nodes_[at_++];
    ENGINE_CHECK(node.is_value && node.ways.size() == count,
                 "the program differs from one run to the next");
    chosen = node.ways[node.at].index;
    faults_ += node.ways[node.at].cost;
  }
  set_chain(running_, mix(actors_[running_].chain, chosen + 1));
  return chosen;
}

// --- from one execution to the next ---

bool Bounded::next() {
  ++searched_;
  if (std::exchange(more_shared_, false) && bounds_.schedules) {
    start_anew();
    return true;
  }
  if (depths_.size() < length_) depths_.resize(length_);
  while (length_ != 0) {
    Node& node = nodes_[length_ - 1];
    Depth& depth = depths_[length_ - 1];
    ++depth.ways;
    depth.executions += searched_ - node.began;
    node.began = searched_;
    if (++node.at < node.ways.size()) break;
    --length_;
  }
  fixed_ = length_;
  return length_ != 0;
}

void Bounded::start_anew() {
  length_ = fixed_ = 0;
  searched_ = 0;
  depths_.clear();
  seen_.clear();
}

void Bounded::probe(std::uint64_t seed) {
  probing_ = true;
  rng_.reseed(seed);
  probe_base_ = 1;
  interruptions_.fill(0);
  interruptions_[0] = 1;
}

void Bounded::end_probes() {
  probing_ = more_shared_ = false;
}

std::string Bounded::left_out() const {
  std::string all;
  for (const auto& [what, times] : partial_)
    all += fmt::format("{}{} times not every answer to '{}'", all.empty() ? "" : "; ", times, what);
  return all;
}

// Of depths at which no way has been tried to the end, the next one's cost stands for theirs.
double Bounded::done() const {
  double left = 0;
  double of_one = 1;
  for (std::uint32_t i = length_; i-- != 0;) {
    // An execution that ended the exploration may have been deeper than all before it.
    if (i < depths_.size() && depths_[i].ways != 0)
      of_one = static_cast<double>(depths_[i].executions) / static_cast<double>(depths_[i].ways);
    left += of_one * static_cast<double>(nodes_[i].ways.size() - nodes_[i].at);
  }
  const auto behind = static_cast<double>(searched_);
  return behind == 0 ? 0 : behind / (behind + left);
}

}   // namespace sim
