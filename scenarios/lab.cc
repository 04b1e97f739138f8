#include "scenarios/lab.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "checkers/image/as_findings.h"
#include "engine/env/buffer.h"
#include "engine/fiber/timer.h"
#include "engine/thin/pool_view.h"

namespace scenarios {
namespace {

using engine::Errc;
using engine::io::SuspendKind;

constexpr const char* kPool = "pool";

// With small nodes goes a cache in which not even these all fit.
constexpr std::size_t kSmallCacheBlocks = 12;

std::string thin_name(std::uint32_t id) {
  return fmt::format("thin{}", id);
}

engine::thin::PoolOptions pool_options(const SystemSpec& spec) {
  engine::thin::PoolOptions options;
  options.commit_interval = std::chrono::milliseconds{spec.commit_interval_ms};
  options.no_space_timeout = std::chrono::milliseconds{spec.no_space_timeout_ms};
  options.metadata_fan_out = spec.fan_out;
  if (spec.fan_out != 0) options.metadata_cache_blocks = kSmallCacheBlocks;
  if (spec.cells != 0) {
    options.caller_cells_max = spec.cells;
    options.mappings_max = spec.cells;
    options.passdowns_max = spec.cells;
    options.discards_max = spec.cells;
  }
  return options;
}

// Anything that may roll metadata back: a commit begins with a flush of the data device.
bool metadata_may_fail(const FaultSpec& faults) {
  return faults.metadata_read_errors != 0 || faults.metadata_write_errors != 0 ||
         faults.data_write_errors != 0;
}

// A suspend that waits for no bio ends in less, or it waits for something after all.
constexpr engine::Nanos kNoflushMax = std::chrono::seconds{10};

// Of each data block.
std::vector<std::uint32_t> references(const engine::thin::PoolView& view) {
  std::vector<std::uint32_t> counts;
  const std::uint64_t blocks = view.data_blocks().value_or(0);
  for (std::uint64_t block = 0; block < blocks; ++block)
    counts.push_back(view.data_ref_count(engine::DataBlock{block}).value_or(0));
  return counts;
}

// Counts an action that may wait for bios.
class Patient {
 public:
  Patient(std::atomic<std::uint64_t>& begun, std::atomic<std::uint64_t>& ended) : ended_{ended} {
    ++begun;
  }
  ~Patient() { ++ended_; }
  Patient(const Patient&) = delete;
  Patient& operator=(const Patient&) = delete;

 private:
  std::atomic<std::uint64_t>& ended_;
};

// A device this small may run full in the middle of a commit, which is a failure like any other.
constexpr std::uint64_t kRoomyMetadataBlocks = 64;

}   // namespace

checkers::PoolModeJudge::Options mode_options(const Workload& workload) {
  return {.metadata_may_fail = metadata_may_fail(workload.faults) ||
                               workload.system.metadata_blocks < kRoomyMetadataBlocks,
          .error_if_no_space = workload.system.error_if_no_space};
}

Lab::Lab(World& world, const Workload& workload)
    : world_{world},
      workload_{workload},
      oracle_{{.zeroed = !workload.system.skip_block_zeroing,
               .may_roll_back = metadata_may_fail(workload.faults)}},
      mode_judge_{mode_options(workload)},
      data_blocks_{workload.system.data_blocks},
      metadata_blocks_{workload.system.metadata_blocks},
      calm_{workload.faults == FaultSpec{} &&
            workload.system.metadata_blocks >= kRoomyMetadataBlocks} {}

Lab::~Lab() = default;

void Lab::run() {
  boot();
  for (const ThinSpec& thin : workload_.system.thins) {
    if (thin.id >= kThinIds) continue;
    thins_[thin.id].blocks = thin.blocks;
    create_thin(Operation{.verb = Verb::create_thin, .thin = thin.id});
  }
  perform_all(workload_.setup);
  run_actors();
  if (world_.power_is_cut()) {
    recover();
  } else {
    world_.faults_end();
  }
  read_back_all();
  judge_mode();
  discard_all();
  judge_mode();
  shut_down();
  const FaultSpec& faults = workload_.faults;
  // Metadata that runs full aborts like metadata that fails, and an abort may leave leaks.
  check_image(faults.power_cuts != 0 || faults.data_read_errors != 0 ||
              mode_options(workload_).metadata_may_fail);
}

void Lab::boot() {
  targets_ = std::make_unique<engine::thin::ThinTargets>(pool_options(workload_.system));
  system_ = std::make_unique<engine::dm::System>(world_.env());
  targets_->add_to(system_->registry());
  const auto made = system_->create_with_table(kPool, pool_table());
  if (!made && made.error().code != Errc::power_lost) {
    // Metadata too small for a pool is a workload's right; after a cut the pool must come back.
    if (!certain_)
      tell("pool does not open", fmt::format("after a power cut the pool does not "
                                             "open: {} at {}",
                                             made.error().what, made.error().where));
  }
}

std::string Lab::pool_table() const {
  const SystemSpec& spec = workload_.system;
  std::string features;
  std::size_t count = 0;
  const auto add = [&](bool wanted, std::string_view word) {
    if (!wanted) return;
    features += ' ';
    features += word;
    ++count;
  };
  add(spec.skip_block_zeroing, "skip_block_zeroing");
  add(spec.ignore_discard, "ignore_discard");
  add(spec.no_discard_passdown, "no_discard_passdown");
  add(spec.error_if_no_space, "error_if_no_space");
  return fmt::format("0 {} thin-pool metadata data {} {} {}{}", data_blocks_ * spec.block_sectors,
                     spec.block_sectors, spec.low_water_blocks, count, features);
}

void Lab::run_actors() {
  world_.faults_begin();
  std::vector<std::pair<std::string, std::function<void()>>> bodies;
  for (const Actor& actor : workload_.actors)
    bodies.emplace_back(actor.name, [this, &actor] { perform_all(actor.operations); });
  world_.run_together(std::move(bodies));
}

// What a cut leaves must be a whole image; the pool must come up from it, and hold what is durable.
void Lab::recover() {
  shut_down();
  world_.reboot();
  oracle_.power_cut();
  certain_ = false;
  check_image(true);
  boot();
}

void Lab::shut_down() {
  const auto removed = system_->remove_all();
  if (!removed) {
    std::string open;
    for (const engine::dm::DeviceInfo& device : system_->list())
      fmt::format_to(std::back_inserter(open), " {} (open {})", device.name, device.open_count);
    tell("devices in use at the end", fmt::format("still there after the last user left:{}", open));
  }
  system_.reset();
  const std::size_t pools = targets_->pools().open_pools();
  if (pools != 0)
    tell("pool leaked", fmt::format("{} pools open after all tables are gone", pools));
  targets_.reset();
}

void Lab::perform_all(const std::vector<Operation>& operations) {
  for (const Operation& operation : operations) {
    if (world_.power_is_cut()) return;
    perform(operation);
  }
}

void Lab::perform(const Operation& operation) {
  if (operation.thin >= kThinIds || operation.origin >= kThinIds) return;
  switch (operation.verb) {
    case Verb::write:
    case Verb::write_zeroes:
    case Verb::read:
    case Verb::discard:
    case Verb::flush:
      request(operation);
      break;
    case Verb::create_thin:
      create_thin(operation);
      break;
    case Verb::create_snap:
      create_snap(operation);
      break;
    case Verb::delete_thin:
      delete_thin(operation);
      break;
    case Verb::activate: {
      const engine::MutexLock lock{thins_[operation.thin].control};
      activate(operation.thin);
      break;
    }
    case Verb::deactivate: {
      const engine::MutexLock lock{thins_[operation.thin].control};
      deactivate(operation.thin);
      break;
    }
    case Verb::set_transaction:
      set_transaction();
      break;
    case Verb::reserve_snap:
      static_cast<void>(message("reserve_metadata_snap"));
      break;
    case Verb::release_snap:
      static_cast<void>(message("release_metadata_snap"));
      break;
    case Verb::bounce_thin: {
      const engine::MutexLock lock{thins_[operation.thin].control};
      bounce(thin_name(operation.thin), operation.noflush);
      break;
    }
    case Verb::bounce_pool: {
      const engine::MutexLock lock{pool_control_};
      bounce(kPool, operation.noflush);
      break;
    }
    case Verb::reload_pool: {
      const engine::MutexLock lock{pool_control_};
      reload_pool(operation.noflush);
      break;
    }
    case Verb::grow_data:
      grow_data();
      break;
    case Verb::grow_metadata:
      grow_metadata();
      break;
    case Verb::status:
      static_cast<void>(system_->status(kPool));
      break;
    case Verb::sleep:
      engine::sleep_for(std::chrono::milliseconds{operation.sectors});
      break;
  }
}

void Lab::request(const Operation& operation) {
  const std::uint32_t id = operation.thin;
  // Before and after: a device that is found may be one that has no table yet.
  bool excused = !calm_ || thins_[id].activating;
  engine::Result<engine::io::DeviceRef> opened = system_->open(thin_name(id));
  excused |= thins_[id].activating;
  if (!opened || !oracle_.knows(id)) return;
  engine::BlockDevice& device = opened->device();
  const std::uint64_t size = oracle_.size(id);
  if (operation.verb != Verb::flush && (operation.sectors == 0 || operation.sector >= size ||
                                        operation.sectors > size - operation.sector)) {
    return;
  }
  engine::Bio bio;
  bio.sector = engine::Sector{operation.sector};
  bio.sectors = operation.sectors;
  bio.fua = operation.fua;
  checkers::Findings findings;
  switch (operation.verb) {
    case Verb::write: {
      engine::AlignedBuffer buffer{bio.size_bytes()};
      const auto told = oracle_.begin_write(id, operation.sector, operation.sectors);
      checkers::fill_stamped(buffer.bytes(), told.write_id, operation.sector);
      bio.op = engine::BioOp::write;
      bio.data = buffer.data();
      const auto ended = engine::submit_and_wait(device, bio);
      oracle_.end_write(told, ended.has_value(), operation.fua);
      judge_end(operation, ended, excused);
      break;
    }
    case Verb::write_zeroes: {
      const auto told = oracle_.begin_zero(id, operation.sector, operation.sectors);
      bio.op = engine::BioOp::write_zeroes;
      const auto ended = engine::submit_and_wait(device, bio);
      oracle_.end_zero(told, ended.has_value(), operation.fua);
      judge_end(operation, ended, excused);
      break;
    }
    case Verb::read: {
      engine::AlignedBuffer buffer{bio.size_bytes()};
      const auto told = oracle_.begin_read(id, operation.sector, operation.sectors);
      bio.op = engine::BioOp::read;
      bio.data = buffer.data();
      const auto ended = engine::submit_and_wait(device, bio);
      oracle_.end_read(told, ended.has_value(), buffer.bytes(), findings);
      judge_end(operation, ended, excused);
      break;
    }
    case Verb::discard: {
      const auto told = oracle_.begin_discard(id, operation.sector, operation.sectors);
      bio.op = engine::BioOp::discard;
      const auto ended = engine::submit_and_wait(device, bio);
      oracle_.end_discard(told);
      judge_end(operation, ended, excused);
      break;
    }
    default: {
      const auto told = oracle_.begin_flush(id);
      bio = engine::Bio{};
      bio.op = engine::BioOp::flush;
      const auto ended = engine::submit_and_wait(device, bio);
      oracle_.end_flush(told, ended.has_value());
      judge_end(operation, ended, excused);
      break;
    }
  }
  tell(findings);
}

void Lab::judge_end(const Operation& operation, const engine::Result<void>& ended, bool excused) {
  // An activation that failed leaves a device without a table while somebody has it open.
  if (ended || excused || !is_active(operation.thin)) return;
  const Errc code = ended.error().code;
  const bool writes = operation.verb == Verb::write || operation.verb == Verb::write_zeroes;
  if (writes && code == Errc::no_data_space) return;
  const bool optional = operation.verb == Verb::discard || operation.verb == Verb::write_zeroes;
  if (optional && code == Errc::not_supported) return;
  tell("error without a fault",
       fmt::format("{} ended with {}", to_string(operation), engine::to_string(code)));
}

engine::Result<void> Lab::message(const std::string& text) {
  const engine::Result<std::string> answer = system_->message(kPool, engine::Sector{0}, text);
  if (!answer) return engine::Failure{answer.error()};
  return {};
}

Lab::Exists Lab::known_after(const engine::Result<void>& told, Exists wanted) const {
  if (told) return wanted;
  switch (told.error().code) {
    case Errc::exists:
      return Exists::yes;
    case Errc::not_found:
      return Exists::no;
    default:
      return Exists::maybe;
  }
}

void Lab::create_thin(const Operation& operation) {
  const std::uint32_t id = operation.thin;
  Thin& thin = thins_[id];
  const engine::MutexLock lock{thin.control};
  const auto told = message(fmt::format("create_thin {}", id));
  if (!told && told.error().code == Errc::exists) {
    if (thin.exists == Exists::no && !metadata_may_fail(workload_.faults))
      tell("thin exists that was deleted", fmt::format("create_thin {} says it exists", id));
  }
  const bool fresh = thin.exists == Exists::no;
  if (fresh) {
    if (thin.blocks == 0) thin.blocks = 4;
    thin.exists = known_after(told, Exists::yes);
    // Even if it failed: the thin may be there after all, and is then empty.
    if (thin.exists != Exists::no) oracle_.create(id, thin.blocks * workload_.system.block_sectors);
  } else if (told) {
    if (thin.exists == Exists::yes && !metadata_may_fail(workload_.faults))
      tell("thin vanished", fmt::format("create_thin {} worked, but it existed", id));
    thin.exists = Exists::yes;
    oracle_.create(id, thin.blocks * workload_.system.block_sectors);
  }
  activate(id);
}

void Lab::create_snap(const Operation& operation) {
  if (operation.thin == operation.origin) return;
  Thin& snapshot = thins_[operation.thin];
  Thin& origin = thins_[operation.origin];
  const bool ordered = operation.thin < operation.origin;
  const engine::MutexLock first{ordered ? snapshot.control : origin.control};
  const engine::MutexLock second{ordered ? origin.control : snapshot.control};
  if (origin.exists == Exists::no || snapshot.exists != Exists::no) return;
  const std::string name = thin_name(operation.origin);
  const bool active = is_active(operation.origin);
  const bool quiet = active && !operation.noflush;
  if (quiet) {
    const Patient patient{patient_begun_, patient_ended_};
    static_cast<void>(system_->suspend(name, SuspendKind::flush));
  }
  const checkers::Moment begun = oracle_.begin_snapshot();
  const auto told = message(fmt::format("create_snap {} {}", operation.thin, operation.origin));
  snapshot.exists = known_after(told, Exists::yes);
  if (snapshot.exists != Exists::no) {
    snapshot.blocks = origin.blocks;
    oracle_.snapshot(operation.thin, operation.origin, begun);
  }
  oracle_.end_snapshot(begun);
  if (quiet) static_cast<void>(system_->resume(name));
  activate(operation.thin);
}

void Lab::delete_thin(const Operation& operation) {
  Thin& thin = thins_[operation.thin];
  const engine::MutexLock lock{thin.control};
  deactivate(operation.thin);
  const auto told = message(fmt::format("delete {}", operation.thin));
  if (!told && told.error().code == Errc::busy) return;
  if (!told && told.error().code == Errc::not_found && thin.exists == Exists::yes &&
      !metadata_may_fail(workload_.faults)) {
    tell("thin vanished", fmt::format("delete {} does not find it", operation.thin));
  }
  const Exists before = thin.exists;
  thin.exists = known_after(told, Exists::no);
  if (before == Exists::no && !told) thin.exists = Exists::no;
  if (thin.exists == Exists::no) oracle_.remove(operation.thin);
}

bool Lab::is_active(std::uint32_t id) {
  const auto info = system_->info(thin_name(id));
  return info && info->has_live_table;
}

void Lab::activate(std::uint32_t id) {
  const Thin& thin = thins_[id];
  if (thin.exists == Exists::no) return;
  if (!is_active(id)) deactivate(id);   // what an earlier activation left behind
  const std::uint64_t sectors = thin.blocks * workload_.system.block_sectors;
  thins_[id].activating = true;
  static_cast<void>(system_->create_with_table(thin_name(id),
                                               fmt::format("0 {} thin {} {}", sectors, kPool, id)));
  thins_[id].activating = false;
}

void Lab::deactivate(std::uint32_t id) {
  const Patient patient{patient_begun_, patient_ended_};
  static_cast<void>(system_->remove(thin_name(id)));
}

void Lab::bounce(const std::string& device, bool noflush) {
  bool quiet = false;
  if (noflush) {
    quiet = suspend_noflush(device);
  } else {
    const Patient patient{patient_begun_, patient_ended_};
    quiet = system_->suspend(device, SuspendKind::flush).has_value();
  }
  if (quiet && device == kPool) linger();
  static_cast<void>(system_->resume(device));
}

bool Lab::suspend_noflush(const std::string& device) {
  const std::uint64_t begun = patient_begun_;
  const bool alone = patient_ended_ == begun;
  const engine::Nanos before = engine::current_executor().now();
  const bool done = system_->suspend(device, SuspendKind::noflush).has_value();
  const engine::Nanos took = engine::current_executor().now() - before;
  if (alone && patient_begun_ == begun && took > kNoflushMax) {
    tell("a no-flush suspend waits",
         fmt::format("suspending {} took {} ms", device, took / std::chrono::milliseconds{1}));
  }
  return done;
}

// The pool is suspended: for a moment, anything that reaches the data device now has no right to.
void Lab::linger() {
  world_.expect_quiet("while its pool is suspended");
  for (int i = 0; i < 4; ++i)
    engine::yield_now();
  world_.expect_quiet(nullptr);
}

void Lab::reload_pool(bool noflush) {
  static_cast<void>(system_->load(kPool, pool_table()));
  bounce(kPool, noflush);
}

void Lab::grow_data() {
  const engine::MutexLock lock{pool_control_};
  if (data_blocks_ >= workload_.system.data_device_blocks) return;
  ++data_blocks_;
  reload_pool(false);
}

void Lab::grow_metadata() {
  const engine::MutexLock lock{pool_control_};
  if (metadata_blocks_ > 4 * workload_.system.metadata_blocks) return;
  metadata_blocks_ += 8;
  world_.grow_metadata(8);
  bounce(kPool, false);
}

void Lab::set_transaction() {
  const engine::MutexLock lock{pool_control_};
  if (message(fmt::format("set_transaction_id {} {}", transaction_, transaction_ + 1)))
    ++transaction_;
}

void Lab::read_back_all() {
  for (std::uint32_t id = 0; id < kThinIds; ++id) {
    Thin& thin = thins_[id];
    if (thin.exists == Exists::no || !oracle_.knows(id)) continue;
    const engine::MutexLock lock{thin.control};
    if (!is_active(id)) activate(id);
    if (!is_active(id)) {
      const bool excused = thin.exists == Exists::maybe || metadata_may_fail(workload_.faults) ||
                           !system_->info(kPool).has_value();
      if (!excused) tell("thin lost", fmt::format("thin {} cannot be activated", id));
      continue;
    }
    read_back(id);
  }
}

// Nothing is under way. The status commits first, so what was freed is free.
void Lab::judge_mode() {
  const engine::Result<std::string> status = system_->status(kPool);
  if (!status) return;
  checkers::Findings findings;
  mode_judge_.at_rest(*status, findings);
  needs_check_ = status->find("needs_check") != std::string::npos;
  if (engine::thin::Pool* const pool = targets_->pools().find(kPool)) {
    for (const std::string& leak : engine::thin::PoolView{*pool}.leaks())
      findings.add("lab", "leak in the pool", "nothing is under way, but {}", leak);
  }
  tell(findings);
}

// Nothing else is under way, so what the counts say before and after is exact.
void Lab::discard_all() {
  const SystemSpec& spec = workload_.system;
  if (spec.ignore_discard || spec.no_discard_passdown) return;
  engine::thin::Pool* const pool = targets_->pools().find(kPool);
  if (pool == nullptr) return;
  const engine::thin::PoolView view{*pool};
  std::vector<std::uint32_t> counts = references(view);
  for (std::uint32_t id = 0; id < kThinIds; ++id) {
    if (!engine::thin::changes_metadata(view.mode())) return;
    if (thins_[id].exists == Exists::yes && oracle_.knows(id) && is_active(id))
      discard_whole(id, view, counts);
  }
}

void Lab::discard_whole(std::uint32_t id, const engine::thin::PoolView& view,
                        std::vector<std::uint32_t>& counts) {
  world_.watch_discards();
  request(Operation{.verb = Verb::discard, .thin = id, .sectors = oracle_.size(id)});
  const std::vector<std::uint32_t> before = std::exchange(counts, references(view));
  if (!engine::thin::changes_metadata(view.mode())) return;
  for (std::uint64_t block = 0; block < std::min(before.size(), counts.size()); ++block) {
    if (before[block] == 0 || counts[block] != 0) continue;
    const std::uint64_t sectors = workload_.system.block_sectors;
    if (world_.was_discarded(engine::Sector{block * sectors}, sectors)) continue;
    world_.report(checkers::Finding{
        "lower_device", "freed and not discarded",
        fmt::format("data block {} lost its last reference when thin {} was discarded, and the "
                    "data device was not told",
                    block, id)});
    return;
  }
}

// Block by block; an error is no finding here (pools fail), wrong data is.
void Lab::read_back(std::uint32_t id) {
  const std::uint64_t block = workload_.system.block_sectors;
  const std::uint64_t size = oracle_.size(id);
  for (std::uint64_t sector = 0; sector < size; sector += block) {
    request(Operation{.verb = Verb::read,
                      .thin = id,
                      .sector = sector,
                      .sectors = std::min(block, size - sector)});
  }
}

void Lab::check_image(bool after_cut) {
  const std::unique_ptr<checkers::image::BlockSource> image = world_.metadata_image();
  // A cut before the first commit leaves a blank device, which is nobody's pool.
  std::array<std::byte, checkers::image::kImageBlockSize> first{};
  if (image->nr_blocks() == 0 || !image->read(0, first)) return;
  if (std::all_of(first.begin(), first.end(), [](std::byte each) { return each == std::byte{0}; }))
    return;
  const checkers::image::ThinReport report = checkers::image::check_thin(
      *image, {.data_device_blocks = workload_.system.data_device_blocks});
  checkers::Findings findings;
  if (needs_check_ && report.readable && (report.superblock.flags & 1U) == 0) {
    findings.add("lab", "needs_check is not on disk",
                 "the pool said so, and its superblock does not");
  }
  checkers::image::add_findings(
      report, after_cut ? checkers::image::Expect::after_cut : checkers::image::Expect::exact,
      findings);
  tell(findings);
}

void Lab::tell(const checkers::Findings& findings) {
  for (const checkers::Finding& finding : findings.list())
    world_.report(finding);
}

void Lab::tell(std::string_view kind, std::string text) {
  world_.report(checkers::Finding{"lab", std::string{kind}, std::move(text)});
}

}   // namespace scenarios
