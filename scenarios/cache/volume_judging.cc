// What is left of a cache when the actors are done: its data, what it knows of itself, its image.
#include <algorithm>
#include <array>
#include <chrono>

#include <fmt/format.h>

#include "checkers/image/as_findings.h"
#include "engine/fiber/timer.h"
#include "scenarios/cache/state_judge.h"
#include "scenarios/cache/volume.h"
#include "scenarios/cache/volume_name.h"
#include "scenarios/device_blocks.h"

namespace scenarios::cache {
namespace {

// So many readings with nothing on its way: a cleaner has written everything back by then, also
// where time runs ahead of slow fibers and disks. One that may fail each time gets few: with time
// running ahead, each block that is read is two rounds of attempts.
constexpr std::uint32_t kIdleReadingsMax = 1000;
constexpr std::uint32_t kFailingReadingsMax = 10;
// Somebody reads all over the cache while it is cleaned, twice a tick.
constexpr std::uint32_t kReadingEveryMs = 500;
constexpr std::uint32_t kReadingsMax = 20;

}   // namespace

// Alone, so without the lock: what stands on the cache is read meanwhile, under locks of its own.
void Volume::judge_at_rest() {
  const auto info = bench_.system->info(kName);
  if (!info || !info->has_live_table || info->suspended || unready_) {
    if (info) static_cast<void>(bench_.system->remove(kName));
    make();
  }
  if (unusable_ || !control_.is_active(kName)) return;
  if (engine::cache::Cache* const cache = targets_->find(kName); cache != nullptr && !counts_all_)
    start_counting(engine::cache::CacheView{*cache}.hits());
  read_back();
  static_cast<void>(bench_.system->status(kName));
  judge_still();
  read_back();
  if (workload_.system.cache.drained) drain();
}

void Volume::read_back() {
  if (around_.read_back) {
    around_.read_back();
  } else {
    requests_.read_back({.device = kName, .volume = kVolume}, workload_.system.block_sectors);
  }
}

void Volume::judge_still() {
  if (!control_.suspend(kName)) {
    tell_unless_excused("the cache does not suspend", "and nothing is under way");
    return;
  }
  if (engine::cache::Cache* const cache = targets_->find(kName)) {
    const engine::cache::CacheView view{*cache};
    checkers::Findings findings;
    for (const std::string& leak : view.leaks())
      findings.add("leaks", "in the cache", "nothing is under way, but {}", leak);
    for (const std::string& miscount : view.miscounts())
      findings.add("cache_state", "counts", "nothing is under way, and {}", miscount);
    // A block whose write failed on one disk stays different where nothing can leave any more.
    if (view.mode() == engine::cache::CacheMode::write && !around_.origin_may_change)
      judge_contents(view, findings);
    judge_agreement(view, findings);
    const checkers::image::CacheReport stored = check_metadata();
    judge_counters(view, &stored, findings);
    bench_.tell(findings);
    judge_suspended();
  }
  inactive_.reset();
  resumed(control_.resume(kName));
}

void Volume::judge_suspended() {
  engine::cache::Cache* const cache = targets_->find(kName);
  if (cache == nullptr || bench_.world.power_is_cut()) return;
  const engine::cache::CacheView view{*cache};
  const checkers::image::CacheReport report = check_metadata();
  checkers::Findings findings;
  if (report.readable && !bench_.world.power_is_cut())
    judge_clean_shutdown(view, report, bench_.calm, findings);
  bench_.tell(findings);
}

checkers::image::CacheReport Volume::check_metadata() {
  return checkers::image::check_cache(*bench_.world.image(around_.metadata),
                                      {.origin_blocks = workload_.system.cache.origin_blocks,
                                       .array_entries = workload_.system.fan_out});
}

void Volume::judge_contents(const engine::cache::CacheView& view, checkers::Findings& findings) {
  const auto fast = bench_.world.image("fast");
  auto origin = bench_.world.image(around_.origin);
  if (origin == nullptr) origin = DeviceBlocks::open(*bench_.system, around_.origin);
  if (origin == nullptr) return;
  judge_cache_contents(view, *fast, *origin, findings);
}

void Volume::judge_agreement(const engine::cache::CacheView& view, checkers::Findings& findings) {
  judge_cache_bits(view, findings);
  if (const auto* const judge = Policies::judge_of(view.policy()))
    judge_cache_agreement(view, *judge, findings);
  // A block whose write failed on one disk may have to stay, and is dirty then. So is all that a
  // cache holds that could not store a clean shutdown.
  const FaultSpec& faults = workload_.faults;
  const bool may_be_dirty =
      faults.may_roll_back() || faults.data_no_space != 0 || around_.origin_may_change;
  if (always_writethrough_ && !may_be_dirty && view.dirty_count() != 0) {
    findings.add("cache_state", "dirty in writethrough",
                 "{} blocks are dirty, and the cache has always been in writethrough",
                 view.dirty_count());
  }
  if (bench_.calm && view.mode() != engine::cache::CacheMode::write) {
    findings.add("cache_state", "degraded without a fault", "the cache is in mode {}",
                 engine::cache::to_string(view.mode()));
  }
}

void Volume::start_counting(const engine::cache::Statistics& before) {
  counted_before_ = before;
  if (CacheTraffic* const traffic = policies_->traffic()) traffic->start_over();
}

// Against what was seen of them from outside; `stored`, where it is what is true now.
void Volume::judge_counters(const engine::cache::CacheView& view,
                            const checkers::image::CacheReport* stored,
                            checkers::Findings& findings) {
  const auto* const judge = Policies::judge_of(view.policy());
  const auto status = bench_.system->status(kName);
  if (judge == nullptr || !status || bench_.world.power_is_cut()) return;
  ExpectedStatus expected{.metadata_used = {},
                          .metadata_total = {},
                          .block_sectors = workload_.system.block_sectors,
                          .cached = judge->mappings().size(),
                          .cache_blocks = fast_blocks_,
                          .hits = {},
                          .demotions = {},
                          .promotions = judge->promotions(),
                          .dirty = 0};
  for (std::uint32_t place = 0; place < view.cache_blocks(); ++place)
    expected.dirty += view.dirty(engine::cache::CacheBlock{place}) ? 1 : 0;
  // Else a transaction may be open: one whose commit could not flush the data devices.
  const bool all_stored = stored != nullptr && stored->complete && stored->findings.empty() &&
                          stored->superblock.clean();
  if (all_stored && view.mode() == engine::cache::CacheMode::write) {
    expected.metadata_used = stored->metadata_allocated;
    expected.metadata_total = stored->superblock.metadata_map.nr_blocks;
  }
  if (counts_all_) expected.demotions = judge->replacements() + judge->removals();
  if (const CacheTraffic* const traffic = policies_->traffic(); !traffic->trouble()) {
    const CacheTraffic::Counts& seen = traffic->counts();
    expected.hits = {.read_hits = counted_before_.read_hits + seen.fast_reads,
                     .read_misses = counted_before_.read_misses + seen.reads - seen.fast_reads,
                     .write_hits = counted_before_.write_hits + seen.fast_writes,
                     .write_misses = counted_before_.write_misses + seen.writes - seen.fast_writes};
  }
  judge_cache_status(*status, expected, findings);
}

// Everything goes back to the origin, which then must hold all by itself. Somebody goes on using
// the cache meanwhile, which must not keep a cleaner from its work.
void Volume::drain() {
  std::atomic<bool> loaded{false};
  bool cleaner = false;
  bench_.world.run_together({{"user",
                              [&] {
                                for (std::uint32_t i = 0; i < kReadingsMax && !loaded; ++i)
                                  read_each_block();
                              }},
                             {"cleaner", [&] {
                                cleaner = load({CacheIo::writeback, CachePolicy::cleaner}) &&
                                          control_.bounce(kName, false, around_.quiet);
                                loaded = true;
                              }}});
  if (!cleaner) {
    tell_unless_excused("no cleaner", "the cache cannot be given a cleaner");
    return;
  }
  if (!wait_until_clean()) return;
  // What was counted before goes on in the cleaner's table if it could be stored.
  if (engine::cache::Cache* const cache = targets_->find(kName); cache != nullptr && counts_all_) {
    checkers::Findings findings;
    judge_counters(engine::cache::CacheView{*cache}, nullptr, findings);
    bench_.tell(findings);
  }
  detach();
}

void Volume::read_each_block() {
  if (around_.read_back) {
    around_.read_back();
    return;
  }
  const Target target{.device = kName, .volume = kVolume};
  for (std::uint64_t block = 0; block < workload_.system.cache.origin_blocks; ++block) {
    requests_.issue(
        target,
        {.verb = Verb::read, .sector = block * workload_.system.block_sectors, .sectors = 1});
  }
}

// Is it clean in the end?
bool Volume::wait_until_clean() {
  engine::cache::Cache* const cache = targets_->find(kName);
  if (cache == nullptr) return false;
  static_cast<void>(
      control_.message(kName, fmt::format("migration_threshold {}", CacheSpec{}.threshold)));
  const engine::cache::CacheView view{*cache};
  const auto may_fail = [this] {
    return !bench_.calm || (around_.origin_is_full && around_.origin_is_full());
  };
  const std::uint32_t tick_ms = workload_.system.commit_interval_ms;
  const std::chrono::milliseconds reading_every{tick_ms != 0 ? tick_ms / 2 : kReadingEveryMs};
  // Without a tick nothing is tried again, and nobody is blamed.
  const std::uint32_t idle_max = tick_ms != 0 ? kIdleReadingsMax : kFailingReadingsMax;
  std::uint32_t idle = 0;
  for (std::uint32_t all = 0; view.dirty_count() != 0 && idle < idle_max; ++all) {
    if (view.mode() != engine::cache::CacheMode::write) return false;
    // It may try again and again what takes long and fails, and never be seen idle.
    if ((idle >= kFailingReadingsMax || all >= 2 * kFailingReadingsMax) && may_fail()) break;
    engine::sleep_for(reading_every);
    read_each_block();
    if (view.counts().migrations == 0) ++idle;
  }
  if (view.dirty_count() == 0) return true;
  if (tick_ms != 0 && !may_fail()) {
    bench_.tell("never clean", fmt::format("a cleaner has left {} blocks dirty and does nothing",
                                           view.dirty_count()));
  }
  return false;
}

// The cache goes, under its users: what they read now comes from the origin.
void Volume::detach() {
  const auto loaded = bench_.system->load(
      kName, fmt::format("0 {} linear {} 0", origin_sectors(workload_.system), around_.origin));
  if (!loaded || !control_.bounce(kName, false, around_.quiet)) {
    tell_unless_excused("the cache cannot be detached", "a linear table in its place is refused");
    return;
  }
  detached_ = true;
  read_back();
}

void Volume::judge_image(Image /*which*/) {
  const auto image = bench_.world.image(around_.metadata);
  // A cut before the first commit leaves a blank device, which is nobody's cache.
  std::array<std::byte, checkers::image::kImageBlockSize> first{};
  if (image->nr_blocks() == 0 || !image->read(0, first)) return;
  if (std::all_of(first.begin(), first.end(), [](std::byte each) { return each == std::byte{0}; }))
    return;
  checkers::Findings findings;
  checkers::image::add_findings(check_metadata(), findings);
  bench_.tell(findings);
}

}   // namespace scenarios::cache
