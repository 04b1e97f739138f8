#include "sim/program/tank_world.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>

#include "checkers/stale_bytes.h"
#include "engine/fiber/completion.h"
#include "engine/fiber/stale.h"
#include "scenarios/thin/options.h"

namespace program {
namespace {

// One transfer in so many brings the power cut, or a fault, where the workload has them. Each run
// has one of these rates: what strikes often strikes early.
constexpr std::array<std::uint32_t, 3> kCutOneIn{60, 20, 150};
constexpr std::uint32_t kCutFavour = 4;
constexpr std::array<std::uint32_t, 3> kFaultOneIn{24, 8, 80};

// In some runs the cut comes with none of the transfers, but right after one of these: between what
// the engine has done and what it does next. They are few.
constexpr std::array kCutAfter{engine::OpKind::commit_begin,     engine::OpKind::commit_end,
                               engine::OpKind::mapping_insert,   engine::OpKind::mapping_remove,
                               engine::OpKind::data_block_alloc, engine::OpKind::discard_passdown,
                               engine::OpKind::discard_done,     engine::OpKind::control_done};
constexpr std::array<std::uint32_t, 3> kCutAfterOneIn{4, 2, 8};
// Of the answers to when the cut comes, those that mean transfers.
constexpr std::uint32_t kCutAtTransfers = 8;

// What errors of writes strike, in one run.
constexpr std::array<std::uint32_t, 3> kStruckWrites{sim::kWrites | sim::kFlushes, sim::kFlushes,
                                                     sim::kWrites};

// A control action that ends when a device's bios have.
bool suspends(const engine::Event& event) noexcept {
  const std::string_view action = event.name != nullptr ? event.name : "";
  return action == "suspend" || action == "resume" || action == "remove";
}

class ImageSource final : public checkers::image::BlockSource {
 public:
  explicit ImageSource(sim::DiskImageRef image) : image_{std::move(image)} {}
  bool read(std::uint64_t block, checkers::image::BlockBytes out) override {
    if (block >= nr_blocks()) return false;
    std::memcpy(out.data(), peek(block), out.size());
    return true;
  }
  [[nodiscard]] std::uint64_t nr_blocks() const override {
    return image_->sectors() / sim::kPageSectors;
  }
  const std::byte* peek(std::uint64_t block) override {
    static constexpr std::array<std::byte, sim::kPageSize> kBlank{};
    const sim::Page* const page = image_->page(block);
    return page != nullptr ? page->bytes.data() : kBlank.data();
  }

 private:
  sim::DiskImageRef image_;
};

sim::DiscardLeaves leaves(scenarios::DiscardReads reads) {
  switch (reads) {
    case scenarios::DiscardReads::zeroes:
      return sim::DiscardLeaves::zeroes;
    case scenarios::DiscardReads::old_data:
      return sim::DiscardLeaves::old_data;
    case scenarios::DiscardReads::garbage:
      return sim::DiscardLeaves::garbage;
  }
  return sim::DiscardLeaves::garbage;
}

std::uint32_t ops_of(scenarios::SlowAt what) {
  switch (what) {
    case scenarios::SlowAt::all:
      return sim::kAllOps;
    case scenarios::SlowAt::reads:
      return sim::kReads;
    case scenarios::SlowAt::writes:
      return sim::kWrites;
    case scenarios::SlowAt::discards:
      return sim::kDiscards;
    case scenarios::SlowAt::flushes:
      return sim::kFlushes;
  }
  return sim::kAllOps;
}

}   // namespace

class TankWorld::PowerCut final : public sim::EnvStep {
 public:
  explicit PowerCut(TankWorld& world)
      : EnvStep{sim::ChoiceKind::step, world.execution_.next_step_id(), kPowerCut,
                Duty::may_happen},
        world_{world} {}
  sim::SimFiber* happen() override {
    world_.cut_power();
    return nullptr;
  }

 private:
  TankWorld& world_;
};

class TankWorld::Standstill final : public sim::EnvStep {
 public:
  Standstill(TankWorld& world, Patience& patience)
      : EnvStep{sim::ChoiceKind::step, world.execution_.next_step_id(), "standstill",
                Duty::must_happen},
        world_{world},
        patience_{patience} {
    offer_again();
  }
  ~Standstill() { world_.execution_.withdraw(*this); }
  // Without power nobody waits on, though timers may go on for ever.
  void offer_again() {
    using Before = sim::Execution::Before;
    world_.execution_.withdraw(*this);
    world_.execution_.offer_at_standstill(*this,
                                          world_.power_is_cut() ? Before::time : Before::deadlock);
  }
  // Whoever waits for something else is left alone: then that is a deadlock.
  sim::SimFiber* happen() override {
    return world_.execution_.start_for_step(id, name, [this] {
      const bool as_told = patience_.waits_as_told();
      if (as_told || world_.power_is_cut()) offer_again();
      if (as_told) patience_.end_waiting();
    });
  }

 private:
  TankWorld& world_;
  Patience& patience_;
};

TankWorld::TankWorld(sim::Execution& execution, const scenarios::Workload& workload,
                     const Judges& judges, const Watch& watch, const DiskImages& prepared)
    : execution_{execution},
      workload_{workload},
      judges_{judges},
      watch_{watch},
      env_{execution, *this},
      cuts_left_{workload.faults.power_cuts},
      mode_judge_{scenarios::thin::mode_options(workload)},
      lock_order_{execution, sim::LockOrder::Mode::reports, sim::LockOrder::Rule::one_order} {
  for (const scenarios::DiskSpec& spec : scenarios::disks_of(workload.system)) {
    disks_.push_back({.spec = spec,
                      .device = nullptr,
                      .judge = checkers::LowerDevice{spec.name},
                      .sectors_most = spec.sectors});
    const auto image = prepared.find(spec.name);
    build(disks_.back(), image != prepared.end() ? image->second : nullptr);
  }
  execution_.add_sink(*this);
  lock_order_.listen();
  engine::listen_to_stale(&checkers::mark_stale);
  if (watch_.actors) watch_.actors(false);
}

TankWorld::~TankWorld() {
  engine::listen_to_stale(nullptr);
  execution_.remove_sink(*this);
  faults_end();
}

void TankWorld::build(Disk& disk, sim::DiskImageRef left) {
  sim::SimDeviceOptions options;
  options.sectors = left != nullptr ? left->sectors() : disk.spec.sectors;
  options.image = std::move(left);
  const std::uint64_t seed = execution_.options().seed & ~kTimersRaceSeed;
  if (seed == kEveryImageSeed) options.cut_leaves = sim::CutLeaves::each_image;
  if (seed == kEveryReadingSeed) {
    // The engine does not look into data, and the oracle looks at each sector by itself.
    options.cut_leaves = disk.spec.role == scenarios::DiskRole::data ? sim::CutLeaves::each_content
                                                                     : sim::CutLeaves::each_reading;
  }
  switch (disk.spec.role) {
    case scenarios::DiskRole::metadata:
      options.discard_sectors_max = 0;
      options.logical_block_sectors = engine::kMetaBlockSectors;
      break;
    case scenarios::DiskRole::data:
      options.discard_leaves = leaves(workload_.system.discard_reads);
      break;
  }
  options.keeps_versions = cuts_left_ != 0;
  disk.device = std::make_unique<sim::SimDevice>(execution_, disk.spec.name, options);
  disk.device->add_observer(*this);
}

TankWorld::Disk* TankWorld::disk_named(std::string_view name) noexcept {
  for (Disk& disk : disks_) {
    if (disk.spec.name == name) return &disk;
  }
  return nullptr;
}

TankWorld::Disk& TankWorld::disk_of(const sim::SimDevice& device) noexcept {
  for (Disk& disk : disks_) {
    if (disk.device.get() == &device) return disk;
  }
  return disks_.front();
}

engine::Result<engine::BlockDevice*> TankWorld::find(std::string_view name) {
  if (Disk* const disk = disk_named(name)) return disk->device.get();
  return engine::fail(engine::Errc::not_found, 0, "no such device in the tank");
}

void TankWorld::resize(std::string_view disk, std::uint64_t sectors) {
  Disk* const found = disk_named(disk);
  if (found == nullptr) return;
  found->sectors_most = std::max(found->sectors_most, sectors);
  found->device->resize(sectors);
}

void TankWorld::run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) {
  const auto count = static_cast<std::uint32_t>(std::count_if(
      bodies.begin(), bodies.end(), [](const auto& each) { return each.second != nullptr; }));
  if (count == 0) {
    enter(Phase::closing);
    return;
  }
  // A fiber's name must outlive the trace: these are the names that workloads use.
  static constexpr std::array<const char*, 8> kNames{"actor a", "actor b", "actor c", "actor d",
                                                     "actor e", "actor f", "actor g", "actor h"};
  engine::Completion all{"actors", count};
  // The judges let some loose, too; with them there are no faults.
  const bool watched = watch_.actors && faults_on_;
  if (watched) watch_.actors(true);
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    if (bodies[i].second == nullptr) continue;
    execution_.spawn(kNames[i % kNames.size()], [&all, &body = bodies[i].second] {
      body();
      all.signal();
    });
  }
  all.wait();
  // A cut that has not come until now finds everything answered, and much of it not committed.
  if (faults_on_ && cuts_left_ != 0 && execution_.choose(kPowerCut, 2) != 0) cut_power();
  if (watched) watch_.actors(false);
  enter(Phase::closing);
}

void TankWorld::enter(Phase phase) {
  if (phase == phase_) return;
  phase_ = phase;
  if (watch_.phase) watch_.phase(phase);
}

void TankWorld::set_faults(Disk& disk) {
  const scenarios::FaultSpec& faults = workload_.faults;
  std::vector<sim::FaultRule>& rules = disk.device->faults().rules;
  rules.clear();
  const auto add = [&](std::uint32_t count, std::uint32_t ops, engine::Errc status) {
    if (count == 0) return;
    rules.push_back(
        {.ops = ops, .one_in = kFaultOneIn[rate_], .count_max = count, .status = status});
  };
  std::uint32_t usual_ms = 0;
  switch (disk.spec.role) {
    case scenarios::DiskRole::metadata:
      add(faults.metadata_read_errors, sim::kReads, engine::Errc::io_error);
      add(faults.metadata_write_errors, struck_writes_, engine::Errc::io_error);
      usual_ms = faults.metadata_latency_ms;
      break;
    case scenarios::DiskRole::data:
      add(faults.data_read_errors, sim::kReads, engine::Errc::io_error);
      add(faults.data_write_errors, struck_writes_, engine::Errc::io_error);
      add(faults.data_no_space, sim::kWrites | sim::kDiscards, engine::Errc::no_data_space);
      usual_ms = faults.data_latency_ms;
      break;
  }
  disk.device->latency() = {.ops = ops_of(faults.slow_at),
                            .usual = std::chrono::milliseconds{usual_ms},
                            .stall = std::chrono::milliseconds{faults.stall_ms},
                            .stall_one_in = kFaultOneIn[rate_],
                            .stalls_max = faults.stalls};
}

// What is chosen here is how this run goes about its faults, not whether there are any.
void TankWorld::choose_temper() {
  const scenarios::FaultSpec& faults = workload_.faults;
  if (faults == scenarios::FaultSpec{}) return;
  rate_ = execution_.choose(kRateOfFaults, 3);
  if (faults.metadata_write_errors != 0 || faults.data_write_errors != 0)
    struck_writes_ = kStruckWrites[execution_.choose(kRateOfFaults, kStruckWrites.size())];
  if (faults.power_cuts == 0) return;
  cut_is_sudden_ = execution_.choose(kRateOfFaults, 2) != 0;
  const std::uint32_t when =
      execution_.choose(kRateOfFaults, kCutAtTransfers + std::uint32_t{kCutAfter.size()});
  if (when >= kCutAtTransfers) cut_after_ = kCutAfter[when - kCutAtTransfers];
}

void TankWorld::faults_begin() {
  choose_temper();
  for (Disk& disk : disks_)
    set_faults(disk);
  faults_on_ = true;
  enter(Phase::actors);
}

void TankWorld::faults_end() {
  faults_on_ = false;
  for (Disk& disk : disks_) {
    disk.device->faults().rules.clear();
    disk.device->latency() = {};
  }
  if (power_cut_ != nullptr) execution_.withdraw(*power_cut_);
  power_cut_.reset();
}

void TankWorld::submitted(const sim::SimDevice& device, const sim::IoRecord& io) {
  Disk& disk = disk_of(device);
  checkers::Findings findings;
  if (io.op == engine::BioOp::write) {
    checkers::judge_stale_bytes(disk.spec.name, io.sector,
                                {io.data, io.sectors << engine::kSectorShift}, findings);
    tell(findings);
  }
  if (disk.spec.role != scenarios::DiskRole::data) return;
  disk.judge.submitted(io.op, io.sector, io.sectors, findings);
  tell(findings);
}

void TankWorld::took_effect(const sim::SimDevice& /*device*/, const sim::IoRecord& io) {
  maybe_cut(io);
}

void TankWorld::completed(const sim::SimDevice& device, const sim::IoRecord& io) {
  Disk& disk = disk_of(device);
  if (disk.spec.role == scenarios::DiskRole::data)
    disk.judge.completed(io.op, io.sector, io.sectors);
  maybe_cut(io);
}

// Discards and flushes are few, and much depends on what is left at one.
void TankWorld::maybe_cut(const sim::IoRecord& io) {
  if (io.op == engine::BioOp::read || cut_after_) return;
  const bool plain = io.op == engine::BioOp::write || io.op == engine::BioOp::write_zeroes;
  maybe_cut(plain ? kCutOneIn[rate_] : kCutOneIn[rate_] / kCutFavour);
}

// Cuts the power, or puts the cut on offer: the strategy then says when, within the next few steps.
void TankWorld::maybe_cut(std::uint32_t one_in) {
  if (!faults_on_ || cuts_left_ == 0 || power_cut_ != nullptr) return;
  if (execution_.choose(kPowerCut, 2, one_in) == 0) return;
  if (cut_is_sudden_) {
    cut_power();
    return;
  }
  power_cut_ = std::make_unique<PowerCut>(*this);
  execution_.offer(*power_cut_);
}

void TankWorld::expect_quiet(std::string_view disk, const char* why) {
  if (Disk* const found = disk_named(disk)) found->judge.quiet(why);
}

void TankWorld::event(const engine::Event& event) noexcept {
  if (listener_ != nullptr) listener_->event(event);
  if (cut_after_ == event.op) maybe_cut(kCutAfterOneIn[rate_]);
  if (watch_.event) watch_.event(event);
  if (event.op == engine::OpKind::control && suspends(event)) mode_judge_.suspend_begins();
  if (event.op == engine::OpKind::control_done && suspends(event))
    mode_judge_.suspend_ends(execution_.now());
  // A power cut fails metadata I/O like any other fault.
  if (event.op != engine::OpKind::mode_change || power_is_cut()) return;
  // Caches have modes, too.
  if (event.object == nullptr || event.object->kind != engine::ObjectKind::pool) return;
  checkers::Findings findings;
  mode_judge_.changed(event.a, event.b, event.name != nullptr ? event.name : "", execution_.now(),
                      findings);
  tell(findings);
}

void TankWorld::on_standstill(Patience* patience) {
  standstill_.reset();
  if (patience != nullptr) standstill_ = std::make_unique<Standstill>(*this, *patience);
}

void TankWorld::refused_for_space(engine::Nanos begun) {
  if (power_is_cut()) return;   // of the modes since then nobody was told
  checkers::Findings findings;
  mode_judge_.refused(begun, execution_.now(), findings);
  tell(findings);
}

void TankWorld::tell(const checkers::Findings& findings) {
  for (const checkers::Finding& finding : findings.list())
    report(finding, execution_.options().trace ? sim::CallStack::here() : sim::CallStack{});
}

void TankWorld::cut_power() {
  if (power_is_cut()) return;   // by another, while this one was on offer
  --cuts_left_;
  for (Disk& disk : disks_) {
    disk.judge.power_cut();
    disk.device->resize(disk.sectors_most);   // what a smaller size hides is there all the same
    disk.device->power_cut();
  }
  if (standstill_ != nullptr) standstill_->offer_again();
  left_.clear();
  for (const Disk& disk : disks_)
    left_.emplace(disk.spec.name, disk.device->crash_image());
  if (watch_.cut) watch_.cut(left_);
}

void TankWorld::tell_what_was_left() const {
  if (!left_.empty() && watch_.left) watch_.left(left_);
}

void TankWorld::reboot() {
  faults_end();
  enter(Phase::actors);   // those that have something left to do
  for (Disk& disk : disks_) {
    sim::DiskImageRef left = disk.device->crash_image();
    disk.device.reset();
    build(disk, std::move(left));
  }
}

std::unique_ptr<checkers::image::BlockSource> TankWorld::image(std::string_view disk) {
  const Disk* const found = disk_named(disk);
  if (found == nullptr) return nullptr;
  const sim::SimDevice& device = *found->device;
  return std::make_unique<ImageSource>(device.powered() ? device.snapshot() : device.crash_image());
}

DiskImages TankWorld::metadata_images() const {
  DiskImages images;
  for (const Disk& disk : disks_) {
    if (disk.spec.role == scenarios::DiskRole::metadata)
      images.emplace(disk.spec.name, disk.device->snapshot());
  }
  return images;
}

void TankWorld::report(const checkers::Finding& finding) {
  report(finding, sim::CallStack{});
}

void TankWorld::report(const checkers::Finding& finding, const sim::CallStack& done_by) {
  if (!judges_.count(finding.checker)) return;
  sim::Finding told{.kind = sim::FindingKind::checker,
                    .message = finding.message,
                    .place = finding.checker + ": " + finding.kind};
  told.add_stack(done_by);
  execution_.report(std::move(told));
}

}   // namespace program
