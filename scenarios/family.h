// A family of volumes, as a run sees it: how its system is built and taken down, what each
// operation of a workload means for it, and how it is judged. It is made of layers, one of each
// kind of volume; a family of one layer is that layer. Which family a workload is for is the
// workload's to say (family_of).
//
// Called by the lab only, in the order of lab.cc; perform() by all actors at once.
#pragma once

#include <memory>
#include <vector>

#include "scenarios/bench.h"
#include "scenarios/control.h"
#include "scenarios/requests.h"
#include "scenarios/workload.h"

namespace scenarios {

// What the layers of a run share.
struct Kit {
  Bench bench;
  Requests requests{bench};
  Control control{bench};
};

enum class Image : bool { after_cut, final };

// One kind of volume. All of these suspend.
class Layer {
 public:
  Layer() = default;
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  // A system is about to be made: the targets that its tables may name.
  virtual void make_targets() = 0;
  virtual void add_targets(engine::io::TargetRegistry& registry) = 0;
  // The system is gone, and must have let go of all.
  virtual void end_system() = 0;
  // The devices, from what is on the disks: blank ones, or what a cut left.
  virtual void bring_up() = 0;
  // After the first bring_up(): the volumes that the workload begins with.
  virtual void make_volumes() = 0;
  virtual void perform(const Operation& operation) = 0;
  // Nothing else is under way and nothing fails any more: reads everything back, looks at what the
  // system says of itself.
  virtual void judge_at_rest() = 0;
  // What is on the devices; the system is not alive.
  virtual void judge_image(Image which) = 0;
};

class Family {
 public:
  Family(World& world, const Workload& workload, checkers::DataOracle::Options oracle)
      : kit_{.bench = {.world = world,
                       .workload = workload,
                       .oracle = checkers::DataOracle{oracle},
                       .calm = workload.is_calm()}} {}
  virtual ~Family();
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  [[nodiscard]] Bench& bench() noexcept { return kit_.bench; }
  [[nodiscard]] Kit& kit() noexcept { return kit_; }
  // From the bottom up.
  void add(std::unique_ptr<Layer> layer) { layers_.push_back(std::move(layer)); }

  // All of these suspend.
  // The system from what is on the devices.
  void boot();
  virtual void make_volumes();
  virtual void perform(const Operation& operation);
  virtual void judge_at_rest();
  // Removes every device and checks that the system lets go of all.
  void shut_down();
  void judge_image(Image which);

 protected:
  virtual void bring_up();

  Kit kit_;

 private:
  std::vector<std::unique_ptr<Layer>> layers_;
};

[[nodiscard]] std::unique_ptr<Family> family_of(World& world, const Workload& workload);

}   // namespace scenarios
