#include "sim/wait_graph.h"

#include <algorithm>

#include "engine/fiber/mutex.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/spin_lock.h"
#include "sim/execution.h"

namespace sim {

using engine::ObjectKind;
using engine::OpKind;
using engine::SyncObject;

namespace {

using Fibers = std::vector<const SimFiber*>;

// Of the live ones; a holder that has ended, or that is the thread's own stack, is nobody to wait
// for.
Fibers only(const Fibers& live, const engine::Fiber* fiber) {
  const auto found =
      std::ranges::find_if(live, [&](const SimFiber* each) { return each == fiber; });
  return found != live.end() ? Fibers{*found} : Fibers{};
}

Fibers sharers_of(const Fibers& live, const SyncObject& object) {
  Fibers sharers;
  for (const SimFiber* const fiber : live) {
    if (std::ranges::any_of(fiber->shares,
                            [&](const auto& each) { return each.object == object.id; }))
      sharers.push_back(fiber);
  }
  return sharers;
}

Wait wait_of(const SimFiber& fiber, const Fibers& live) {
  using For = Wait::For;
  const auto is = [&](For what, Fibers others) {
    return Wait{&fiber, others.empty() ? For::nobody : what, std::move(others)};
  };
  const SyncObject* const object = fiber.waiting.object;
  if (object == nullptr || !object->lives()) return is(For::nobody, {});
  switch (object->kind) {
    case ObjectKind::mutex:
      return is(For::holder, only(live, engine::Mutex::of(*object).owner()));
    case ObjectKind::spin_lock:
      return is(For::holder, only(live, engine::SpinLock::of(*object).owner()));
    case ObjectKind::rw_lock: {
      const engine::RwLock& lock = engine::RwLock::of(*object);
      if (lock.owner() != nullptr) return is(For::writer, only(live, lock.owner()));
      if (fiber.waiting.op == OpKind::write_lock)
        return is(For::readers, sharers_of(live, *object));
      return is(For::turn, only(live, lock.first_waiting()));
    }
    case ObjectKind::completion: {
      const auto ending = std::ranges::find_if(
          live, [&](const SimFiber* each) { return each->ends_with == object; });
      return is(For::end, ending != live.end() ? Fibers{*ending} : Fibers{});
    }
    case ObjectKind::condition:
      return is(For::units, sharers_of(live, *object));
    default:
      return is(For::nobody, {});
  }
}

}   // namespace

WaitGraph::WaitGraph(const Execution& execution, Guess guess) {
  const Fibers live = execution.live_fibers();
  for (const SimFiber* const fiber : live) {
    if (fiber->state != SimFiber::State::runnable && !is_idle_worker(*fiber))
      waits_.push_back(wait_of(*fiber, live));
  }
  find_circle();
  if (!circle_.empty() || guess == Guess::no) return;
  guess_who_is_left();
  find_circle();
}

const Wait* WaitGraph::of(const SimFiber& fiber) const noexcept {
  const auto found =
      std::ranges::find_if(waits_, [&](const Wait& each) { return each.fiber == &fiber; });
  return found != waits_.end() ? &*found : nullptr;
}

// Depth first, but not by recursion: fibers have small stacks, and there may be many.
void WaitGraph::find_circle() {
  struct Step {
    const Wait* wait;
    std::size_t next = 0;   // of its others
  };
  std::vector<const Wait*> been;
  for (const Wait& first : waits_) {
    std::vector<Step> way{{&first}};
    while (!way.empty()) {
      Step& last = way.back();
      if (last.next == last.wait->others.size()) {
        way.pop_back();
        continue;
      }
      const Wait* const next = of(*last.wait->others[last.next++]);
      if (next == nullptr) continue;
      const auto begins = std::ranges::find(way, next, &Step::wait);
      for (auto step = begins; step != way.end(); ++step)
        circle_.push_back(step->wait);
      if (!circle_.empty()) {   // told the same way however it was come upon
        const auto age = [](const Wait* wait) { return wait->fiber->id; };
        std::ranges::rotate(circle_, std::ranges::min_element(circle_, {}, age));
        return;
      }
      if (std::ranges::find(been, next) != been.end()) continue;
      been.push_back(next);
      way.push_back({next});
    }
  }
}

std::vector<const Wait*> WaitGraph::knot() const {
  std::vector<const Wait*> all = circle_;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const SimFiber* const other : all[i]->others) {
      const Wait* const next = of(*other);
      if (next != nullptr && std::ranges::find(all, next) == all.end()) all.push_back(next);
    }
  }
  return all;
}

bool WaitGraph::is_behind(const Wait& from, const SimFiber& to) const {
  std::vector<const Wait*> left{&from};
  for (std::size_t i = 0; i < left.size(); ++i) {
    for (const SimFiber* const other : left[i]->others) {
      if (other == &to) return true;
      const Wait* const next = of(*other);
      if (next != nullptr && std::ranges::find(left, next) == left.end()) left.push_back(next);
    }
  }
  return false;
}

// Whoever is there is stuck, but for idle workers, which somebody would have to give something to
// do. Who only waits for others to end has nothing to say that they would not have to see to first.
void WaitGraph::guess_who_is_left() {
  for (Wait& wait : waits_) {
    const OpKind op = wait.fiber->waiting.op;
    if (op != OpKind::condition_wait && op != OpKind::completion_wait) continue;
    if (!wait.others.empty()) continue;
    Fibers left;
    const bool all_behind = std::ranges::all_of(waits_, [&](const Wait& each) {
      if (&each == &wait) return true;
      if (each.what != Wait::For::end) left.push_back(each.fiber);
      return is_behind(each, *wait.fiber);
    });
    if (!all_behind || left.empty()) continue;
    wait.what = Wait::For::wake_up;
    wait.others = std::move(left);
    return;   // the others are behind it, so there is no second one
  }
}

}   // namespace sim
