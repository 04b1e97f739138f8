#include "sim/execution.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/deadlock.h"
#include "sim/strategy_random.h"
#include "sim/tsan.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#endif
#if defined(SIM_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

namespace sim {

#if defined(SIM_ASAN)
namespace {
// Of a process in which stacks were abandoned with all that they own.
bool leaks_mean_nothing = false;
}   // namespace
// Asked by LeakSanitizer before it looks.
extern "C" int __lsan_is_turned_off() {
  return leaks_mean_nothing ? 1 : 0;
}
#endif

#if defined(SIM_TSAN)
namespace {
constexpr std::size_t kTsanFibersMax = 2000;   // it can tell 8128 apart
}   // namespace
#endif

using engine::Access;
using engine::Fiber;
using engine::OpKind;
using engine::Point;

Execution::Execution(ExecutionOptions options) : current_{&root_}, root_{} {
  reset(options);
}

Execution::~Execution() {
  const Hush hush;
  timers_.clear();
  // An abandoned stack stays: what it owns lives on it.
  for (const std::unique_ptr<SimFiber>& fiber : slots_) {
    if (fiber->state == SimFiber::State::ended) stacks_.give_back(fiber->stack());
  }
}

void Execution::reset(ExecutionOptions options) {
  const Hush hush;
  options_ = options;
  strategy_ = options.strategy;
  if (strategy_ == nullptr) {
    if (!own_strategy_) own_strategy_ = std::make_unique<RandomWalk>();
    strategy_ = own_strategy_.get();
  }
  points_ = switches_ = preemptions_ = turn_began_ = logged_point_ = 0;
  digest_ = 0x5754414E4BULL;
  spawned_ = 1;
  used_ = live_ = must_happen_ = spinning_ = fired_ = devices_ = steps_offered_ = 0;
  offers_ = timer_sequence_ = 0;
  now_ = engine::Nanos{0};
  runnable_.clear();
  for (EnvStep* const step : steps_)
    step->index = EnvStep::kNotOffered;
  steps_.clear();
  timer_step_.index = EnvStep::kNotOffered;
  free_.clear();
  timers_.clear();
  sinks_.clear();
  log_.clear();
  current_ = &root_;
  root_.steps = 0;
  root_.interrupted = nullptr;
  outcome_.finding.reset();
  outcome_.schedule.decisions.clear();
  if (!outcome_.schedule.names.empty()) outcome_.schedule.names.clear();
  used_up_ = false;
  every_point_ = strategy_->wants_every_point();
  engine::t_thread.next_object_id = 1;
  strategy_->begin(options.seed);
  strategy_->started(root_);
}

void Execution::begin_run() {
  const Hush hush;
  ENGINE_CHECK(!running_, "an execution runs inside itself");
  if (used_up_) reset(options_);
  used_up_ = true;
  running_ = true;
  enter_thread();
}

void Execution::enter_thread() noexcept {
  engine::ThreadState& thread = engine::t_thread;
  const std::uint32_t next_object_id = thread.next_object_id;
  saved_thread_ = thread;
  saved_check_sink_ = engine::set_check_sink(this);
  thread.points = this;
  thread.executor = this;
  thread.fiber = &root_;
  thread.context = &root_.context;
  thread.next_object_id = next_object_id;
  thread.thread_index = 0;
  refresh_sink();
}

void Execution::leave_thread() noexcept {
  engine::set_check_sink(saved_check_sink_);
  const std::uint32_t next_object_id = engine::t_thread.next_object_id;
  engine::t_thread = saved_thread_;
  engine::t_thread.next_object_id = next_object_id;
}

const Outcome& Execution::finish_run() {
  const Point point{OpKind::fiber_start, Access::none, nullptr, std::source_location::current()};
  SimFiber* first = nullptr;
  {
    const Hush hush;
    first = &decide(root_, point);
    current_ = first;
  }
  if (first != &root_) root_.switch_to(*first);
  // Back for good: over, or abandoned.
  const Hush hush;
  taken_over(&root_);
  current_ = &root_;
  running_ = false;
  leave_thread();
  timers_.clear();
  strategy_->end(points_);
  outcome_.points = points_;
  outcome_.switches = switches_;
  outcome_.preemptions = preemptions_;
  outcome_.time_ns = now_.count();
  std::uint64_t digest = digest_ ^ points_;
  digest ^= digest >> 33U;
  digest *= 0xC2B2AE3D27D4EB4FULL;
  digest ^= digest >> 29U;
  outcome_.digest = digest;
  if (outcome_.finding || options_.trace) fill_names();
  while (!steps_.empty())
    withdraw(*steps_.back());
  if (live_ != 0) abandon();
  return outcome_;
}

// Nothing on the stacks of the fibers left will run again, so stacks and fibers can be used again;
// what lives on them and what they own is leaked. Sanitizers have made notes about the stacks: with
// them, all is left behind.
void Execution::abandon() {
  live_ = 0;
  for (const auto& slot : slots_) {
    slot->state = SimFiber::State::ended;
    taken_over(slot.get());
  }
#if defined(SIM_ASAN) || defined(SIM_TSAN)
  for (auto& slot : slots_) {
#if defined(SIM_ASAN)
    leaks_mean_nothing = true;
    static_cast<void>(slot.release());
#else
    slot.reset();
#endif
  }
  slots_.clear();
#endif
}

// --- fibers ---

Fiber& Execution::new_fiber() {
  const Hush hush;
#if defined(SIM_TSAN)
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
    slots_.push_back(std::make_unique<SimFiber>(stacks_.take()));
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
  started.steps = 0;
  started.yielded = false;
  started.pending = nullptr;
  started.interrupted = nullptr;
  ++live_;
  make_runnable(started);
  strategy_->started(started);
  if (engine::t_thread.sink != nullptr) [[unlikely]] {
    if (options_.trace) log_.fibers.push_back({started.id, current_->id, fiber.name(), where});
    tell(OpKind::fiber_spawn, fiber, where);
  }
  if (for_step) {
    step_fiber_ = &started;
    return false;
  }
  return current_ != &root_;
}

void Execution::finished(Fiber& fiber) {
  auto& self = static_cast<SimFiber&>(fiber);
  if (fiber.context.spin_depth != 0 || fiber.context.read_depth != 0) {
    engine::check_failed(
        engine::CheckKind::atomic_context, "fiber exit",
        fmt::format("fiber {} ended inside a spin lock or a read section entered "
                    "at {}:{}",
                    fiber.name(), fiber.context.entered.file_name(), fiber.context.entered.line()),
        fiber.context.entered);
  }
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

void Execution::unpark(Fiber& fiber, std::source_location where) noexcept {
  const Hush hush;
  auto& woken = static_cast<SimFiber&>(fiber);
  if (woken.state != SimFiber::State::parked) {
    woken.notified = true;
    return;
  }
  make_runnable(woken);
  if (engine::t_thread.sink != nullptr) [[unlikely]]
    tell(OpKind::fiber_unpark, fiber, where);
}

void Execution::yield(std::source_location where) {
  {
    const Hush hush;
    current_->yielded = true;
  }
  point(Point{OpKind::yield, Access::none, nullptr, where});
}

void Execution::spin_wait(const Point& point) {
  set_aside(static_cast<SimFiber&>(*engine::t_thread.fiber), SimFiber::State::spinning, point);
}

void Execution::spin_released(const engine::SyncObject& object) noexcept {
  const Hush hush;
  if (spinning_ == 0) return;
  for (std::uint32_t i = 0; i < used_; ++i) {
    SimFiber& fiber = *slots_[i];
    if (fiber.state != SimFiber::State::spinning || fiber.waiting.object != &object) continue;
    --spinning_;
    make_runnable(fiber);
  }
}

void Execution::make_runnable(SimFiber& fiber) noexcept {
  fiber.state = SimFiber::State::runnable;
  fiber.index = static_cast<std::uint32_t>(runnable_.size());
  runnable_.push_back(&fiber);
}

void Execution::stop_running(SimFiber& fiber) noexcept {
  SimFiber* const last = runnable_.back();
  runnable_[fiber.index] = last;
  last->index = fiber.index;
  runnable_.pop_back();
}

void Execution::hand_over(SimFiber& next) noexcept {
  ++switches_;
  turn_began_ = points_;
  current_ = &next;
}

// --- decisions ---

void Execution::point(const Point& point) {
  SimFiber* from = nullptr;
  SimFiber* next = nullptr;
  {
    const Hush hush;
    SimFiber& self = *current_;
    if (&self == &root_) return;
    from = &self;
    ++points_;
    ++self.steps;
    mix(static_cast<std::uint64_t>(self.id.value()) << 32U |
        static_cast<std::uint64_t>(point.op) << 24U |
        (point.object != nullptr ? point.object->id & 0xFFFFFFU : 0U));
    if (points_ >= options_.points_max) [[unlikely]]
      too_many_points(point);
    if (runnable_.size() + steps_.size() == 1 && !every_point_) {   // nothing but to go on
      self.yielded = false;
      return;
    }
    self.pending = &point;
    next = &decide(self, point);
    if (next == &self) return;
    hand_over(*next);
  }
  handed_over(from);
  from->switch_to(*next);
}

SimFiber& Execution::decide(SimFiber& self, const Point& point) {
  for (;;) {
    const auto fibers = static_cast<std::uint32_t>(runnable_.size());
    if (fibers == 0 && must_happen_ == 0) [[unlikely]] {
      if (!advance_time()) return root_;
      continue;
    }
    const std::uint32_t rule = fallback(self);
    std::uint32_t pick = rule;
    if (fibers + steps_.size() > 1 || every_point_) {
      const bool self_runnable = self.state == SimFiber::State::runnable;
      pick = strategy_->pick(Choices{runnable_, steps_, self, self_runnable, rule, point});
    }
    if (pick != rule || options_.trace) note_decision(self, point, pick, rule);
    if (pick < fibers) {
      SimFiber& next = *runnable_[pick];
      if (&next != &self && self.state == SimFiber::State::runnable && !self.yielded)
        ++preemptions_;
      next.yielded = false;
      return next;
    }
    EnvStep& step = *steps_[pick - fibers];
    mix(static_cast<std::uint64_t>(step.id.value()) << 32U | static_cast<std::uint64_t>(step.kind) |
        0x100U);
    withdraw(step);
    // Whoever gave way has done so.
    for (SimFiber* const fiber : runnable_)
      fiber->yielded = false;
    if (SimFiber* const started = step.happen()) {
      started->interrupted = &self;
      started->interrupted_id = self.id;
      return *started;
    }
    ++self.steps;   // after what the step itself had to decide
  }
}

// The rule of schedule.h.
std::uint32_t Execution::fallback(const SimFiber& self) noexcept {
  const bool runnable = self.state == SimFiber::State::runnable;
  const auto fibers = static_cast<std::uint32_t>(runnable_.size());
  if (runnable && !self.yielded && points_ - turn_began_ < options_.turn_points_max) [[likely]]
    return self.index;
  if (fibers == 0) return oldest_step();
  const SimFiber* const interrupted = self.interrupted;
  if (!runnable && interrupted != nullptr && interrupted->id == self.interrupted_id &&
      interrupted->state == SimFiber::State::runnable && !interrupted->yielded)
    return interrupted->index;
  const SimFiber* best = nullptr;
  for (const SimFiber* const fiber : runnable_) {
    if (fiber == &self || fiber->yielded) continue;
    if (best == nullptr || fiber->id < best->id) best = fiber;
  }
  if (best != nullptr) return best->index;
  // Everybody gave way: to the environment, else in turn.
  if (must_happen_ != 0) return oldest_step();
  const SimFiber* after = nullptr;
  for (const SimFiber* const fiber : runnable_) {
    if (best == nullptr || fiber->id < best->id) best = fiber;
    if (fiber->id > self.id && (after == nullptr || fiber->id < after->id)) after = fiber;
  }
  return after != nullptr ? after->index : best->index;
}

std::uint32_t Execution::oldest_step() const noexcept {
  const EnvStep* best = nullptr;
  for (const EnvStep* const step : steps_) {
    if (step->duty == EnvStep::Duty::may_happen) continue;
    if (best == nullptr || step->age < best->age) best = step;
  }
  return static_cast<std::uint32_t>(runnable_.size()) + best->index;
}

void Execution::note_decision(SimFiber& self, const Point& point, std::uint32_t pick,
                              std::uint32_t rule) {
  const auto fibers = static_cast<std::uint32_t>(runnable_.size());
  const bool is_fiber = pick < fibers;
  const ActorId to = is_fiber ? runnable_[pick]->id : steps_[pick - fibers]->id;
  const ChoiceKind kind = is_fiber ? ChoiceKind::run : steps_[pick - fibers]->kind;
  const std::uint32_t value = kind == ChoiceKind::fire ? 0 : to.value();
  if (pick != rule)
    outcome_.schedule.decisions.push_back(Decision{self.id, self.steps, kind, value});
  if (!options_.trace || (is_fiber && runnable_[pick] == &self)) return;
  const bool preemption = is_fiber && self.state == SimFiber::State::runnable && !self.yielded;
  log_.decisions.push_back(
      {.point = points_,
       .events_before = log_.events.size(),
       .time_ns = now_.count(),
       .from = self.id,
       .from_step = self.steps,
       .kind = kind,
       .to = to,
       .value = 0,
       .what = is_fiber ? runnable_[pick]->name() : steps_[pick - fibers]->name,
       .preemption = preemption,
       .deviation = pick != rule,
       .op = point.op,
       .object_name = point.object != nullptr ? point.object->name : nullptr,
       .object_id = point.object != nullptr ? point.object->id : 0,
       .where = point.where});
}

std::uint32_t Execution::choose(const char* what, std::uint32_t count, std::uint32_t one_in) {
  const Hush hush;
  SimFiber& self = *current_;
  ++self.steps;
  if (count <= 1) return 0;
  const std::uint32_t value = strategy_->value(self, what, count, one_in);
  mix(static_cast<std::uint64_t>(value) << 32U | 0x200U);
  if (value != 0)
    outcome_.schedule.decisions.push_back(Decision{self.id, self.steps, ChoiceKind::value, value});
  if (options_.trace && value != 0) {
    log_.decisions.push_back({.point = points_,
                              .events_before = log_.events.size(),
                              .time_ns = now_.count(),
                              .from = self.id,
                              .from_step = self.steps,
                              .kind = ChoiceKind::value,
                              .to = {},
                              .value = value,
                              .what = what,
                              .deviation = true});
  }
  return value;
}

void Execution::offer(EnvStep& step) {
  const Hush hush;
  ENGINE_CHECK(step.index == EnvStep::kNotOffered, "step {} is offered twice", step.name);
  step.index = static_cast<std::uint32_t>(steps_.size());
  step.age = offers_++;
  step.priority = 0;
  steps_.push_back(&step);
  if (step.duty == EnvStep::Duty::must_happen) ++must_happen_;
}

void Execution::withdraw(EnvStep& step) noexcept {
  const Hush hush;
  if (step.index == EnvStep::kNotOffered) return;
  EnvStep* const last = steps_.back();
  steps_[step.index] = last;
  last->index = step.index;
  steps_.pop_back();
  step.index = EnvStep::kNotOffered;
  if (step.duty == EnvStep::Duty::must_happen) --must_happen_;
}

// --- time ---

void Execution::arm(engine::Timer& timer, engine::Nanos deadline) noexcept {
  const Hush hush;
  timer.deadline = std::max(deadline, now_);
  timer.sequence = timer_sequence_++;
  timer.armed = true;
  timers_.insert(timer);
  handed_over(&timer);
  refresh_timer_step();
}

bool Execution::disarm(engine::Timer& timer) noexcept {
  const Hush hush;
  if (!timer.armed) return false;
  timers_.erase(timers_.iterator_to(timer));
  timer.armed = false;
  refresh_timer_step();
  return true;
}

void Execution::refresh_timer_step() noexcept {
  const bool due = !timers_.empty() && (options_.timers_race || timers_.begin()->deadline <= now_);
  const bool offered = timer_step_.index != EnvStep::kNotOffered;
  if (due && !offered) offer(timer_step_);
  if (!due && offered) withdraw(timer_step_);
}

bool Execution::advance_time() {
  if (live_ == 0) return false;
  if (!timers_.empty()) {
    now_ = std::max(now_, timers_.begin()->deadline);
    refresh_timer_step();
    return true;
  }
  keep(describe_deadlock(*this));
  return false;
}

SimFiber* Execution::fire_timer() {
  engine::Timer& timer = *timers_.begin();
  now_ = std::max(now_, timer.deadline);
  timers_.erase(timers_.begin());
  timer.armed = false;
  refresh_timer_step();
  return start_for_step(ActorId{ActorKind::timer, 0, ++fired_}, timer.object.name, [&timer] {
    taken_over(&timer);
    const engine::ContextScope scope{engine::ContextKind::completion};
    timer.fire();
  });
}

// --- findings and events ---

void Execution::too_many_points(const Point& point) {
  Finding finding;
  finding.kind = FindingKind::endless;
  finding.message = fmt::format("no end after {} scheduling points", points_);
  finding.place = fmt::format("{}:{}", point.where.file_name(), point.where.line());
  fail(std::move(finding));
}

void Execution::report(Finding finding) {
  fail(std::move(finding));
}

void Execution::keep(Finding finding) {
  if (outcome_.finding) return;
  finding.point = points_;
  finding.time_ns = now_.count();
  if (current_ != &root_)
    finding.fiber = fmt::format("{}#{}", current_->name(), current_->id.ordinal());
  outcome_.finding = std::move(finding);
}

void Execution::fail(Finding finding) {
  {
    const Hush hush;
    keep(std::move(finding));
  }
  if (!running_ || engine::t_thread.fiber == &root_) return;
  Hush::end_all();
  handed_over(&root_);
  static_cast<SimFiber*>(engine::t_thread.fiber)->switch_to(root_);
}

void Execution::check_failed(const engine::CheckFailure& failure) noexcept {
  Finding finding;
  switch (failure.kind) {
    case engine::CheckKind::assertion:
      finding.kind = FindingKind::assertion;
      break;
    case engine::CheckKind::atomic_context:
      finding.kind = FindingKind::atomic_context;
      break;
    case engine::CheckKind::lifetime:
      finding.kind = FindingKind::lifetime;
      break;
  }
  finding.message = failure.message.empty() ? std::string{failure.expression} : failure.message;
  finding.place = fmt::format("{}:{}", failure.where.file_name(), failure.where.line());
  if (!failure.message.empty()) finding.detail = std::string{failure.expression};
  fail(std::move(finding));
  fmt::print(stderr, "{}: check failed outside any fiber: {}\n", outcome_.finding->place,
             outcome_.finding->message);
  std::abort();
}

void Execution::add_sink(engine::TraceSink& sink) {
  sinks_.push_back(&sink);
  if (running_) refresh_sink();
}

void Execution::remove_sink(engine::TraceSink& sink) noexcept {
  std::erase(sinks_, &sink);
  if (running_) refresh_sink();
}

void Execution::refresh_sink() noexcept {
  const bool wanted = options_.trace || options_.digest_events || !sinks_.empty();
  engine::t_thread.sink = wanted ? static_cast<engine::TraceSink*>(this) : nullptr;
}

void Execution::tell(OpKind op, const Fiber& fiber, std::source_location where) noexcept {
  engine::trace_event(op, &fiber.object, where, static_cast<const SimFiber&>(fiber).id.value());
}

void Execution::event(const engine::Event& event) noexcept {
  const Hush hush;
  if (options_.digest_events) {
    mix(static_cast<std::uint64_t>(event.op) << 32U |
        (event.object != nullptr ? event.object->id : 0U));
    mix(event.a);
    mix(event.b);
    mix(event.c);
  }
  if (options_.trace) {
    LoggedEvent& logged = log_.events.emplace_back();
    logged.point = points_;
    logged.time_ns = now_.count();
    logged.actor = current_->id;
    logged.op = event.op;
    if (event.object != nullptr) {
      logged.object_kind = event.object->kind;
      logged.object_id = event.object->id;
      logged.object_name = event.object->name;
    }
    logged.where = event.where;
    logged.a = event.a;
    logged.b = event.b;
    logged.c = event.c;
    logged.name = event.name;
  }
  for (engine::TraceSink* const sink : sinks_)
    sink->event(event);
}

void Execution::digest_value(std::uint64_t value) noexcept {
  const Hush hush;
  mix(value);
}

void Execution::fill_names() {
  for (const auto& slot : slots_) {
    if (slot->id != ActorId{}) outcome_.schedule.names.emplace(slot->id.value(), slot->name());
  }
  for (const LoggedFiber& fiber : log_.fibers)
    outcome_.schedule.names.emplace(fiber.id.value(), fiber.name);
}

std::vector<const SimFiber*> Execution::live_fibers() const {
  std::vector<const SimFiber*> live;
  for (std::uint32_t i = 0; i < used_; ++i) {
    if (slots_[i]->state != SimFiber::State::ended) live.push_back(slots_[i].get());
  }
  std::sort(live.begin(), live.end(),
            [](const SimFiber* a, const SimFiber* b) { return a->id < b->id; });
  return live;
}

}   // namespace sim
