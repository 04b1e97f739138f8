#include "sim/program/tank_world.h"

#include <cstring>
#include <deque>

#include "engine/fiber/completion.h"
#include "scenarios/thin/options.h"

namespace program {
namespace {

// One transfer in so many brings the power cut, where the workload has one.
constexpr std::uint32_t kCutOneIn = 60;
constexpr std::uint32_t kFaultOneIn = 24;

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

}   // namespace

class TankWorld::PowerCut final : public sim::EnvStep {
 public:
  explicit PowerCut(TankWorld& world)
      : EnvStep{sim::ChoiceKind::step, world.execution_.next_step_id(), "power cut",
                Duty::may_happen},
        world_{world} {}
  sim::SimFiber* happen() override {
    world_.cut_power();
    return nullptr;
  }

 private:
  TankWorld& world_;
};

TankWorld::TankWorld(sim::Execution& execution, const scenarios::Workload& workload)
    : execution_{execution},
      workload_{workload},
      env_{execution, *this},
      cuts_left_{workload.faults.power_cuts},
      mode_judge_{scenarios::thin::mode_options(workload)} {
  build(nullptr, nullptr);
  execution_.add_sink(*this);
}

TankWorld::~TankWorld() {
  execution_.remove_sink(*this);
  faults_end();
}

void TankWorld::build(sim::DiskImageRef metadata, sim::DiskImageRef data) {
  const scenarios::SystemSpec& system = workload_.system;
  sim::SimDeviceOptions options;
  options.sectors = metadata != nullptr ? metadata->sectors()
                                        : system.metadata_blocks * engine::kMetaBlockSectors;
  options.image = std::move(metadata);
  options.discard_sectors_max = 0;
  options.logical_block_sectors = engine::kMetaBlockSectors;
  metadata_ = std::make_unique<sim::SimDevice>(execution_, "metadata", options);
  options = {};
  options.sectors = system.data_device_blocks * system.block_sectors;
  options.image = std::move(data);
  options.discard_leaves = leaves(system.discard_reads);
  data_ = std::make_unique<sim::SimDevice>(execution_, "data", options);
  metadata_->add_observer(*this);
  data_->add_observer(*this);
}

engine::Result<engine::BlockDevice*> TankWorld::find(std::string_view name) {
  if (name == "metadata") return metadata_.get();
  if (name == "data") return data_.get();
  return engine::fail(engine::Errc::not_found, 0, "no such device in the tank");
}

void TankWorld::grow_metadata(std::uint64_t blocks) {
  metadata_->resize(metadata_->limits().sectors + blocks * engine::kMetaBlockSectors);
}

void TankWorld::run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) {
  if (bodies.empty()) return;
  // A fiber's name must outlive the trace: these are the names that workloads use.
  static constexpr std::array<const char*, 8> kNames{"actor a", "actor b", "actor c", "actor d",
                                                     "actor e", "actor f", "actor g", "actor h"};
  engine::Completion all{"actors", static_cast<std::uint32_t>(bodies.size())};
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    execution_.spawn(kNames[i % kNames.size()], [&all, &body = bodies[i].second] {
      body();
      all.signal();
    });
  }
  all.wait();
}

void TankWorld::set_faults(sim::SimDevice& device, std::uint32_t reads, std::uint32_t writes) {
  std::vector<sim::FaultRule>& rules = device.faults().rules;
  rules.clear();
  if (reads != 0) rules.push_back({.ops = sim::kReads, .one_in = kFaultOneIn, .count_max = reads});
  if (writes != 0)
    rules.push_back(
        {.ops = sim::kWrites | sim::kFlushes, .one_in = kFaultOneIn, .count_max = writes});
}

void TankWorld::faults_begin() {
  const scenarios::FaultSpec& faults = workload_.faults;
  set_faults(*metadata_, faults.metadata_read_errors, faults.metadata_write_errors);
  set_faults(*data_, faults.data_read_errors, faults.data_write_errors);
  faults_on_ = true;
}

void TankWorld::faults_end() {
  faults_on_ = false;
  metadata_->faults().rules.clear();
  data_->faults().rules.clear();
  if (power_cut_ != nullptr) execution_.withdraw(*power_cut_);
  power_cut_.reset();
}

void TankWorld::submitted(const sim::SimDevice& device, const sim::IoRecord& io) {
  if (&device != data_.get()) return;
  checkers::Findings findings;
  lower_device_.submitted(io.op, io.sector, io.sectors, findings);
  tell(findings);
}

void TankWorld::took_effect(const sim::SimDevice& /*device*/, const sim::IoRecord& io) {
  if (io.op != engine::BioOp::read) maybe_cut();
}

void TankWorld::completed(const sim::SimDevice& device, const sim::IoRecord& io) {
  if (&device == data_.get()) lower_device_.completed(io.op, io.sector, io.sectors);
  if (io.op != engine::BioOp::read) maybe_cut();
}

// Puts the cut on offer; the strategy then says when, within the next few steps.
void TankWorld::maybe_cut() {
  if (!faults_on_ || cuts_left_ == 0 || power_cut_ != nullptr) return;
  if (execution_.choose("power cut", 2, kCutOneIn) == 0) return;
  power_cut_ = std::make_unique<PowerCut>(*this);
  execution_.offer(*power_cut_);
}

void TankWorld::event(const engine::Event& event) noexcept {
  // A power cut fails metadata I/O like any other fault.
  if (event.op != engine::OpKind::mode_change || power_is_cut()) return;
  checkers::Findings findings;
  mode_judge_.changed(event.a, event.b, event.name != nullptr ? event.name : "", findings);
  tell(findings);
}

void TankWorld::tell(const checkers::Findings& findings) {
  for (const checkers::Finding& finding : findings.list())
    report(finding);
}

void TankWorld::cut_power() {
  lower_device_.power_cut();
  --cuts_left_;
  metadata_->power_cut();
  data_->power_cut();
}

void TankWorld::reboot() {
  faults_end();
  sim::DiskImageRef metadata = metadata_->crash_image();
  sim::DiskImageRef data = data_->crash_image();
  metadata_.reset();
  data_.reset();
  build(std::move(metadata), std::move(data));
}

std::unique_ptr<checkers::image::BlockSource> TankWorld::metadata_image() {
  return std::make_unique<ImageSource>(metadata_->powered() ? metadata_->snapshot()
                                                            : metadata_->crash_image());
}

void TankWorld::report(const checkers::Finding& finding) {
  execution_.report(sim::Finding{.kind = sim::FindingKind::checker,
                                 .message = finding.message,
                                 .place = finding.checker + ": " + finding.kind,
                                 .detail = {},
                                 .fiber = {}});
}

}   // namespace program
