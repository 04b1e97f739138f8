#include "sim/lock_order.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "sim/execution.h"
#include "sim/wait_words.h"

namespace sim {

using engine::OpKind;

namespace {

// Of one order; more would say the same again.
constexpr std::size_t kWaysMax = 4;
constexpr std::size_t kLocksMax = 4;   // in a cycle
constexpr std::size_t kDoubtfulMax = 32;

std::size_t place(std::uint32_t first, std::uint32_t then, std::size_t places) {
  return (first * 0x9E3779B1U ^ then * 0x85EBCA77U) % places;
}

}   // namespace

LockOrder::~LockOrder() {
  execution_.remove_sink(*this);
  execution_.end_order_listener(*this);
}

void LockOrder::listen() {
  reset();
  execution_.add_sink(*this);
  if (rule_ == Rule::may_not_meet) execution_.set_order_listener(*this);
}

void LockOrder::reset() {
  has_seen_ = first_has_ended_ = false;
  held_.clear();
  stacks_.clear();
  under_.clear();
  ways_.clear();
  orders_.clear();
  places_.clear();
  locks_.clear();
  doubtful_.clear();
  before_.reset();
  cycles_ = 0;
  changes_ = 1;
}

// --- what is heard ---

// Only want of memory throws here, and ends the process. NOLINTNEXTLINE(bugprone-exception-escape)
void LockOrder::event(const engine::Event& event) noexcept {
  switch (event.op) {
    case OpKind::mutex_lock:
    case OpKind::write_lock:
    case OpKind::spin_lock:
      taken(event, false);
      break;
    case OpKind::read_lock:
      taken(event, true);
      break;
    case OpKind::mutex_unlock:
    case OpKind::write_unlock:
    case OpKind::read_unlock:
    case OpKind::spin_unlock:
      released(event);
      break;
    case OpKind::condition_notify:
      if (rule_ == Rule::may_not_meet) notified(event);
      break;
    case OpKind::fiber_exit:
      if (execution_.current().id == ActorId::fiber(1)) judge_doubtful();
      break;
    case OpKind::fiber_park:
    case OpKind::fiber_unpark:
      break;
    default:
      if (rule_ == Rule::may_not_meet) before_.event(event, execution_.current().birth);
      break;
  }
}

// NOLINTNEXTLINE(bugprone-exception-escape): the same
void LockOrder::goes_on(OpKind op, std::uint32_t object) noexcept {
  before_.goes_on(op, object, execution_.current().birth);
}

void LockOrder::unchanged(const engine::SyncObject& object) noexcept {
  before_.unchanged(object.id);
}

// NOLINTNEXTLINE(bugprone-exception-escape): the same
void LockOrder::spawns(const SimFiber& fiber) noexcept {
  before_.spawns(fiber.birth, execution_.current().birth);
}

// NOLINTNEXTLINE(bugprone-exception-escape): the same
void LockOrder::wakes(const SimFiber& fiber) noexcept {
  before_.wakes(fiber, execution_.current().birth);
}

// NOLINTNEXTLINE(bugprone-exception-escape): the same
std::uint32_t LockOrder::sent() noexcept {
  return before_.sent(execution_.current().birth);
}

// NOLINTNEXTLINE(bugprone-exception-escape): the same
void LockOrder::received(std::uint32_t ticket) noexcept {
  before_.received(ticket, execution_.current().birth);
}

void LockOrder::taken(const engine::Event& event, bool shared) {
  Held now{.fiber = execution_.current().birth,
           .lock = event.object->id,
           .name = event.object->name,
           .shared = shared,
           .is_mutex = event.op == OpKind::mutex_lock,
           .where = event.where,
           .taken_at = before_.tick()};
  if (now.is_mutex && rule_ == Rule::may_not_meet) before_.taken(now.lock, now.fiber);
  if (execution_.options().trace) {
    now.stack = static_cast<std::uint32_t>(stacks_.size());
    stacks_.push_back(CallStack::here());
  }
  // It was free, or else nobody would have waited for it.
  const bool was_tried = event.name != nullptr && std::string_view{event.name} == "tried";
  if (!was_tried) {
    for (const Held& first : held_) {
      if (first.fiber == now.fiber) add({first, now});
    }
  }
  held_.push_back(now);
}

void LockOrder::released(const engine::Event& event) noexcept {
  const std::uint32_t fiber = execution_.current().birth;
  if (event.op == OpKind::mutex_unlock && rule_ == Rule::may_not_meet)
    before_.released(event.object->id, fiber);
  const auto held = std::find_if(held_.rbegin(), held_.rend(), [&](const Held& each) {
    return each.fiber == fiber && each.lock == event.object->id;
  });
  if (held != held_.rend()) held_.erase(std::next(held).base());
}

void LockOrder::notified(const engine::Event& event) {
  const std::uint32_t fiber = execution_.current().birth;
  const auto innermost = std::find_if(held_.rbegin(), held_.rend(), [&](const Held& each) {
    return each.fiber == fiber && each.is_mutex;
  });
  before_.notified(event.object->id, innermost != held_.rend() ? innermost->lock : 0, fiber);
}

// --- the orders ---

// Valid until the next call.
LockOrder::Orders& LockOrder::order_of(std::uint32_t first, std::uint32_t then) {
  if (places_.size() < 2 * (orders_.size() + 1)) make_room();
  std::size_t at = place(first, then, places_.size());
  for (; places_[at] != 0; at = (at + 1) % places_.size()) {
    Orders& orders = orders_[places_[at] - 1];
    if (orders.first == first && orders.then == then) return orders;
  }
  if (leads_to(then, first)) ++cycles_;
  Lock& held = lock(first);
  orders_.push_back({.first = first, .then = then, .next = held.orders});
  places_[at] = static_cast<std::uint32_t>(orders_.size());
  held.orders = places_[at] - 1;
  lock(then).was_then = true;
  return orders_.back();
}

void LockOrder::make_room() {
  places_.assign(std::max<std::size_t>(256, 4 * orders_.size()), 0);
  for (std::size_t i = 0; i < orders_.size(); ++i) {
    std::size_t at = place(orders_[i].first, orders_[i].then, places_.size());
    while (places_[at] != 0)
      at = (at + 1) % places_.size();
    places_[at] = static_cast<std::uint32_t>(i + 1);
  }
}

LockOrder::Lock& LockOrder::lock(std::uint32_t id) {
  if (locks_.size() <= id) locks_.resize(id + 64);
  return locks_[id];
}

std::vector<const LockOrder::Orders*> LockOrder::orders_of(std::uint32_t lock) const {
  std::vector<const Orders*> all;
  if (lock >= locks_.size()) return all;
  for (std::uint32_t i = locks_[lock].orders; i != kEnd; i = orders_[i].next)
    all.push_back(&orders_[i]);
  std::sort(all.begin(), all.end(),
            [](const Orders* a, const Orders* b) { return a->then < b->then; });
  return all;
}

const char* LockOrder::keep(const char* name) {
  Kept& last = kept_[reinterpret_cast<std::uintptr_t>(name) / 8 % kKept];
  if (last.given == name && std::strcmp(last.kept, name) == 0) return last.kept;
  const std::string_view wanted{name};
  const auto known = names_.find(wanted);
  const char* const kept = (known != names_.end() ? known : names_.emplace(wanted).first)->c_str();
  last = {name, kept};
  return kept;
}

const LockOrder::Way* LockOrder::note_way(Orders& orders, const Nested& nested) {
  if (rule_ == Rule::one_order && orders.ways == kWaysMax) return nullptr;
  const Held& first = nested.first;
  const Held& then = nested.then;
  const auto begin = static_cast<std::uint32_t>(under_.size());
  for (const Held& other : held_) {
    if (other.fiber == then.fiber && other.lock != first.lock)
      under_.push_back(other.lock << 1U | (other.shared ? 1U : 0U));
  }
  if (under_.size() - begin > 1) {
    std::sort(under_.begin() + begin, under_.end());
    under_.erase(std::unique(under_.begin() + begin, under_.end()), under_.end());
  }
  const std::span<const std::uint32_t> here = std::span{under_}.subspan(begin);
  for (std::uint32_t i = orders.way; i != kEnd; i = ways_[i].next) {
    Way& known = ways_[i];
    if (known.latest.then.fiber != then.fiber || known.latest.first.shared != first.shared ||
        known.latest.then.shared != then.shared || !std::ranges::equal(under(known.manner), here))
      continue;
    under_.resize(begin);
    if (rule_ == Rule::one_order) return nullptr;
    known.latest = nested;
    return &known;
  }
  ++changes_;
  Way& way = new_way(orders);
  way.earliest = way.latest = nested;
  way.manner = {.under = begin,
                .under_count = static_cast<std::uint32_t>(here.size()),
                .fiber_name = keep(execution_.current().name()),
                .first_name = keep(first.name),
                .then_name = keep(then.name)};
  return &way;
}

// Where there are too many, it takes the place of one whose fiber has been joined, as few can still
// meet that, or else of the one that has not been gone for longest.
LockOrder::Way& LockOrder::new_way(Orders& orders) {
  if (orders.ways < kWaysMax) {
    ++orders.ways;
    // The oldest way stays the first, which is the one that a finding tells of.
    std::uint32_t* end = &orders.way;
    while (*end != kEnd)
      end = &ways_[*end].next;
    *end = static_cast<std::uint32_t>(ways_.size());
    return ways_.emplace_back();
  }
  std::uint32_t least = orders.way;
  const auto worth = [&](const Way& way) {
    const Held& then = way.latest.then;
    return std::pair{!before_.joined(then.fiber), then.taken_at};
  };
  for (std::uint32_t i = ways_[least].next; i != kEnd; i = ways_[i].next) {
    if (worth(ways_[i]) < worth(ways_[least])) least = i;
  }
  return ways_[least];
}

void LockOrder::add(const Nested& nested) {
  Orders& orders = order_of(nested.first.lock, nested.then.lock);
  const Way* const way = note_way(orders, nested);
  if (way == nullptr || orders.no_cycle_at == cycles_ || orders.apart_at == changes_ || has_seen_)
    return;
  if (!leads_to(orders.then, orders.first)) {
    orders.no_cycle_at = cycles_;
    return;
  }
  nothing_but_time_ = false;
  Cycle cycle{{nested, way->manner}};
  if (find_way(orders.then, orders.first, cycle)) {
    report(cycle);
  } else if (!nothing_but_time_) {
    orders.apart_at = changes_;
  }
}

// --- the cycles ---

bool LockOrder::leads_to(std::uint32_t from, std::uint32_t to) {
  if (!lock(to).was_then) return false;
  ++looks_;
  left_.assign(1, from);
  while (!left_.empty()) {
    Lock& at = lock(left_.back());
    left_.pop_back();
    if (at.seen == looks_) continue;
    at.seen = looks_;
    for (std::uint32_t i = at.orders; i != kEnd; i = orders_[i].next) {
      if (orders_[i].then == to) return true;
      left_.push_back(orders_[i].then);
    }
  }
  return false;
}

bool LockOrder::find_way(std::uint32_t from, std::uint32_t to, Cycle& way) {
  if (way.size() >= kLocksMax) return false;
  for (const Orders* const orders : orders_of(from)) {
    const bool been_there = std::any_of(way.begin(), way.end(), [&](const Step& step) {
      return step.nested.then.lock == orders->then && orders->then != to;
    });
    if (been_there) continue;
    for (std::uint32_t i = orders->way; i != kEnd; i = ways_[i].next) {
      const Way& next = ways_[i];
      for (const Nested* const nested : {&next.earliest, &next.latest}) {
        way.push_back({*nested, next.manner});
        if (orders->then == to ? deadlocks(way) : find_way(orders->then, to, way)) return true;
        way.pop_back();
        if (next.earliest.then.taken_at == next.latest.then.taken_at) break;
      }
    }
  }
  return false;
}

bool LockOrder::deadlocks(const Cycle& cycle) {
  if (kept_apart(cycle)) return false;
  if (rule_ == Rule::one_order) return true;
  nothing_but_time_ = true;
  const Verdict verdict = could_meet(cycle);
  if (verdict == Verdict::perhaps && first_has_ended_) return true;
  if (verdict == Verdict::perhaps) doubt(cycle);
  return verdict == Verdict::yes;
}

// Each step by another fiber, no two of them under one further lock, and at each lock somebody who
// keeps the other out: else it is none.
bool LockOrder::kept_apart(const Cycle& cycle) const {
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    const Step& one = cycle[i];
    const Step& next = cycle[(i + 1) % cycle.size()];
    if (one.nested.then.shared && next.nested.first.shared) return true;
    for (std::size_t j = i + 1; j < cycle.size(); ++j) {
      if (one.nested.then.fiber == cycle[j].nested.then.fiber) return true;
      if (have_gate(one.manner, cycle[j].manner)) return true;
    }
  }
  return false;
}

// A further lock that both hold, not only to read.
bool LockOrder::have_gate(const Manner& one, const Manner& other) const {
  const std::span<const std::uint32_t> there = under(other);
  return std::ranges::any_of(under(one), [&](std::uint32_t held) {
    return std::ranges::binary_search(there, held & ~1U) ||
           ((held & 1U) == 0 && std::ranges::binary_search(there, held | 1U));
  });
}

LockOrder::Verdict LockOrder::could_meet(const Cycle& cycle) {
  Verdict all = Verdict::yes;
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    for (std::size_t j = i + 1; j < cycle.size(); ++j) {
      all = std::min(all, could_meet(cycle[i].nested, cycle[j].nested));
      if (all == Verdict::no) return all;
    }
  }
  return all;
}

// Each is under way from when it has its first lock until it gets the other. The one cannot begin
// before the other is over if what comes right before its first lock has to wait for that: not if
// only getting the lock had to.
LockOrder::Verdict LockOrder::could_meet(const Nested& one, const Nested& other) {
  const bool is_earlier = one.then.taken_at < other.then.taken_at;
  const Held& over = (is_earlier ? one : other).then;
  const Held& begins = (is_earlier ? other : one).first;
  if (over.taken_at > begins.taken_at) return Verdict::yes;   // they did meet
  const HappensBefore::Step earlier{over.fiber, over.taken_at};
  const HappensBefore::Step later{begins.fiber, begins.taken_at};
  using Trust = HappensBefore::Trust;
  if (before_.comes_before(earlier, later, Trust::monitors)) return Verdict::no;
  return before_.comes_before(earlier, later, Trust::every_mutex) ? Verdict::perhaps : Verdict::yes;
}

// Once for all times that the same fibers have gone the same ways: the latest, which has least
// before it.
void LockOrder::doubt(const Cycle& cycle) {
  const auto known = std::ranges::find_if(doubtful_, [&](const Cycle& each) {
    return std::ranges::equal(each, cycle, [](const Step& a, const Step& b) {
      return a.nested.then.fiber == b.nested.then.fiber &&
             a.nested.first.lock == b.nested.first.lock && a.nested.then.lock == b.nested.then.lock;
    });
  });
  if (known != doubtful_.end()) {
    *known = cycle;
  } else if (doubtful_.size() < kDoubtfulMax) {
    doubtful_.push_back(cycle);
  }
}

void LockOrder::judge_doubtful() {
  first_has_ended_ = true;
  for (const Cycle& cycle : doubtful_) {
    if (has_seen_ || could_meet(cycle) == Verdict::no) continue;
    report(cycle);
  }
}

void LockOrder::report(const Cycle& cycle) {
  has_seen_ = true;
  if (mode_ == Mode::reports) execution_.report(describe(cycle));
}

Finding LockOrder::describe(const Cycle& cycle) const {
  Finding finding;
  finding.kind = FindingKind::lock_order;
  std::vector<std::string> names;
  for (const auto& [nested, manner] : cycle) {
    const auto& [first, then] = nested;
    names.emplace_back(manner.first_name);
    finding.detail += fmt::format("{} holds {}, taken at {}\n", manner.fiber_name,
                                  manner.first_name, at(first.where));
    if (first.stack != kEnd) finding.add_stack(stacks_[first.stack]);
    finding.detail += fmt::format("and takes {} at {}\n", manner.then_name, at(then.where));
    if (then.stack != kEnd) finding.add_stack(stacks_[then.stack]);
    finding.circle.push_back(
        {fmt::format("{}@{}", manner.first_name, first.lock),
         fmt::format("{}@{}", manner.then_name, then.lock),
         fmt::format("{}\nholds {} since {}\ntakes {} at {}", manner.fiber_name, manner.first_name,
                     at(first.where), manner.then_name, at(then.where))});
  }
  finding.message = fmt::format("{} and {} are taken in opposite orders", names.front(),
                                fmt::join(names.begin() + 1, names.end(), " and "));
  // The same whichever fiber came first.
  std::sort(names.begin(), names.end());
  finding.place = fmt::format("{}", fmt::join(names, ", "));
  return finding;
}

}   // namespace sim
