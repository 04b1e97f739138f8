// What a system leaves on its metadata disks when it is made and taken down depends on its shape
// alone, so one may be prepared in the place of the other.
#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "engine/base/units.h"
#include "scenarios/disks.h"
#include "scenarios/lab.h"
#include "scenarios/scenario.h"
#include "scenarios/workload_text.h"
#include "sim/execution.h"
#include "sim/sim_device.h"
#include "tests/unit/sparse.h"

namespace scenarios {
namespace {

// Disks to which nothing happens.
class CalmWorld final : public World, private engine::DeviceDirectory {
 public:
  CalmWorld(sim::Execution& execution, const SystemSpec& system) : env_{execution, *this} {
    for (const DiskSpec& spec : disks_of(system)) {
      sim::SimDeviceOptions options;
      options.sectors = spec.sectors;
      if (spec.role == DiskRole::metadata) {
        options.discard_sectors_max = 0;
        options.logical_block_sectors = engine::kMetaBlockSectors;
        metadata_.push_back(spec.name);
      }
      disks_[spec.name] = std::make_unique<sim::SimDevice>(execution, spec.name, options);
    }
  }

  [[nodiscard]] engine::Env& env() override { return env_; }
  void resize(std::string_view /*disk*/, std::uint64_t /*sectors*/) override {}
  void run_together(
      std::vector<std::pair<std::string, std::function<void()>>> /*bodies*/) override {}
  void faults_begin() override {}
  void faults_end() override {}
  [[nodiscard]] bool power_is_cut() const override { return false; }
  void reboot() override {}
  [[nodiscard]] std::unique_ptr<checkers::image::BlockSource> image(
      std::string_view disk) override {
    return std::make_unique<Blocks>(disks_.find(disk)->second->snapshot());
  }
  void report(const checkers::Finding& finding) override {
    ADD_FAILURE() << finding.checker << ": " << finding.message;
  }

  [[nodiscard]] std::map<std::string, std::uint64_t> metadata() const {
    std::map<std::string, std::uint64_t> digests;
    for (const char* name : metadata_)
      digests[name] = disks_.find(name)->second->snapshot()->digest();
    return digests;
  }

 private:
  class Blocks final : public checkers::image::BlockSource {
   public:
    explicit Blocks(sim::DiskImageRef image) : image_{std::move(image)} {}
    bool read(std::uint64_t block, checkers::image::BlockBytes out) override {
      if (block >= nr_blocks()) return false;
      image_->read(engine::Sector{block * engine::kMetaBlockSectors}, out);
      return true;
    }
    [[nodiscard]] std::uint64_t nr_blocks() const override {
      return image_->sectors() / engine::kMetaBlockSectors;
    }

   private:
    sim::DiskImageRef image_;
  };

  engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    const auto found = disks_.find(name);
    if (found != disks_.end()) return found->second.get();
    return engine::fail(engine::Errc::not_found, 0, "no such disk");
  }

  engine::Env env_;
  std::map<std::string, std::unique_ptr<sim::SimDevice>, std::less<>> disks_;
  std::vector<const char*> metadata_;
};

std::map<std::string, std::uint64_t> prepared(const SystemSpec& system) {
  const Workload workload{
      .scenario = "preparation", .system = system, .faults = {}, .setup = {}, .actors = {}};
  sim::Execution execution;
  std::map<std::string, std::uint64_t> digests;
  const sim::Outcome& outcome = execution.run([&] {
    CalmWorld world{execution, system};
    Lab{world, workload}.prepare();
    digests = world.metadata();
  });
  EXPECT_FALSE(outcome.finding) << outcome.finding->message << "\n" << to_toml(workload);
  return digests;
}

TEST(Shape, LeavesTheSameOnTheDisks) {
  for (const Scenario& scenario : all_scenarios()) {
    for (std::uint64_t seed = 0; seed < 100 / unit::sparse(); ++seed) {
      const SystemSpec system = workload_of(scenario, seed).value().system;
      ASSERT_EQ(prepared(system), prepared(shape_of(system))) << scenario.name << ", seed " << seed;
    }
  }
}

TEST(Shape, IsItsOwnShape) {
  for (const Scenario& scenario : all_scenarios()) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
      const SystemSpec shape = shape_of(workload_of(scenario, seed).value().system);
      EXPECT_EQ(shape_of(shape), shape);
    }
  }
}

}   // namespace
}   // namespace scenarios
