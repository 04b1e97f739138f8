// The tank as scenarios see it: simulated disks, faults and power cuts by the schedule's
// choice.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkers/lower_device.h"
#include "checkers/pool_mode.h"
#include "scenarios/disks.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"
#include "sim/device_observer.h"
#include "sim/execution.h"
#include "sim/lock_order.h"
#include "sim/program/judges.h"
#include "sim/program/run.h"
#include "sim/sim_device.h"

namespace program {

// The choices of how often faults strike and where, as long as they are a matter of chance.
inline constexpr const char* kRateOfFaults = "rate of faults";
// Whether the power goes, at any moment at which it may.
inline constexpr const char* kPowerCut = "power cut";

class TankWorld final : public scenarios::World,
                        private engine::DeviceDirectory,
                        private sim::DeviceObserver,
                        private engine::TraceSink {
 public:
  // Inside a run of `execution`, whose end it must not outlive. Disks that are not among the
  // `prepared` are blank.
  TankWorld(sim::Execution& execution, const scenarios::Workload& workload, const Judges& judges,
            const Watch& watch, const DiskImages& prepared = {});
  ~TankWorld() override;

  [[nodiscard]] engine::Env& env() override { return env_; }
  void resize(std::string_view disk, std::uint64_t sectors) override;
  void run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) override;
  void begin_operation() override { execution_.renew(); }
  void faults_begin() override;
  void faults_end() override;
  [[nodiscard]] bool power_is_cut() const override { return !disks_.front().device->powered(); }
  void reboot() override;
  [[nodiscard]] std::unique_ptr<checkers::image::BlockSource> image(std::string_view disk) override;
  void report(const checkers::Finding& finding) override;
  [[nodiscard]] std::uint32_t choose(const char* what, std::uint32_t count) override {
    return execution_.choose(what, count);
  }
  bool listen(engine::TraceSink* sink) override {
    listener_ = sink;
    return true;
  }
  [[nodiscard]] bool time_leaps() const override {
    return execution_.options().timers_race || workload_.faults.may_be_slow();
  }
  void refused_for_space(engine::Nanos begun) override;
  void on_standstill(Patience* patience) override;
  void queueing_stopped() override { mode_judge_.queueing_stopped(); }
  void pool_opens() override { mode_judge_.begin_anew(); }
  [[nodiscard]] bool pool_has_failed() const override { return mode_judge_.failed(); }
  [[nodiscard]] bool is_judged() const override { return !watch_.judged || watch_.judged(); }
  void watch_discards() override { disks_.back().judge.watch_discards(); }
  [[nodiscard]] bool was_discarded(engine::Sector begin, std::uint64_t sectors) const override {
    return disks_.back().judge.was_discarded(begin, sectors);
  }
  void expect_quiet(std::string_view disk, const char* why) override;

  // When nobody will look at the disks any more: tells the watch what the last cut had left.
  void tell_what_was_left() const;

  // What the metadata disks hold now; nothing may be in flight to them.
  [[nodiscard]] DiskImages metadata_images() const;

 private:
  class PowerCut;
  class Standstill;

  struct Disk {
    scenarios::DiskSpec spec;
    std::unique_ptr<sim::SimDevice> device;
    checkers::LowerDevice judge;   // of data disks
    std::uint64_t sectors_most;    // it has had, or will have
  };

  // `left`: what is on it; null: blank.
  void build(Disk& disk, sim::DiskImageRef left);
  [[nodiscard]] Disk* disk_named(std::string_view name) noexcept;
  [[nodiscard]] Disk& disk_of(const sim::SimDevice& device) noexcept;
  void choose_temper();
  void set_faults(Disk& disk);
  void cut_power();
  void enter(Phase phase);

  // engine::DeviceDirectory
  engine::Result<engine::BlockDevice*> find(std::string_view name) override;
  // sim::DeviceObserver: the moments between which a cut makes a difference.
  void submitted(const sim::SimDevice& device, const sim::IoRecord& io) override;
  void took_effect(const sim::SimDevice& device, const sim::IoRecord& io) override;
  void completed(const sim::SimDevice& device, const sim::IoRecord& io) override;
  void maybe_cut(const sim::IoRecord& io);
  void maybe_cut(std::uint32_t one_in);
  // engine::TraceSink: what the engine says of itself.
  void event(const engine::Event& event) noexcept override;
  // What somebody does wrong just now, with who it is.
  void tell(const checkers::Findings& findings);
  void report(const checkers::Finding& finding, const sim::CallStack& done_by);

  sim::Execution& execution_;
  const scenarios::Workload& workload_;
  const Judges& judges_;
  const Watch& watch_;
  engine::Env env_;
  std::vector<Disk> disks_;               // the metadata first, the slowest last
  DiskImages left_;                       // by the last cut
  std::unique_ptr<PowerCut> power_cut_;   // not null while one is on offer
  std::unique_ptr<Standstill> standstill_;
  bool faults_on_ = false;
  Phase phase_ = Phase::setup;
  std::uint32_t rate_ = 0;   // which of the rates at which faults strike
  std::uint32_t struck_writes_ = sim::kWrites | sim::kFlushes;   // what errors of writes are for
  std::optional<engine::OpKind> cut_after_;   // what the cut comes after; none: transfers
  bool cut_is_sudden_ = false;                // not some time later
  std::uint32_t cuts_left_ = 0;
  engine::TraceSink* listener_ = nullptr;
  checkers::PoolModeJudge mode_judge_;
  sim::LockOrder lock_order_;
};

}   // namespace program
