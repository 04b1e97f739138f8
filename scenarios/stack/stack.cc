#include "scenarios/stack/stack.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "scenarios/cache/volume_name.h"
#include "scenarios/thin/options.h"

namespace scenarios::stack {
namespace {

constexpr std::uint32_t kFirst = 0;   // the volume that goes through all layers

// What is discarded may read as anything where the cache is on top; below a pool it is the pool
// that says what its thins hold.
checkers::DataOracle::Options oracle_options(const Workload& workload) {
  checkers::DataOracle::Options options = thin::oracle_options(workload);
  if (workload.system.stack.shape == StackShape::cache_over_thin)
    options.discarded_is_anything = cache::oracle_options().discarded_is_anything;
  return options;
}

template <typename Kind, typename... Args>
Kind& add_layer(Family& family, Args&&... args) {
  auto layer = std::make_unique<Kind>(family.kit(), std::forward<Args>(args)...);
  Kind& made = *layer;
  family.add(std::move(layer));
  return made;
}

}   // namespace

Stack::Stack(World& world, const Workload& workload)
    : Parts{workload},
      Family{world, workload, oracle_options(workload)},
      system_{workload.system},
      above_{.name = "above",
             .wanted = system_.stack.linear_above,
             .over = cache_on_top() ? cache::kName : thin::Volumes::name_of(kFirst),
             .offset = 0},
      between_{.name = "between",
               .wanted = system_.stack.linear_between,
               .over = cache_on_top() ? thin::Volumes::name_of(kFirst) : cache::kName,
               .offset = 0},
      below_{.name = "below",
             .wanted = system_.stack.linear_below,
             .over = "data",
             .offset = kLinearOffset},
      cache_{add_layer<cache::Volume>(*this, Parts::cache, around_cache())},
      thin_{add_layer<thin::Volumes>(*this, Parts::thin, below_pool())} {
  thin_.expect_discards(below_.wanted ? kLinearOffset : 0);
}

thin::Below Stack::below_pool() const {
  const Linear& under = cache_on_top() ? below_ : between_;
  thin::Below below{.data = under.wanted ? under.name : under.over, .quiet = {}};
  if (cache_on_top()) below.quiet = {"data"};
  return below;
}

cache::Around Stack::around_cache() {
  const Linear& under = cache_on_top() ? between_ : below_;
  cache::Around around{.metadata = kCacheMetadata,
                       .origin = under.wanted ? under.name : under.over,
                       .quiet = {"fast"},
                       .read_back = [this] { read_back(); }};
  if (cache_on_top()) {
    around.origin_may_change = system_.skip_block_zeroing || kit_.bench.workload.may_need_check();
    around.origin_is_full = [this] { return pool_is_full(); };
  } else {
    around.quiet.push_back("data");
  }
  return around;
}

// --- From the bottom up.

void Stack::bring_up() {
  make(below_);
  if (!cache_on_top()) {
    cache_.bring_up();
    make(between_);
    // Metadata that wants checking does not open, and a pool without data has nothing to open.
    if (!kit_.control.is_active(cache::kName)) return;
  }
  thin_.bring_up();
  if (kit_.bench.power_cut) bring_up_above();
}

void Stack::make_volumes() {
  thin_.make_volumes();
  if (cache_on_top()) {
    kit_.bench.oracle.create(kFirst, sectors_of(above_));
    thin_.cover();
  }
  bring_up_above();
}

void Stack::bring_up_above() {
  if (kit_.bench.power_cut) thin_.reactivate_first();
  if (cache_on_top()) {
    make(between_);
    cache_.bring_up();
  }
  make(above_);
}

std::uint64_t Stack::sectors_of(const Linear& linear) const {
  const std::uint64_t pool = system_.data_device_blocks * system_.block_sectors;
  const std::uint64_t first =
      system_.thins.empty() ? 0 : system_.thins.front().blocks * system_.block_sectors;
  const std::uint64_t cached = cache::origin_sectors(Parts::cache.system);
  if (&linear == &above_) return cache_on_top() ? cached : first;
  if (&linear == &between_) return cache_on_top() ? first : cached;
  return pool;
}

void Stack::make(Linear& linear) {
  if (!linear.wanted) return;
  linear.making = true;
  static_cast<void>(kit_.bench.system->create_with_table(
      linear.name,
      fmt::format("0 {} linear {} {}", sectors_of(linear), linear.over, linear.offset)));
  linear.making = false;
}

void Stack::remove(Linear& linear) {
  if (linear.wanted) kit_.control.remove(linear.name);
}

// --- Requests.

Target Stack::top() const {
  if (above_.wanted) return {.device = above_.name, .volume = kFirst, .unready = &above_.making};
  return {.device = cache::kName, .volume = kFirst, .unready = &cache_.unready()};
}

void Stack::issue(const Operation& operation) {
  if (operation.thin == kFirst && (cache_on_top() || above_.wanted)) {
    kit_.requests.issue(top(), operation);
  } else {
    thin_.perform(operation);
  }
}

void Stack::perform(const Operation& operation) {
  if (is_request(operation.verb)) {
    issue(operation);
    return;
  }
  switch (operation.verb) {
    case Verb::bounce_stack:
      bounce_all(operation.noflush);
      break;
    case Verb::bounce_linear: {
      const std::array<Linear*, 3> linears{&above_, &between_, &below_};
      bounce(*linears[operation.thin % linears.size()], operation.noflush);
      break;
    }
    case Verb::remake_stack:
      remake();
      break;
    case Verb::sleep:
      thin_.perform(operation);
      break;
    default:   // each layer knows what is for it
      thin_.perform(operation);
      cache_.perform(operation);
      break;
  }
}

// --- Control actions on all of it.

// The device is given the same table again.
void Stack::bounce(Linear& linear, bool noflush, const Control::Action& meanwhile) {
  if (!linear.wanted) {
    if (meanwhile) meanwhile();
    return;
  }
  const engine::MutexLock lock{linear.control};
  static_cast<void>(kit_.bench.system->load(
      linear.name,
      fmt::format("0 {} linear {} {}", sectors_of(linear), linear.over, linear.offset)));
  kit_.control.bounce(linear.name, noflush, {}, meanwhile);
}

// Each is suspended inside of the one above it.
void Stack::bounce_all(bool noflush) {
  bounce(above_, noflush, [&] {
    const Control::Action bottom = [&] { bounce(below_, noflush); };
    if (cache_on_top()) {
      cache_.bounce_around(noflush, [&] {
        bounce(between_, noflush, [&] { thin_.bounce_around(noflush, bottom); });
      });
    } else {
      thin_.bounce_around(noflush, [&] {
        bounce(between_, noflush, [&] { cache_.bounce_around(noflush, bottom); });
      });
    }
  });
}

// What stands on the thin, of which nobody else has to be gone; or on the cache, which is all of
// the pool.
void Stack::remake() {
  const engine::MutexLock lock{above_.control};
  remove(above_);
  if (cache_on_top()) {
    cache_.remake([&] {
      const engine::MutexLock between{between_.control};
      remove(between_);
      thin_.reactivate_first();
      make(between_);
    });
  } else {
    thin_.remake();
  }
  make(above_);
}

// --- Judging.

void Stack::read_back() {
  if (cache_on_top()) {
    kit_.requests.read_back(top(), system_.block_sectors);
  } else {
    thin_.read_back_all();
  }
}

bool Stack::pool_is_full() {
  const auto status = kit_.bench.system->status(thin::Volumes::kPool);
  return status && status->find("out_of_data_space") != std::string::npos;
}

// The cache first, which ends with its users on the origin alone. Where it could not be judged to
// its end, thin 0 holds what nobody can tell.
void Stack::judge_at_rest() {
  cache_.judge_at_rest();
  if (cache_on_top()) {
    if (cache_.detached()) {
      thin_.uncover();
    } else {
      remove(above_);
      kit_.control.remove(cache::kName);
    }
  } else if (!cache_.detached()) {
    if (cache_.unusable()) return;   // a pool cannot commit without its data device
    thin_.expect_discards(std::nullopt);
  }
  thin_.judge_at_rest();
}

}   // namespace scenarios::stack
