#include "sim/lock_order.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "sim/execution.h"

namespace sim {

using engine::OpKind;

namespace {

// Of one order; more would say the same again.
constexpr std::size_t kWaysMax = 4;
constexpr std::size_t kLocksMax = 4;   // in a cycle

std::size_t place(std::uint32_t first, std::uint32_t then, std::size_t places) {
  return (first * 0x9E3779B1U ^ then * 0x85EBCA77U) % places;
}

std::string at(const std::source_location& where) {
  return fmt::format("{}:{}", where.file_name(), where.line());
}

}   // namespace

LockOrder::~LockOrder() {
  execution_.remove_sink(*this);
}

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
    case OpKind::thread_start:
    case OpKind::fiber_spawn:
    case OpKind::thread_join:
      threads_.event(event, execution_.current().id);
      break;
    default:   // the other sixty say nothing of locks
      break;
  }
}

void LockOrder::taken(const engine::Event& event, bool shared) {
  Held now{execution_.current().id, event.object->id, event.object->name, shared, event.where};
  if (execution_.options().trace) {
    now.stack = static_cast<std::uint32_t>(stacks_.size());
    stacks_.push_back(CallStack::here());
  }
  // It was free, or else nobody would have waited for it.
  const bool was_tried = event.name != nullptr && std::string_view{event.name} == "tried";
  if (!was_tried) {
    for (const Held& first : held_) {
      if (first.fiber == now.fiber) add(first, now);
    }
  }
  held_.push_back(now);
}

void LockOrder::released(const engine::Event& event) noexcept {
  const ActorId fiber = execution_.current().id;
  const auto held = std::find_if(held_.rbegin(), held_.rend(), [&](const Held& each) {
    return each.fiber == fiber && each.lock == event.object->id;
  });
  if (held != held_.rend()) held_.erase(std::next(held).base());
}

// Valid until the next call.
LockOrder::Orders& LockOrder::order_of(std::uint32_t first, std::uint32_t then) {
  if (places_.size() < 2 * (orders_.size() + 1)) make_room();
  std::size_t at = place(first, then, places_.size());
  for (; places_[at] != 0; at = (at + 1) % places_.size()) {
    Orders& orders = orders_[places_[at] - 1];
    if (orders.first == first && orders.then == then) return orders;
  }
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

std::uint32_t LockOrder::note_way(Orders& orders, const Held& first, const Held& then) {
  const bool full = orders.ways == kWaysMax;
  if (full && threads_.empty()) return kEnd;
  const auto begin = static_cast<std::uint32_t>(under_.size());
  for (const Held& other : held_) {
    if (other.fiber == then.fiber && other.lock != first.lock) under_.push_back(other.lock);
  }
  std::sort(under_.begin() + begin, under_.end());
  under_.erase(std::unique(under_.begin() + begin, under_.end()), under_.end());
  const std::span<const std::uint32_t> here = std::span{under_}.subspan(begin);
  const ThreadOrder::Stretch stretch = threads_.of(then.fiber);
  std::uint32_t alike = 0;        // those that differ in stretch
  std::uint32_t latest = kEnd;    // of them
  std::uint32_t is_over = kEnd;   // another's, who has been joined: few can still meet it
  for (std::uint32_t i = orders.way; i != kEnd; i = ways_[i].next) {
    const Order& known = ways_[i];
    if (known.then.fiber == then.fiber && known.first.shared == first.shared &&
        known.then.shared == then.shared && std::ranges::equal(under(known), here)) {
      if (known.stretch == stretch) {
        under_.resize(begin);
        return kEnd;
      }
      ++alike;
      latest = i;
    } else if (is_over == kEnd && threads_.joined(known.then.fiber)) {
      is_over = i;
    }
  }
  std::uint32_t at = static_cast<std::uint32_t>(ways_.size());
  if (alike > 1) {
    at = latest;
  } else if (alike == 0 && full) {
    at = is_over;
    if (at == kEnd) {
      under_.resize(begin);
      return kEnd;
    }
  }
  if (at == ways_.size()) {
    // The oldest way stays the first, which is the one that a finding tells of.
    std::uint32_t* end = &orders.way;
    while (*end != kEnd)
      end = &ways_[*end].next;
    *end = at;
    orders.ways += alike == 0 ? 1 : 0;
    ways_.emplace_back();
  }
  ways_[at] = {.first = first,
               .then = then,
               .under = begin,
               .under_count = static_cast<std::uint32_t>(here.size()),
               .stretch = stretch,
               .fiber_name = keep(execution_.current().name()),
               .first_name = keep(first.name),
               .then_name = keep(then.name),
               .next = ways_[at].next};
  return at;
}

void LockOrder::add(const Held& first, const Held& then) {
  const std::uint32_t noted = note_way(order_of(first.lock, then.lock), first, then);
  if (noted == kEnd || !leads_to(then.lock, first.lock)) return;
  std::vector<const Order*> cycle{&ways_[noted]};
  if (!find_way(then.lock, first.lock, cycle)) return;
  has_seen_ = true;
  if (mode_ == Mode::reports) execution_.report(describe(cycle));
}

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

bool LockOrder::find_way(std::uint32_t from, std::uint32_t to, std::vector<const Order*>& way) {
  if (way.size() >= kLocksMax) return false;
  for (const Orders* const orders : orders_of(from)) {
    const bool been_there = std::any_of(way.begin(), way.end(), [&](const Order* order) {
      return order->then.lock == orders->then && orders->then != to;
    });
    if (been_there) continue;
    for (std::uint32_t i = orders->way; i != kEnd; i = ways_[i].next) {
      way.push_back(&ways_[i]);
      if (orders->then == to ? could_meet(way) : find_way(orders->then, to, way)) return true;
      way.pop_back();
    }
  }
  return false;
}

// Each step by another fiber, no two of them under one further lock or with a start or join between
// them, and at each lock somebody who keeps the other out.
bool LockOrder::could_meet(const std::vector<const Order*>& cycle) {
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    const Order& one = *cycle[i];
    const Order& next = *cycle[(i + 1) % cycle.size()];
    if (one.then.shared && next.first.shared) return false;
    for (std::size_t j = i + 1; j < cycle.size(); ++j) {
      const Order& other = *cycle[j];
      if (one.then.fiber == other.then.fiber) return false;
      const bool gate = std::ranges::any_of(under(one), [&](std::uint32_t lock) {
        return std::ranges::binary_search(under(other), lock);
      });
      if (gate || !threads_.could_meet(one.stretch, other.stretch)) return false;
    }
  }
  return true;
}

Finding LockOrder::describe(const std::vector<const Order*>& cycle) const {
  Finding finding;
  finding.kind = FindingKind::lock_order;
  std::vector<std::string> names;
  for (const Order* const order : cycle) {
    names.push_back(order->first_name);
    finding.detail += fmt::format("{} holds {}, taken at {}\n", order->fiber_name,
                                  order->first_name, at(order->first.where));
    if (order->first.stack != kEnd) finding.add_stack(stacks_[order->first.stack]);
    finding.detail += fmt::format("and takes {} at {}\n", order->then_name, at(order->then.where));
    if (order->then.stack != kEnd) finding.add_stack(stacks_[order->then.stack]);
    finding.circle.push_back(
        {fmt::format("{}@{}", order->first_name, order->first.lock),
         fmt::format("{}@{}", order->then_name, order->then.lock),
         fmt::format("{}\nholds {} since {}\ntakes {} at {}", order->fiber_name, order->first_name,
                     at(order->first.where), order->then_name, at(order->then.where))});
  }
  finding.message = fmt::format("{} and {} are taken in opposite orders", names.front(),
                                fmt::join(names.begin() + 1, names.end(), " and "));
  // The same whichever fiber came first.
  std::sort(names.begin(), names.end());
  finding.place = fmt::format("{}", fmt::join(names, ", "));
  return finding;
}

}   // namespace sim
