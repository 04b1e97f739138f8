#include "sim/lock_order.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/execution.h"

namespace sim {

using engine::OpKind;

namespace {

// Of one order; more would say the same again.
constexpr std::size_t kWaysMax = 4;
constexpr std::size_t kLocksMax = 4;   // in a cycle

std::string at(const std::source_location& where) {
  return fmt::format("{}:{}", where.file_name(), where.line());
}

}   // namespace

LockOrder::~LockOrder() {
  execution_.remove_sink(*this);
}

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
    default:   // the other sixty are no locks
      break;
  }
}

void LockOrder::taken(const engine::Event& event, bool shared) {
  Held now{execution_.current().id, event.object->id, event.object->name, shared, event.where};
  if (execution_.options().trace) now.stack = CallStack::here();
  for (const Held& first : held_) {
    if (first.fiber == now.fiber) add(first, now);
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

void LockOrder::add(const Held& first, const Held& then) {
  std::vector<Order>& known = orders_[first.lock][then.lock];
  if (known.size() >= kWaysMax) return;
  Order order{first, then, {}};
  for (const Held& other : held_) {
    if (other.fiber == then.fiber && other.lock != first.lock) order.under.insert(other.lock);
  }
  const bool is_new = std::none_of(known.begin(), known.end(), [&](const Order& each) {
    return each.then.fiber == then.fiber && each.first.shared == first.shared &&
           each.then.shared == then.shared && each.under == order.under;
  });
  if (!is_new) return;
  order.fiber_name = execution_.current().name();
  order.first_name = first.name;
  order.then_name = then.name;
  known.push_back(std::move(order));
  std::vector<const Order*> cycle{&known.back()};
  if (leads_to(then.lock, first.lock) && find_way(then.lock, first.lock, cycle))
    execution_.report(describe(cycle));
}

bool LockOrder::leads_to(std::uint32_t from, std::uint32_t to) const {
  std::set<std::uint32_t> seen{from};
  std::vector<std::uint32_t> left{from};
  while (!left.empty()) {
    const auto orders = orders_.find(left.back());
    left.pop_back();
    if (orders == orders_.end()) continue;
    for (const auto& [next, ways] : orders->second) {
      if (next == to) return true;
      if (seen.insert(next).second) left.push_back(next);
    }
  }
  return false;
}

bool LockOrder::find_way(std::uint32_t from, std::uint32_t to,
                         std::vector<const Order*>& way) const {
  const auto orders = orders_.find(from);
  if (orders == orders_.end() || way.size() >= kLocksMax) return false;
  for (const auto& [next, ways] : orders->second) {
    const bool been_there = std::any_of(way.begin(), way.end(), [&](const Order* order) {
      return order->then.lock == next && next != to;
    });
    if (been_there) continue;
    for (const Order& order : ways) {
      way.push_back(&order);
      if (next == to ? could_meet(way) : find_way(next, to, way)) return true;
      way.pop_back();
    }
  }
  return false;
}

// Each step by another fiber, no two of them under one further lock, and at each lock somebody who
// keeps the other out.
bool LockOrder::could_meet(const std::vector<const Order*>& cycle) {
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    const Order& one = *cycle[i];
    const Order& next = *cycle[(i + 1) % cycle.size()];
    if (one.then.shared && next.first.shared) return false;
    for (std::size_t j = i + 1; j < cycle.size(); ++j) {
      const Order& other = *cycle[j];
      if (one.then.fiber == other.then.fiber) return false;
      const bool gate = std::any_of(one.under.begin(), one.under.end(),
                                    [&](std::uint32_t lock) { return other.under.contains(lock); });
      if (gate) return false;
    }
  }
  return true;
}

Finding LockOrder::describe(const std::vector<const Order*>& cycle) {
  Finding finding;
  finding.kind = FindingKind::lock_order;
  std::vector<std::string> names;
  for (const Order* const order : cycle) {
    names.push_back(order->first_name);
    finding.detail += fmt::format("{} holds {}, taken at {}\n", order->fiber_name,
                                  order->first_name, at(order->first.where));
    finding.add_stack(order->first.stack);
    finding.detail += fmt::format("and takes {} at {}\n", order->then_name, at(order->then.where));
    finding.add_stack(order->then.stack);
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
