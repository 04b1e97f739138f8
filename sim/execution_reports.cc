// What an execution tells of itself: findings, events, the log and the digest.
#include <algorithm>
#include <cstdlib>
#include <set>

#include <fmt/format.h>

#include "sim/deadlock.h"
#include "sim/execution.h"
#include "sim/tsan.h"

namespace sim {

using engine::Fiber;
using engine::OpKind;
using engine::Point;

void Execution::too_many_points(const Point& point) {
  Finding finding = describe_endless(*this);
  finding.place = fmt::format("{}:{}", point.where.file_name(), point.where.line());
  if (options_.trace) finding.add_stack(CallStack::here());
  fail(std::move(finding));
}

namespace {

// What an operation is for, where the object cannot be asked.
std::string_view used_by(OpKind op) noexcept {
  switch (op) {
    case OpKind::mutex_lock:
    case OpKind::mutex_try_lock:
    case OpKind::mutex_unlock:
      return "mutex";
    case OpKind::read_lock:
    case OpKind::read_unlock:
    case OpKind::write_lock:
    case OpKind::write_unlock:
      return "read-write lock";
    case OpKind::spin_lock:
    case OpKind::spin_unlock:
      return "spin lock";
    case OpKind::condition_wait:
    case OpKind::condition_notify:
      return "condition";
    case OpKind::completion_wait:
    case OpKind::completion_signal:
      return "completion";
    case OpKind::ref_get:
    case OpKind::ref_put:
      return "reference count";
    case OpKind::atomic_load:
    case OpKind::atomic_store:
    case OpKind::atomic_rmw:
      return "atomic";
    case OpKind::variable_read:
    case OpKind::variable_write:
      return "variable";
    case OpKind::timer_arm:
    case OpKind::timer_cancel:
    case OpKind::timer_fire:
      return "timer";
    case OpKind::work_queue:
    case OpKind::work_run:
      return "work queue";
    default:
      return "object";
  }
}

}   // namespace

void Execution::object_is_gone(const Point& point) {
  Finding finding;
  {
    const Hush hush;
    finding.kind = FindingKind::lifetime;
    finding.message = fmt::format("{} uses a destroyed {}", current_->name(), used_by(point.op));
    finding.place = fmt::format("{}:{}", point.where.file_name(), point.where.line());
    if (options_.trace) {
      finding.add_stack(CallStack::here());
      if (point.object->is_destroyed()) finding.detail += last_of(point.object->id);
    }
  }
  fail(std::move(finding));
}

void Execution::ends_with_locks() {
  Finding finding;
  {
    const Hush hush;
    finding.kind = FindingKind::checker;
    finding.place = fmt::format("lock kept by {}", current_->name());
    // What it has taken last and not given back; untraced, nobody knows.
    std::string lock = "a lock";
    std::set<std::uint32_t> given_back;
    for (std::size_t i = log_.events.kept(); i != 0; --i) {
      const LoggedEvent& event = log_.events[i - 1];
      if (event.actor != current_->id) continue;
      if (event.op == OpKind::mutex_unlock || event.op == OpKind::write_unlock)
        given_back.insert(event.object_id);
      if (event.op != OpKind::mutex_lock && event.op != OpKind::write_lock) continue;
      if (given_back.erase(event.object_id) != 0) continue;
      const std::string_view name = event.object_name;
      lock = fmt::format("{}, which it locked at {}:{}", name, event.where.file_name(),
                         event.where.line());
      finding.detail += fmt::format("{}@{} is locked since step {}, {}:{}\n", name, event.object_id,
                                    event.point, event.where.file_name(), event.where.line());
    }
    finding.message = fmt::format("{} ends and has not given back {}; nobody else can unlock it",
                                  current_->name(), lock);
  }
  fail(std::move(finding));
}

// What the log last says of that object.
std::string Execution::last_of(std::uint32_t object) const {
  for (std::size_t i = log_.events.kept(); i != 0; --i) {
    const LoggedEvent& event = log_.events[i - 1];
    if (event.object_id != object || event.object_name == nullptr) continue;
    std::string_view by = "main";
    for (std::size_t f = 0; f < log_.fibers.kept(); ++f) {
      if (log_.fibers[f].id == event.actor && log_.fibers[f].name != nullptr)
        by = log_.fibers[f].name;
    }
    return fmt::format("it was {}, which {} used last, at step {}, at {}:{}\n", event.object_name,
                       by, event.point, event.where.file_name(), event.where.line());
  }
  return {};
}

namespace {

bool lies_in(const engine::SyncObject* object, const void* memory, std::size_t bytes) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(object);
  return at - reinterpret_cast<std::uintptr_t>(memory) < bytes;
}

}   // namespace

const SimFiber* Execution::standing_in(const void* memory, std::size_t bytes) const noexcept {
  for (std::uint32_t i = 0; i < used_; ++i) {
    const SimFiber& fiber = *slots_[i];
    if (&fiber == current_ || fiber.state == SimFiber::State::ended) continue;
    const bool runs = fiber.state == SimFiber::State::runnable;
    const Point* const at = runs ? fiber.pending : &fiber.waiting;
    if (at != nullptr && lies_in(at->object, memory, bytes)) return &fiber;
  }
  return nullptr;
}

void Execution::note_object(const engine::SyncObject& object) {
  if (object.id >= engine::SyncObject::kQuietId) return;
  if (object.id >= stood_at_.size()) stood_at_.resize(object.id + 1);
  stood_at_[object.id] = &object;
}

void Execution::touch_all_in(const void* memory, std::size_t bytes) {
  if (live_ == 1) return;   // there is nobody else to come before or after
  for (std::uint32_t id = 0; id < stood_at_.size(); ++id) {
    const engine::SyncObject* const object = stood_at_[id];
    if (!lies_in(object, memory, bytes)) continue;
    stood_at_[id] = nullptr;
    if (object->id == id) strategy_->touched(*current_, *object, engine::Access::write);
  }
}

void Execution::gone(const void* memory, std::size_t bytes) {
  if (current_ == &root_) return;
  Finding finding;
  {
    const Hush hush;
    const SimFiber* const other = standing_in(memory, bytes);
    if (other == nullptr) return touch_all_in(memory, bytes);
    const bool runs = other->state == SimFiber::State::runnable;
    const Point& stands = runs ? *other->pending : other->waiting;
    finding.kind = FindingKind::lifetime;
    finding.message =
        fmt::format("{} gives back memory with {} in it, which {} {}", current_->name(),
                    stands.object->name, other->name(), runs ? "is about to use" : "waits for");
    finding.place = fmt::format("{}:{}", stands.where.file_name(), stands.where.line());
    if (options_.trace) finding.add_stack(CallStack::here());
  }
  fail(std::move(finding));
}

void Execution::report(Finding finding) {
  fail(std::move(finding));
}

void Execution::keep(Finding finding) {
  if (outcome_.finding) return;
  if (finding.point == 0) finding.point = points_;
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
  if (!failure.message.empty() && !failure.expression.empty())
    finding.detail = fmt::format("{}\n", failure.expression);
  if (options_.trace) finding.add_stack(CallStack::here());
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
  log_event(event);
  for (engine::TraceSink* const sink : sinks_)
    sink->event(event);
}

void Execution::log_event(const engine::Event& event) {
  if (options_.trace) {
    LoggedEvent& logged = log_.events.add({});
    logged.point = points_;
    logged.time_ns = now_.count();
    logged.actor = current_->id;
    logged.op = event.op;
    if (event.object != nullptr) {
      logged.object_kind = event.object->kind;
      logged.object_id = event.object->id;
      logged.object_name = log_.keep(event.object->name);
    }
    logged.where = event.where;
    logged.a = event.a;
    logged.b = event.b;
    logged.c = event.c;
    logged.name = event.name;
    last_logged_ = &logged;
  }
}

void Execution::log_operation(const Point& point) {
  if (current_ == &root_ || point.object == nullptr) return;
  if (point.object->kind != engine::ObjectKind::atomic) return;
  const Hush hush;
  log_event({.op = point.op, .object = point.object, .where = point.where});
}

void Execution::log_unchanged(const engine::SyncObject& object) noexcept {
  if (last_logged_ == nullptr || last_logged_->object_id != object.id) return;
  if (last_logged_->op == OpKind::atomic_rmw) last_logged_->c = 1;
}

void Execution::digest_value(std::uint64_t value) noexcept {
  const Hush hush;
  mix(value);
}

void Execution::fill_names() {
  for (const auto& slot : slots_) {
    if (slot->id != ActorId{}) outcome_.schedule.names.emplace(slot->id.value(), slot->name());
  }
  for (std::size_t i = 0; i < log_.fibers.kept(); ++i)
    outcome_.schedule.names.emplace(log_.fibers[i].id.value(), log_.fibers[i].name);
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
