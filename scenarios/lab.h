// One run of a workload: builds the system in a world, lets the actors loose on it, and has the
// checkers judge what they saw and what is left.
//
// Control actions on one thin id exclude one another, as a user's tools do; everything else runs
// together: requests against control actions, control actions on different devices, the pool's own.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "checkers/data_oracle.h"
#include "checkers/findings.h"
#include "checkers/pool_mode.h"
#include "engine/dm/system.h"
#include "engine/fiber/mutex.h"
#include "engine/thin/pool_view.h"
#include "engine/thin/targets.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"

namespace scenarios {

[[nodiscard]] checkers::PoolModeJudge::Options mode_options(const Workload& workload);

class Lab {
 public:
  Lab(World& world, const Workload& workload);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // Suspends. Everything from blank devices to the last check; findings go to the world as they are
  // made.
  void run();

 private:
  static constexpr std::uint32_t kThinIds = 16;

  // Does the pool know the thin? `maybe`: the power went, or the metadata failed, while it was made
  // or deleted.
  enum class Exists : std::uint8_t { no, yes, maybe };
  struct Thin {
    engine::Mutex control{"lab.thin"};
    Exists exists = Exists::no;
    std::uint64_t blocks = 0;
    std::atomic<bool> activating{false};   // its device is there, and may not have its table
  };

  void boot();
  void run_actors();
  void recover();
  // Removes every device and checks that the system lets go of all.
  void shut_down();
  void perform(const Operation& operation);
  void perform_all(const std::vector<Operation>& operations);

  // Requests.
  void request(const Operation& operation);
  // Without faults (`excused`: or with another good reason), only a write that finds no space may
  // fail.
  void judge_end(const Operation& operation, const engine::Result<void>& ended, bool excused);
  void read_back(std::uint32_t id);
  // Control actions.
  void create_thin(const Operation& operation);
  void create_snap(const Operation& operation);
  void delete_thin(const Operation& operation);
  void activate(std::uint32_t id);
  void deactivate(std::uint32_t id);
  [[nodiscard]] bool is_active(std::uint32_t id);   // has a device with a table
  void bounce(const std::string& device, bool noflush);
  // Suspends `device` so that it waits for no bio, which must not take long.
  bool suspend_noflush(const std::string& device);
  void linger();
  void reload_pool(bool noflush);
  void grow_data();
  void grow_metadata();
  void set_transaction();

  [[nodiscard]] std::string pool_table() const;
  engine::Result<void> message(const std::string& text);
  // What is known of a thin after a message that was to make (or delete) it.
  [[nodiscard]] Exists known_after(const engine::Result<void>& told, Exists wanted) const;

  // What is left.
  void read_back_all();
  // Discards everything: what nobody refers to any more must be discarded below, too.
  void discard_all();
  void discard_whole(std::uint32_t id, const engine::thin::PoolView& view,
                     std::vector<std::uint32_t>& counts);
  void judge_mode();
  void check_image(bool after_cut);
  void tell(const checkers::Findings& findings);
  void tell(std::string_view kind, std::string text);

  World& world_;
  const Workload& workload_;
  checkers::DataOracle oracle_;
  checkers::PoolModeJudge mode_judge_;
  // The targets outlive the system that has them in its registry.
  std::unique_ptr<engine::thin::ThinTargets> targets_;
  std::unique_ptr<engine::dm::System> system_;
  std::array<Thin, kThinIds> thins_;
  engine::Mutex pool_control_{"lab.pool"};
  std::uint64_t data_blocks_ = 0;       // guarded by pool_control_
  std::uint64_t metadata_blocks_ = 0;   // guarded by pool_control_
  std::uint64_t transaction_ = 0;       // guarded by pool_control_
  bool certain_ = true;                 // no power cut yet
  const bool calm_;                     // nothing is made to fail
  bool needs_check_ = false;            // the last status said so
  // Actions that wait for bios, as long as those wait for space.
  std::atomic<std::uint64_t> patient_begun_{0};
  std::atomic<std::uint64_t> patient_ended_{0};
};

}   // namespace scenarios
