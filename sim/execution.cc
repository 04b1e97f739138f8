// The life of an execution: prepared, run, over; and what is left behind when it is given up.
#include "sim/execution.h"

#include <map>

#include "engine/base/sanitizers.h"
#include "sim/strategy_random.h"
#include "sim/tsan.h"

#if WAVETANK_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace sim {

#if WAVETANK_ASAN
namespace {
// Of a process in which stacks were abandoned with all that they own.
bool leaks_mean_nothing = false;
}   // namespace
// Asked by LeakSanitizer before it looks.
extern "C" int __lsan_is_turned_off() {
  return leaks_mean_nothing ? 1 : 0;
}
#endif

using engine::Access;
using engine::OpKind;
using engine::Point;

namespace {

// What the thread's executions leave, the next ones take, as many as the largest of them had: who
// makes one execution after another would map, guard and fault in the same stacks for each, and
// ThreadSanitizer forgets what it knows of a mapping word by word.
std::shared_ptr<engine::StackPool> stacks_of_thread(std::size_t size) {
  const Hush hush;
  static thread_local std::map<std::size_t, std::shared_ptr<engine::StackPool>> pools;
  std::shared_ptr<engine::StackPool>& pool = pools[size];
  if (!pool) pool = std::make_shared<engine::StackPool>(size);
  return pool;
}

}   // namespace

Execution::Execution(ExecutionOptions options)
    : current_{&root_}, root_{}, stacks_{stacks_of_thread(options.stack_bytes)} {
  reset(options);
}

Execution::~Execution() {
  const Hush hush;
  timers_.clear();
  // The last first, so that the next execution's fibers have the same ones. An abandoned stack
  // stays: what it owns lives on it.
  for (auto fiber = slots_.rbegin(); fiber != slots_.rend(); ++fiber) {
    if ((*fiber)->state != SimFiber::State::ended) continue;
    (*fiber)->settle();
    stacks_->give_back((*fiber)->stack());
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
#if WAVETANK_TSAN
  for (const std::unique_ptr<SimFiber>& fiber : slots_)
    fiber->settle();
#endif
  points_ = switches_ = preemptions_ = turn_began_ = logged_point_ = 0;
  points_max_ = options.points_max;
  gave_way_at_ = turns_ = steps_turn_ = 0;
  fair_ = false;
  digest_ = 0x5754414E4BULL;
  spawned_ = births_ = 1;
  used_ = live_ = must_happen_ = spinning_ = unnoticed_ = timers_ahead_ = fired_ = devices_ =
      steps_offered_ = 0;
  offers_ = timer_sequence_ = timers_kept_waiting_ = 0;
  now_ = engine::Nanos{0};
  runnable_.clear();
  for (EnvStep* const step : steps_)
    step->index = EnvStep::kNotOffered;
  steps_.clear();
  forget_waiting();
  at_standstill_ = nullptr;
  stood_still_ = engine::Nanos{-1};
  timer_step_.index = EnvStep::kNotOffered;
  free_.clear();
  kinds_.begin();
  timers_.clear();
  sinks_.clear();
  order_listener_ = nullptr;
  log_.clear();
  last_logged_ = nullptr;
  stood_at_.clear();
  nobodys_.clear();
  current_ = &root_;
  root_.steps = 0;
  root_.interrupted = nullptr;
  outcome_.finding.reset();
  outcome_.schedule.decisions.clear();
  if (!outcome_.schedule.names.empty()) outcome_.schedule.names.clear();
  used_up_ = false;
  engine::t_thread.next_object_id = 1;
  engine::t_thread.next_quiet_id = engine::SyncObject::kQuietId;
  strategy_->begin(options.strategy_seed.value_or(options.seed));
  every_point_ = strategy_->wants_every_point();
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
  forget_waiting();
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
  if (outcome_.finding) outcome_.finding->spell_out();
  if (outcome_.finding && outcome_.finding->kind == FindingKind::endless) log_.is_endless();
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
#if WAVETANK_ASAN || WAVETANK_TSAN
  for (auto& slot : slots_) {
#if WAVETANK_ASAN
    leaks_mean_nothing = true;
    static_cast<void>(slot.release());
#else
    slot.reset();
#endif
  }
  slots_.clear();
#endif
}

}   // namespace sim
