// The bounded search: one execution, and from one to the next.
#include "sim/strategy_bounded.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "sim/sampling.h"

namespace sim {

using engine::OpKind;
using engine::Point;

namespace {

constexpr std::uint32_t kPlacesMax = 64;   // among which some may sleep

}   // namespace

// --- one execution ---

void Bounded::begin(std::uint64_t /*seed*/) {
  ++execution_;
  paths_.begin();
  steps_.clear();
  at_ = 0;
  free_points_ = 0;
  length_ = probing_ ? 0 : fixed_;
  sum_ = 0;
  preemptions_ = faults_ = 0;
  running_ = ThreadPaths::kRoot;
  turn_ = kNobody;
  running_from_ = 0;
  last_changed_ = let_go_of_ = kNone;
  pair_ = kNobody;
  free_running_ = cut_short_ = new_ = follow_rule_ = changed_nothing_ = false;
  log_.clear();
  recordings_.clear();
  sleepers_.clear();
  for (Actor& actor : actors_) {
    actor.path = actor.chain = actor.wakes = 0;
    actor.retries = 0;
    actor.observed = actor.observed_before = nullptr;
    actor.children = 0;
    actor.acts = actor.aside = actor.waits_for_change = false;
    actor.read.clear();
    actor.spins.clear();
  }
}

void Bounded::started(SimFiber& fiber) {
  const Id parent = running_;
  const Id id = paths_.started(fiber, parent);
  if (actors_.size() <= id) actors_.resize(id + 1);
  begin_actor(id, parent);
  // One that a step of the environment starts runs at once.
  if (fiber.id.kind() != ActorKind::fiber) running_ = turn_ = id;
}

// It goes on after whoever woke it: with its next operation, or with the one after that, if it has
// not begun to wait. Whom the last of several readers lets in goes on after all of them.
void Bounded::woken(const SimFiber& fiber) {
  if (free_running_) return;
  const Id id = ThreadPaths::of(fiber);
  std::uint64_t by = actors_[running_].chain;
  if (let_go_of_ != kNone) {
    const Object& lock = objects_[let_go_of_];
    by = mix(lock.last_write, lock.let_go);
  }
  log({.place = {id, Part::wakes}, .does = Does::change});
  if (fiber.state == SimFiber::State::parked) {
    set_chain(id, mix(actors_[id].chain, by));
  } else {
    actors_[id].wakes += mix(by, 1);
  }
}

void Bounded::end(std::uint64_t /*points*/) {
  if (probing_) {
    if (pilots_) {
      for (Chances* const chances : {&preemption_chances_, &fault_chances_})
        chances->usual = chances->now;
    }
    return;
  }
  if (cut_short_) return;
  end_recordings();
  check_state(mix(sum_, 3));
  new_ = seen_.add_class(sum_);
}

std::uint32_t Bounded::pick(const Choices& choices) {
  if (free_running_) return run_free(choices);
  settle();
  note_new(choices);
  note_yield(choices);
  if (pair_ != kNobody) return finish_pair(choices);
  for (EnvStep* const step : choices.steps) {
    // A step that need not happen was called for, so it happens at once.
    if (step->duty == EnvStep::Duty::must_happen) continue;
    take_step(*step);
    return static_cast<std::uint32_t>(choices.fibers.size()) + step->index;
  }
  if (!bounds_.schedules || follow_rule_) return take_rule(choices);
  const bool is_bounded = bounds_.preemptions != Bounds::kNone;
  if (probing_) {
    if (const std::uint32_t index = unnoticed(choices, 0); index != choices.size())
      return go_on(choices, index);
  }
  const SimFiber* const turn = whose_turn(choices);
  const Point* const point = turn != nullptr ? choices.about_to(*turn) : nullptr;
  bool goes_on = turn != nullptr && can_go_on(*turn, point);
  // It has had a turn so long that the rule would have others go on: it spins.
  const bool yields = point != nullptr && point->op == OpKind::yield;
  const bool turn_is_over =
      goes_on && !yields && turn == &choices.self && choices.fallback != choices.self.index;
  if (goes_on && !turn_is_over && !probing_ && !worth_stopping(choices.self, &choices.point))
    return go_on(choices, choices.self.index);
  if (!probing_ && !is_bounded && !turn_is_over) {
    if (const std::uint32_t index = find_local(choices); index != kNobody)
      return go_on(choices, index);
  }
  goes_on = goes_on && !yields && !turn_is_over;
  end_recordings();
  collect(choices, goes_on ? turn : nullptr, turn_is_over);
  if (ways_.empty()) {
    sleepers_.clear();
    collect_attempts(choices);
  }
  if (ways_.empty()) return look_again(choices);
  std::size_t chosen = 0;
  if (ways_.size() > 1) {
    chosen = decide(choices, goes_on);
  } else if (sleeps(ways_.front().actor)) {
    chosen = 1;
  }
  if (chosen == ways_.size()) {
    // What they would have done yet is not known.
    log({.place = {.part = Part::everything}, .does = Does::change});
    end_recordings();
    cut_short_ = free_running_ = true;
    return choices.fallback;
  }
  return take(choices, ways_[chosen], goes_on);
}

// By the rule, but that everybody has a turn soon: what is of no interest any more may spin.
std::uint32_t Bounded::run_free(const Choices& choices) {
  constexpr std::uint32_t kTurn = 500;
  if (++free_points_ % kTurn != 0 || choices.fibers.empty()) return choices.fallback;
  const SimFiber* next = nullptr;
  const SimFiber* first = choices.fibers.front();
  for (const SimFiber* const fiber : choices.fibers) {
    if (fiber->id < first->id) first = fiber;
    if (fiber->id > choices.self.id && (next == nullptr || fiber->id < next->id)) next = fiber;
  }
  return next != nullptr ? next->index : first->index;
}

std::size_t Bounded::decide(const Choices& choices, bool goes_on) {
  if (probing_) return draw();
  const std::uint32_t number = at_;
  const std::size_t chosen = at_ < fixed_ ? follow_given() : enter_new(state_of(choices, goes_on));
  if (chosen == ways_.size()) return chosen;
  const Node& node = nodes_[number];
  if (bounds_.preemptions == Bounds::kNone) {
    put_to_sleep(number, node.at);
    recordings_.push_back({number, node.at, log_.size()});
  }
  return chosen;
}

std::size_t Bounded::follow_given() {
  Node& node = nodes_[at_++];
  ENGINE_CHECK(!node.is_value, "the program differs from one run to the next");
  for (Way& way : node.ways) {
    // Of a branch that was taken over no more is known than who it is.
    const auto same = [&](const Way& each) { return each.path == way.path; };
    const auto known = std::find_if(ways_.begin(), ways_.end(), same);
    if (way.actor == kNobody && known != ways_.end()) way = *known;
  }
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (ways_[i].path == node.ways[node.at].path) return i;
  }
  ENGINE_CHECK(false, "the program differs from one run to the next");
  return ways_.size();
}

// What can follow from here depends on what there has been, on whom it would cost something to
// interrupt, and on which I/O would be overtaken.
std::uint64_t Bounded::state_of(const Choices& choices, bool goes_on) {
  std::uint64_t state = sum_;
  if (bounds_.preemptions == Bounds::kNone) return state;
  if (goes_on) state += mix(actors_[ThreadPaths::of(choices.self)].path, 1);
  std::uint64_t order = 0;
  for (const EnvStep* const step : by_age_) {
    const Actor& actor = actors_[static_cast<Id>(step->priority - 1)];
    if (actor.aside) {
      state += mix(actor.path, 2);
    } else if (step->kind != ChoiceKind::fire) {
      // Of each disk: each with all that would be overtaken.
      for (const EnvStep* const older : by_age_) {
        if (older == step) break;
        if (overtakes(*step, *older))
          order += mix(actors_[static_cast<Id>(older->priority - 1)].path, actor.path);
      }
    }
  }
  return state + mix(order, 4);
}

// Which of ways_; ways_.size() when all that can follow was seen, or will be elsewhere.
std::size_t Bounded::enter_new(std::uint64_t state) {
  check_state(state);
  if (ways_.size() > kPlacesMax) sleepers_.clear();
  std::uint64_t asleep = 0;
  for (const Way& way : ways_)
    asleep |= sleeps(way.actor) ? std::uint64_t{1} << way.place % kPlacesMax : 0;
  const std::uint64_t wanted = seen_.enter(state, preemptions_, asleep);
  Node& node = new_node(false);
  node.ways.clear();
  for (const Way& way : ways_) {
    if ((wanted >> way.place % kPlacesMax & 1U) != 0) node.ways.push_back(way);
  }
  if (node.ways.empty()) {
    --length_;
    return ways_.size();
  }
  ++at_;
  const auto first = std::find_if(ways_.begin(), ways_.end(), [&](const Way& way) {
    return way.actor == node.ways.front().actor;
  });
  return static_cast<std::size_t>(first - ways_.begin());
}

Bounded::Node& Bounded::new_node(bool is_value) {
  if (nodes_.size() == length_) nodes_.emplace_back();
  Node& node = nodes_[length_++];
  node.at = 0;
  node.began = searched_;
  node.is_value = is_value;
  for (Footprint& did : node.did) {
    did.is_known = false;
    did.touches.clear();
  }
  return node;
}

void Bounded::leave_out(const char* what) {
  ++left_out_[fmt::format("not every answer to '{}'", what)];
}

std::uint32_t Bounded::value(const SimFiber& /*self*/, const char* what, std::uint32_t count,
                             std::uint32_t one_in) {
  if (free_running_) return 0;
  const auto is_among = [what](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), what) != names.end();
  };
  if (is_among(bounds_.indifferent)) return 0;
  if (follow_rule_ && !is_among(bounds_.always)) return 0;
  const std::uint32_t cost = one_in > 1 || is_among(bounds_.faults_too) ? 1 : 0;
  std::uint32_t chosen = 0;
  if (count > kValuesMax) {
    leave_out(what);
  } else if (probing_) {
    chosen = draw_value(count, cost);
    faults_ += chosen != 0 ? cost : 0;
  } else if (cost == 0 || faults_ < bounds_.faults) {
    if (at_ >= fixed_) {
      Node& node = new_node(true);
      node.ways.clear();
      for (std::uint32_t i = 0; i < count; ++i)
        node.ways.push_back({.path = i});
    }
    const Node& node = nodes_[at_++];
    ENGINE_CHECK(node.is_value && node.ways[node.at].path < count,
                 "the program differs from one run to the next");
    chosen = static_cast<std::uint32_t>(node.ways[node.at].path);
    faults_ += chosen != 0 ? cost : 0;
  }
  // How many there were bounds how many there can be.
  if (cost != 0) log({.place = {.part = Part::faults}, .does = Does::change});
  set_chain(running_, mix(actors_[running_].chain, chosen + 1));
  return chosen;
}

// --- checking ---

void Bounded::observe(std::uint64_t what) noexcept {
  if (!bounds_.checks || probing_ || free_running_) return;
  const Observation*& last = actors_[running_].observed;
  observations_.push_back({last, what, mix(last != nullptr ? last->hash : 0, what)});
  last = &observations_.back();
}

void Bounded::check_state(std::uint64_t state) {
  if (!bounds_.checks) return;
  std::map<std::uint64_t, const Observation*> now;
  for (const Actor& actor : actors_) {
    if (actor.observed_before != nullptr) now.emplace(actor.path, actor.observed_before);
  }
  const auto same = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second->hash == b.second->hash;
  };
  const auto [at, is_new] = observed_.try_emplace(state);
  if (is_new) {
    at->second = std::move(now);
  } else if (!std::equal(now.begin(), now.end(), at->second.begin(), at->second.end(), same)) {
    if (contradictions_++ == 0) contradict(at->second);
  }
}

void Bounded::contradict(const std::map<std::uint64_t, const Observation*>& once) {
  const auto all_of = [](const Observation* last) {
    std::vector<std::uint64_t> all;
    for (; last != nullptr; last = last->before)
      all.insert(all.begin(), last->what);
    all.push_back(0);
    return all;
  };
  for (const Actor& actor : actors_) {
    const auto found = once.find(actor.path);
    const std::vector<std::uint64_t> then = all_of(actor.observed_before);
    const std::vector<std::uint64_t> before = all_of(found != once.end() ? found->second : nullptr);
    if (then == before) continue;
    const auto [a, b] = std::mismatch(before.begin(), before.end(), then.begin(), then.end());
    contradiction_ = {.after = a == before.begin() ? 0 : *(a - 1), .once = *a, .then = *b};
    return;
  }
}

// --- from one execution to the next ---

bool Bounded::next() {
  ++searched_;
  if (must_begin_anew()) {
    start_anew();
    return true;
  }
  if (depths_.size() < length_) depths_.resize(length_);
  while (length_ != 0) {
    Node& node = nodes_[length_ - 1];
    Depth& depth = depths_[length_ - 1];
    if (node.at != 0) {
      ++depth.ways;
      depth.executions += searched_ - node.began;
    }
    node.began = searched_;
    if (++node.at < node.ways.size()) break;
    --length_;
  }
  fixed_ = length_;
  return length_ != 0;
}

void Bounded::start_anew() {
  more_shared_ = false;
  length_ = fixed_ = 0;
  searched_ = 0;
  depths_.clear();
  seen_.forget_states();
  left_out_.clear();
}

// Of depths at which no such way has been tried to the end, the next one's cost stands for theirs.
// An execution that ended the exploration may have been deeper than all before it.
double Bounded::executions_of_one(std::uint32_t node) const {
  for (std::size_t i = node; i < depths_.size(); ++i) {
    if (depths_[i].ways != 0)
      return static_cast<double>(depths_[i].executions) / static_cast<double>(depths_[i].ways);
  }
  return 1;
}

// Of all nodes but the last one a way is under way, which those below count.
double Bounded::left_from(std::uint32_t node) const {
  double left = 0;
  for (std::uint32_t i = node; i < length_; ++i) {
    const std::size_t ways = nodes_[i].ways.size() - nodes_[i].at - (i + 1 == length_ ? 0 : 1);
    left += executions_of_one(i) * static_cast<double>(ways);
  }
  return left;
}

double Bounded::done() const {
  const auto behind = static_cast<double>(searched_);
  return behind == 0 ? 0 : behind / (behind + left());
}

// --- for several that search together ---

// Half of the ways left at the first place that has any: as much work as there is in one piece.
std::optional<Branch> Bounded::give_away(std::size_t choices_max) {
  Branch branch;
  for (std::uint32_t i = 0; i < length_; ++i) {
    Node& node = nodes_[i];
    const std::size_t left = node.ways.size() - node.at - 1;
    if (left == 0) {
      branch.path.push_back({node.ways[node.at].path, node.is_value});
      continue;
    }
    if (branch.path.size() + left > choices_max) return std::nullopt;
    const std::size_t half = (left + 1) / 2;
    branch.executions = executions_of_one(i) * static_cast<double>(half);
    for (std::size_t given = half; given != 0; --given) {
      branch.ways.push_back({node.ways.back().path, node.is_value});
      node.ways.pop_back();
    }
    return branch;
  }
  return std::nullopt;
}

void Bounded::take_over(const Branch& branch) {
  length_ = 0;
  const auto add = [&](const Branch::Choice& choice) { new_node(choice.is_value).ways.clear(); };
  for (const Branch::Choice& choice : branch.path) {
    add(choice);
    nodes_[length_ - 1].ways.push_back({.path = choice.what});
  }
  if (!branch.ways.empty()) {
    add(branch.ways.front());
    for (const Branch::Choice& choice : branch.ways)
      nodes_[length_ - 1].ways.push_back({.path = choice.what});
  }
  fixed_ = length_;
}

// Of each name: itself, whether it is shared, how many places touch it in passing, those.
std::vector<std::uint64_t> Bounded::learnt() const {
  std::vector<std::uint64_t> all;
  for (const auto& [hash, name] : names_) {
    all.insert(all.end(), {hash, name.shared ? 1U : 0U, name.touched_at.size()});
    all.insert(all.end(), name.touched_at.begin(), name.touched_at.end());
  }
  return all;
}

void Bounded::learn(const std::vector<std::uint64_t>& learnt) {
  for (std::size_t i = 0; i < learnt.size();) {
    Name& name = names_[learnt[i]];
    name.shared |= learnt[i + 1] != 0;
    std::size_t places = learnt[i + 2];
    for (i += 3; places != 0; --places, ++i) {
      auto& known = name.touched_at;
      if (std::find(known.begin(), known.end(), learnt[i]) == known.end())
        known.push_back(learnt[i]);
    }
    if (name.shared) stops_.insert(name.touched_at.begin(), name.touched_at.end());
  }
}

}   // namespace sim
