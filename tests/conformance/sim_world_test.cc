// The tank keeps the promises of the seam, under many seeds.
#include <optional>

#include "engine/base/sanitizers.h"
#include "sim/execution.h"
#include "sim/sim_device.h"
#include "sim/tsan.h"
#include "tests/conformance/block_device_suite.h"
#include "tests/conformance/executor_suite.h"
#include "tests/conformance/primitives_suite.h"

namespace conformance {
namespace {

class SimWorld final : public World {
 public:
  void run(const std::function<void()>& body) override {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      execution_.reset({.seed = seed, .points_max = 1'000'000});
      device_.emplace(execution_, "disk", sim::SimDeviceOptions{.sectors = 65536});
      const sim::Outcome& outcome = execution_.run([&] { body(); });
      ASSERT_FALSE(outcome.finding) << "seed " << seed << ": " << outcome.finding->message << '\n'
                                    << outcome.finding->detail;
      ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    }
  }
  engine::Executor& executor() override { return execution_; }
  std::uint32_t threads() const override { return 3; }
  void spawn_on(std::uint32_t /*thread*/, const char* name, std::function<void()> body) override {
    execution_.spawn(name, std::move(body));
  }
  engine::BlockDevice& device() override { return *device_; }

 private:
#if WAVETANK_TSAN
  static constexpr std::uint64_t kSeeds = 5;   // a fiber costs it a millisecond
#else
  static constexpr std::uint64_t kSeeds = 200;
#endif
  sim::Execution execution_;
  std::optional<sim::SimDevice> device_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sim, ExecutorSuite, SimWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Sim, PrimitivesSuite, SimWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Sim, BlockDeviceSuite, SimWorld);

}   // namespace
}   // namespace conformance
