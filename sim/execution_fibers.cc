// The fibers of an execution: from start to end, waiting and being woken.
#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "engine/base/sanitizers.h"
#include "sim/execution.h"
#include "sim/tsan.h"

namespace sim {

#if WAVETANK_TSAN
namespace {
constexpr std::size_t kTsanFibersMax = 2000;   // it can tell 8128 apart
}   // namespace
#endif

using engine::Access;
using engine::Fiber;
using engine::OpKind;
using engine::Point;

Fiber& Execution::new_fiber() {
  const Hush hush;
#if WAVETANK_TSAN
  // Using a fiber again orders what its bodies do, which hides races: as late as possible.
  if (free_.size() > kTsanFibersMax) {
    SimFiber* const fiber = free_.front();
    free_.erase(free_.begin());
    return *fiber;
  }
#else
  if (!free_.empty()) {
    SimFiber* const fiber = free_.back();
    free_.pop_back();
    return *fiber;
  }
#endif
  if (used_ == slots_.size()) {
    // Making one must not shift the ids of this run's objects.
    const std::uint32_t next_object_id = engine::t_thread.next_object_id;
    slots_.push_back(std::make_unique<SimFiber>(stacks_->take()));
    engine::t_thread.next_object_id = next_object_id;
  }
  return *slots_[used_++];
}

void Execution::start(Fiber& fiber, std::source_location where) {
  if (enlist(fiber, where)) point(Point{OpKind::fiber_spawn, Access::write, &fiber.object, where});
}

bool Execution::enlist(Fiber& fiber, std::source_location where) {
  const Hush hush;
  auto& started = static_cast<SimFiber&>(fiber);
  const bool for_step = step_actor_ != ActorId{};
  started.id = for_step ? std::exchange(step_actor_, ActorId{}) : ActorId::fiber(spawned_++);
  started.birth = births_++;
  started.steps = 0;
  kinds_.started(started, where.line());
  started.yielded = false;
  started.turn = 0;
  started.pending = nullptr;
  started.locks = 0;
  started.shares.clear();
  started.ends_with = nullptr;
  started.interrupted = nullptr;
  started.event_step = ~0U;
  started.next = {};
  started.unnoticed = true;
  ++unnoticed_;
  ++live_;
  make_runnable(started);
  strategy_->started(started);
  if (engine::t_thread.sink != nullptr) [[unlikely]] {
    if (options_.trace) log_.add_fiber(started.id, current_->id, fiber.name());
    tell(OpKind::fiber_spawn, fiber, where);
  }
  if (for_step) {
    step_fiber_ = &started;
    return false;
  }
  if (order_listener_ != nullptr) order_listener_->spawns(started);
  return current_ != &root_;
}

// Not counted as a call, like Executor::ended(): the identity of a fiber serves many bodies.
WAVETANK_NO_TSAN void Execution::finished(Fiber& fiber) {
  auto& self = static_cast<SimFiber&>(fiber);
  if (fiber.context.spin_depth != 0 || fiber.context.read_depth != 0) {
    engine::check_failed(
        engine::CheckKind::atomic_context, "fiber exit",
        fmt::format("fiber {} ended inside a spin lock or a read section entered "
                    "at {}:{}",
                    fiber.name(), fiber.context.entered.file_name(), fiber.context.entered.line()),
        fiber.context.entered);
  }
  if (fiber.locks != 0) [[unlikely]]
    ends_with_locks();
  handed_over(&root_);
  self.exit_to(*after_end(self));
}

SimFiber* Execution::after_end(SimFiber& self) {
  const Hush hush;
  const Point point{OpKind::fiber_exit, Access::none, &self.object, {}};
  if (engine::t_thread.sink != nullptr) [[unlikely]]
    tell(OpKind::fiber_exit, self, {});
  stop_running(self);
  self.state = SimFiber::State::ended;
  --live_;
  ++self.steps;
  kinds_.ended(self);
  SimFiber& next = decide(self, point);
  free_.push_back(&self);
  hand_over(next);
  return &next;
}

void Execution::park(const Point& why) {
  SimFiber* self = nullptr;
  {
    const Hush hush;
    self = current_;
    ENGINE_CHECK(self != &root_, "the thread that runs an execution cannot wait in it");
    if (self->notified) {
      self->notified = false;
      return;
    }
  }
  set_aside(*self, SimFiber::State::parked, why);
}

void Execution::set_aside(SimFiber& self, SimFiber::State state, const Point& why) {
  SimFiber* next = nullptr;
  {
    const Hush hush;
    self.state = state;
    self.waiting = why;
    self.pending = nullptr;   // the point it stood at is gone
    if (options_.trace) self.stands = CallStack::here();
    stop_running(self);
    if (state == SimFiber::State::spinning) {
      ++spinning_;
    } else if (engine::t_thread.sink != nullptr) [[unlikely]] {
      engine::trace_event(OpKind::fiber_park, why.object, why.where,
                          static_cast<std::uint64_t>(why.op));
    }
    ++self.steps;
    next = &decide(self, self.waiting);
    if (next == &self) return;   // the environment woke it meanwhile
    hand_over(*next);
  }
  handed_over(&self);
  self.switch_to(*next);
}

// Only want of memory throws here, and ends the process. NOLINTNEXTLINE(bugprone-exception-escape)
void Execution::has_share(const engine::SyncObject& object, std::source_location where) noexcept {
  if (current_ == &root_) return;
  const Hush hush;
  if (std::ranges::binary_search(nobodys_, object.id)) return;
  current_->shares.push_back({object.id, where});
}

// Mostly by who has it. One may let a lock go for another; but what is given by who has not taken
// it is a semaphore that tells of something: nobody is expected to give back what he has taken of
// it. NOLINTNEXTLINE(bugprone-exception-escape): the same
void Execution::lets_share_go(const engine::SyncObject& object) noexcept {
  const Hush hush;
  const auto of_object = [&](const SimFiber::Share& each) { return each.object == object.id; };
  const auto let_go = [&](SimFiber& fiber) {
    const auto last = std::ranges::find_if(fiber.shares.rbegin(), fiber.shares.rend(), of_object);
    if (last == fiber.shares.rend()) return false;
    fiber.shares.erase(std::next(last).base());
    return true;
  };
  if (let_go(*current_)) return;
  const bool is_lock = object.kind == engine::ObjectKind::rw_lock;
  const auto place = std::ranges::lower_bound(nobodys_, object.id);
  if (place != nobodys_.end() && *place == object.id) return;   // nobody's share of it is kept
  SimFiber* first = nullptr;                                    // by age, as slots are used again
  for (std::uint32_t i = 0; i < used_; ++i) {
    SimFiber& fiber = *slots_[i];
    if (!is_lock) std::erase_if(fiber.shares, of_object);
    const bool has_it = std::ranges::any_of(fiber.shares, of_object);
    if (has_it && (first == nullptr || fiber.birth < first->birth)) first = &fiber;
  }
  if (first != nullptr) let_go(*first);
  if (!is_lock) nobodys_.insert(place, object.id);
}

// It was woken, and goes on with a look at what it waited for.
void Execution::look_again(SimFiber& fiber) noexcept {
  fiber.next = operation_at(fiber, nullptr);
  fiber.unnoticed = fiber.next.object == 0;
  unnoticed_ += fiber.unnoticed ? 1 : 0;
  make_runnable(fiber);
}

void Execution::unpark(Fiber& fiber, std::source_location where) noexcept {
  const Hush hush;
  auto& woken = static_cast<SimFiber&>(fiber);
  if (every_point_) strategy_->woken(woken);
  if (order_listener_ != nullptr) order_listener_->wakes(woken);
  if (woken.state != SimFiber::State::parked) {
    woken.notified = true;
    return;
  }
  look_again(woken);
  if (engine::t_thread.sink != nullptr) [[unlikely]]
    tell(OpKind::fiber_unpark, fiber, where);
}

void Execution::yield(std::source_location where) {
  {
    const Hush hush;
    current_->yielded = true;
    gave_way_at_ = points_ + 1;
  }
  point(Point{OpKind::yield, Access::none, nullptr, where});
}

void Execution::spin_wait(const Point& point) {
  set_aside(static_cast<SimFiber&>(*engine::t_thread.fiber), SimFiber::State::spinning, point);
}

// By age, not by slot: which slot a fiber has depends on whether slots are used again.
void Execution::spin_released(const engine::SyncObject& object) noexcept {
  const Hush hush;
  while (spinning_ != 0) {
    SimFiber* oldest = nullptr;
    for (std::uint32_t i = 0; i < used_; ++i) {
      SimFiber& fiber = *slots_[i];
      if (fiber.state != SimFiber::State::spinning || fiber.waiting.object != &object) continue;
      if (oldest == nullptr || fiber.id < oldest->id) oldest = &fiber;
    }
    if (oldest == nullptr) return;
    --spinning_;
    look_again(*oldest);
  }
}

}   // namespace sim
