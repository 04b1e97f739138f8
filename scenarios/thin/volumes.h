// A thin pool and its thins under a workload.
//
// What makes, snapshots and deletes a thin excludes one another, as a user's tools do; everything
// else runs together: requests against control actions, control actions on different devices, the
// pool's own, and those of somebody who suspends or removes a thin's device without asking.
// (volumes.cc: life and dispatch; volumes_control.cc: control actions; volumes_judging.cc: what is
// left.)
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkers/pool_mode.h"
#include "engine/fiber/mutex.h"
#include "engine/thin/pool_view.h"
#include "engine/thin/targets.h"
#include "scenarios/family.h"

namespace scenarios::thin {

// What a pool stands on.
struct Below {
  std::string data = "data";   // as its table names it
  // Nothing reaches these while the pool is suspended.
  std::vector<const char*> quiet{"data"};
};

class Volumes final : public Layer, private World::Patience {
 public:
  Volumes(Kit& kit, const Workload& workload, Below below);

  void make_targets() override;
  void add_targets(engine::io::TargetRegistry& registry) override;
  void end_system() override;
  void bring_up() override;
  void make_volumes() override;
  void perform(const Operation& operation) override;
  void judge_at_rest() override;
  void judge_image(Image which) override;

  // --- For a stack.
  [[nodiscard]] static std::string name_of(std::uint32_t id);
  static constexpr const char* kPool = "pool";
  // From now on thin 0 is what another layer stands on: it stays, nobody but that layer asks it for
  // anything, and its snapshots are of what the layer has sent down by then.
  void cover();
  // The layer is gone, and thin 0 holds what it held.
  void uncover() { covered_ = false; }
  // Suspends and resumes the pool, with `meanwhile` in between.
  void bounce_around(bool noflush, const Control::Action& meanwhile);
  // Removes the device of thin 0, if nobody has it open, and makes it again.
  void reactivate_first();
  // Removes the pool with all its thins, if nobody has one of them open, and makes again what was
  // there.
  void remake();
  // Reads all thins, but one that is covered.
  void read_back_all();
  // What nobody refers to any more is discarded on the slowest disk so many sectors further up; or
  // who knows where.
  void expect_discards(std::optional<std::uint64_t> offset) { discards_offset_ = offset; }

 private:
  static constexpr std::uint32_t kIds = 16;

  // Does the pool know the thin? `maybe`: the power went, or the metadata failed, while it was made
  // or deleted.
  enum class Exists : std::uint8_t { no, yes, maybe };
  struct Thin {
    engine::Mutex control{"lab.thin"};
    // Changed with the lock held; requests look without it.
    std::atomic<Exists> exists{Exists::no};
    // Its deletion may not have been committed: the old thin may come back in place of a new one.
    bool undead = false;
    std::uint64_t blocks = 0;
    bool external = false;                 // snapshots take after their origins
    std::atomic<bool> activating{false};   // its device is there, and may not have its table
  };

  [[nodiscard]] bool is_covered(std::uint32_t id) const noexcept { return covered_ && id == 0; }
  // Its device, or what lies above it.
  [[nodiscard]] std::string user_name_of(std::uint32_t id) const;
  [[nodiscard]] checkers::DataOracle::Base base_of(const Thin& thin) const;
  void fill_external_origin();
  [[nodiscard]] Target target(std::uint32_t id) const;
  [[nodiscard]] std::uint64_t sectors_of(const Thin& thin) const;

  engine::Result<void> make_pool();
  void create_thin(std::uint32_t id);
  void create_snap(const Operation& operation);
  void delete_thin(std::uint32_t id);
  // These two with the thin's control lock held.
  void activate(std::uint32_t id);
  void load_thin(std::uint32_t id);
  void deactivate(std::uint32_t id);
  [[nodiscard]] std::string table_of(std::uint32_t id) const;
  void meddle(std::uint32_t id, const Control::Action& action);
  void look_around();
  [[nodiscard]] bool is_active(std::uint32_t id);   // has a device with a table
  // These three with pool_control_ held.
  void load_pool();
  void reload_pool(bool noflush);
  void contradict(Contradiction what);
  void grow_data();
  void grow_metadata();
  void set_transaction();
  engine::Result<void> tell_pool(const std::string& text);
  // What is known of a thin after a message that was to make (or delete) it.
  [[nodiscard]] Exists known_after(const engine::Result<void>& told, Exists wanted) const;

  // Discards everything: what nobody refers to any more must be discarded below, too.
  void discard_all();
  void discard_whole(std::uint32_t id, const engine::thin::PoolView& view,
                     std::vector<std::uint32_t>& counts);
  void judge_mode();

  // --- World::Patience
  [[nodiscard]] bool waits_as_told() override;
  void end_waiting() override;

  Bench& bench_;
  Requests& requests_;
  Control& control_;
  const Workload& workload_;
  const Below below_;
  checkers::PoolModeJudge mode_judge_;
  // The targets outlive the system that has them in its registry.
  std::unique_ptr<engine::thin::ThinTargets> targets_;
  std::array<Thin, kIds> thins_;
  engine::Mutex pool_control_{"lab.pool"};
  std::uint64_t data_blocks_;       // guarded by pool_control_
  std::uint64_t metadata_blocks_;   // guarded by pool_control_
  std::uint64_t transaction_ = 0;   // guarded by pool_control_
  bool remade_ = false;             // there was another pool object before
  bool covered_ = false;
  checkers::Moment covered_since_ = 0;
  std::optional<std::uint64_t> discards_offset_ = 0;
  std::uint64_t external_write_ = 0;   // what fills the external origin; 0: there is none
  bool needs_check_ = false;           // the last status said so,
  bool metadata_fixed_ = true;         // or that the metadata can be changed no more, or nothing
};

}   // namespace scenarios::thin
