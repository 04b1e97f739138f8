// General traffic: whatever the engine can do, in swarms. Each workload leaves out some kinds of
// operations and faults, because a run that mixes everything rarely gets deep into anything
// (Groce et al., "Swarm Testing", 2012).
#include "scenarios/generate.h"
#include "scenarios/scenario.h"

namespace scenarios::thin {
namespace {

using Weights = std::vector<std::pair<std::size_t, Verb>>;

// What a swarm has: bit i of a draw switches a group on.
constexpr std::uint32_t kDiscards = 1U << 0;
constexpr std::uint32_t kSnapshots = 1U << 1;
constexpr std::uint32_t kLifecycle = 1U << 2;   // create, delete, activate, deactivate
constexpr std::uint32_t kBounces = 1U << 3;     // suspend, resume, reload
constexpr std::uint32_t kPoolMessages = 1U << 4;
constexpr std::uint32_t kTime = 1U << 5;
constexpr std::uint32_t kGrowth = 1U << 6;
constexpr std::uint32_t kPowerCut = 1U << 7;
constexpr std::uint32_t kIoErrors = 1U << 8;
constexpr std::uint32_t kSwarmBits = 9;

// Trees of several levels come of many blocks and small nodes, which one workload in so many has.
constexpr std::uint32_t kDeepOneIn = 6;
constexpr std::uint64_t kDeepBlocks = 14;
constexpr std::uint32_t kSmallFanOut = 6;

Weights weights_of(std::uint32_t swarm) {
  Weights weights{{30, Verb::write}, {14, Verb::read}, {8, Verb::flush}, {2, Verb::write_zeroes}};
  const auto add = [&](std::uint32_t bit, Weights more) {
    if ((swarm & bit) != 0) weights.insert(weights.end(), more.begin(), more.end());
  };
  add(kDiscards, {{16, Verb::discard}});
  add(kSnapshots, {{10, Verb::create_snap}, {3, Verb::delete_thin}});
  add(kLifecycle,
      {{4, Verb::create_thin}, {4, Verb::delete_thin}, {5, Verb::activate}, {6, Verb::deactivate}});
  add(kBounces, {{4, Verb::bounce_thin}, {4, Verb::bounce_pool}, {3, Verb::reload_pool}});
  add(kPoolMessages, {{3, Verb::set_transaction},
                      {4, Verb::reserve_snap},
                      {4, Verb::release_snap},
                      {3, Verb::status}});
  add(kTime, {{4, Verb::sleep}});
  add(kGrowth, {{4, Verb::grow_data}, {2, Verb::grow_metadata}});
  return weights;
}

SystemSpec system_of(std::uint32_t swarm, std::uint32_t sizes, std::uint32_t options) {
  SystemSpec system;
  // Few data blocks: space runs out, freed blocks are soon used again.
  system.data_blocks = std::array<std::uint64_t, 8>{1, 2, 3, 4, 4, 6, 8, 12}[sizes % 8];
  system.data_device_blocks = system.data_blocks + ((swarm & kGrowth) != 0 ? 3 : 0);
  system.metadata_blocks = std::array<std::uint64_t, 4>{64, 64, 40, 24}[sizes / 8 % 4];
  system.low_water_blocks = sizes / 32 % 3;
  const std::uint32_t thins = 1 + sizes / 128 % 3;
  for (std::uint32_t id = 0; id < thins; ++id)
    system.thins.push_back({id, 4});
  const auto one_in = [&](std::uint32_t n, std::uint32_t shift) {
    return (options >> shift & 0xFU) % n == n - 1;
  };
  system.no_discard_passdown = one_in(4, 0);
  system.error_if_no_space = one_in(2, 4);
  system.skip_block_zeroing = one_in(6, 8);
  system.ignore_discard = one_in(15, 12);
  system.fan_out = one_in(2, 16) ? kSmallFanOut : 0;
  system.cells = one_in(3, 20) ? 2 : 0;
  system.discard_reads = static_cast<DiscardReads>((options >> 24) % 3);
  if (one_in(4, 26)) system.commit_interval_ms = 0;
  return system;
}

FaultSpec faults_of(std::uint32_t swarm, std::uint32_t options) {
  FaultSpec faults;
  if ((swarm & kPowerCut) != 0) faults.power_cuts = 1;
  // Two in a row as a matter of course: the failure path of the failure path.
  if ((swarm & kIoErrors) != 0) {
    switch (options % 5) {
      case 0:
        faults.metadata_write_errors = 1 + options / 5 % 2;
        break;
      case 1:
        faults.metadata_read_errors = 1 + options / 5 % 2;
        break;
      case 2:
        faults.data_write_errors = 1;
        break;
      case 3:
        faults.data_read_errors = 1;
        break;
      default:
        faults.metadata_write_errors = 1;
        faults.metadata_read_errors = 1;
        break;
    }
  }
  return faults;
}

void make_deep(Workload& workload) {
  SystemSpec& system = workload.system;
  system.fan_out = kSmallFanOut;
  system.metadata_blocks = 96;
  system.data_blocks = kDeepBlocks + 2 * system.data_blocks;
  system.data_device_blocks += kDeepBlocks + system.data_device_blocks;
  for (ThinSpec& thin : system.thins)
    thin.blocks = kDeepBlocks;
  for (std::uint64_t block = 0; block < kDeepBlocks; ++block) {
    workload.setup.push_back(
        {.verb = Verb::write, .sector = block * system.block_sectors, .sectors = 1});
  }
}

}   // namespace

rc::Gen<Workload> general() {
  const auto draw = [](std::uint32_t most) {
    return rc::gen::noShrink(
        rc::gen::resize(rc::kNominalSize, rc::gen::inRange<std::uint32_t>(0, most)));
  };
  auto configuration =
      rc::gen::tuple(draw(1U << kSwarmBits), draw(1U << 30), draw(1U << 30), draw(2 * kDeepOneIn));
  return rc::gen::mapcat(std::move(configuration), [](const auto& drawn) {
    auto [swarm, sizes, options, kind] = drawn;
    const bool deep = kind / 2 == 0;
    if (kind % 2 == 0) swarm &= ~(kPowerCut | kIoErrors);   // half of all runs without any fault
    Workload base;
    base.scenario = "thin-general";
    base.system = system_of(swarm, sizes, options);
    base.faults = faults_of(swarm, options >> 3);
    if (deep) make_deep(base);
    Menu menu{.verbs = weights_of(swarm),
              .thins = static_cast<std::uint32_t>(base.system.thins.size()) + 1,
              .blocks = deep ? kDeepBlocks : 4,
              .block_sectors = base.system.block_sectors};
    if ((swarm & kSnapshots) != 0) ++menu.thins;
    return rc::gen::map(actors(menu, 2, 4, 7), [base](std::vector<Actor> made) {
      Workload workload = base;
      workload.actors = std::move(made);
      return workload;
    });
  });
}

}   // namespace scenarios::thin
