// A family of volumes, as a run sees it: how its system is built and taken down, what each
// operation of a workload means for it, and how it is judged. Which family a workload is for is the
// workload's to say (family_of).
//
// Called by the lab only, in the order of lab.cc; perform() by all actors at once.
#pragma once

#include <memory>

#include "scenarios/bench.h"
#include "scenarios/workload.h"

namespace scenarios {

class Family {
 public:
  Family(World& world, const Workload& workload, checkers::DataOracle::Options oracle, bool calm)
      : bench_{.world = world,
               .workload = workload,
               .oracle = checkers::DataOracle{oracle},
               .calm = calm} {}
  virtual ~Family() = default;
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  [[nodiscard]] Bench& bench() noexcept { return bench_; }

  // All of these suspend.
  // The system from what is on the devices: blank ones, or what a cut left.
  virtual void boot() = 0;
  // After the first boot: the volumes that the workload begins with.
  virtual void make_volumes() = 0;
  virtual void perform(const Operation& operation) = 0;
  // Nothing else is under way and nothing fails any more: reads everything back, looks at what the
  // system says of itself.
  virtual void judge_at_rest() = 0;
  // Removes every device and checks that the system lets go of all.
  virtual void shut_down() = 0;
  enum class Image : bool { after_cut, final };
  // What is on the devices; the system is not alive.
  virtual void judge_image(Image which) = 0;

 protected:
  Bench bench_;
};

[[nodiscard]] std::unique_ptr<Family> family_of(World& world, const Workload& workload);

}   // namespace scenarios
