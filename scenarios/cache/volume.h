// The cache family: one cached device, its table in every mode and with every policy, and the
// judges of both.
//
// Control actions exclude one another, as a user's tools do; requests run against all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "checkers/image/cache_check.h"
#include "engine/cache/cache_view.h"
#include "engine/cache/targets.h"
#include "engine/fiber/mutex.h"
#include "scenarios/cache/options.h"
#include "scenarios/cache/policies.h"
#include "scenarios/family.h"

namespace scenarios::cache {

class Volume final : public Layer {
 public:
  Volume(Kit& kit, const Workload& workload, Around around);

  void make_targets() override;
  void add_targets(engine::io::TargetRegistry& registry) override;
  void end_system() override;
  void bring_up() override;
  void make_volumes() override;
  void perform(const Operation& operation) override;
  void judge_at_rest() override;
  void judge_image(Image which) override;

  // --- For a stack.
  // Suspends and resumes, with `meanwhile` in between.
  void bounce_around(bool noflush, const Control::Action& meanwhile);
  // Removes the device, if nobody has it open, does that, and makes the device again.
  void remake(const Control::Action& meanwhile = {});
  // The device may be found and not be ready.
  [[nodiscard]] const std::atomic<bool>& unready() const noexcept { return unready_; }
  // It could not be made active any more, and answers nothing.
  [[nodiscard]] bool unusable() const noexcept { return unusable_; }
  // It was judged to the end: its users have what is on the origin.
  [[nodiscard]] bool detached() const noexcept { return detached_; }

 private:
  struct Table {
    CacheIo mode;
    CachePolicy policy;
    friend bool operator==(const Table&, const Table&) = default;
  };

  // --- volume_control.cc. The caller holds control_lock_, or is alone.
  void make();
  bool load(const Table& table);
  // What is loaded has become active, or is to be given up for what was active before.
  void resumed(bool worked);
  void give_up();
  // Of a line of its table.
  [[nodiscard]] std::string table_of(const Table& table) const;
  void bounce(bool noflush, const Control::Action& meanwhile = {});
  void resize(std::uint32_t blocks);
  // The caller does not hold the lock: it comes and goes beside everything else.
  void rival();
  void contradict(Contradiction what);
  void set_fast_blocks(std::uint32_t blocks);

  // --- volume_judging.cc
  // Suspended, so that nothing moves.
  void judge_still();
  // It was in service and has just been suspended, whatever its actors want of it.
  void judge_suspended();
  void judge_contents(const engine::cache::CacheView& view, checkers::Findings& findings);
  void judge_agreement(const engine::cache::CacheView& view, checkers::Findings& findings);
  // From now on all is counted; so much had been before.
  void start_counting(const engine::cache::Statistics& before);
  void judge_counters(const engine::cache::CacheView& view,
                      const checkers::image::CacheReport* stored, checkers::Findings& findings);
  void drain();
  void detach();
  void read_back();
  void read_each_block();
  [[nodiscard]] bool wait_until_clean();
  [[nodiscard]] checkers::image::CacheReport check_metadata();
  void tell_unless_excused(std::string_view kind, std::string text);

  Bench& bench_;
  Requests& requests_;
  Control& control_;
  const Workload& workload_;
  const Around around_;
  std::unique_ptr<Policies> policies_;
  // The targets outlive the system that has them in its registry.
  std::unique_ptr<engine::cache::CacheTargets> targets_;
  engine::Mutex control_lock_{"lab.cache"};
  Table active_;                    // guarded by control_lock_
  std::optional<Table> inactive_;   // guarded by control_lock_
  std::uint32_t fast_blocks_;       // guarded by control_lock_
  bool always_writethrough_;        // since the disks were blank
  engine::cache::Statistics counted_before_;
  bool counts_all_ = false;   // nothing has failed since the table that is active was made
  std::atomic<bool> unready_{false};
  bool detached_ = false;
  bool unusable_ = false;   // it could not be made active, which was excused
};

}   // namespace scenarios::cache
