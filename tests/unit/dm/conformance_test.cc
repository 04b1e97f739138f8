// Mapped devices, one upon another, keep every promise of a block device.
#include <optional>

#include "engine/fiber/timer.h"
#include "tests/conformance/block_device_suite.h"
#include "tests/unit/dm/rig.h"

namespace conformance {
namespace {

class MappedWorld final : public World {
 public:
  void run(const std::function<void()>& body) override {
    unit::for_seeds(100, [&](sim::Execution& execution, std::uint64_t seed) {
      execution_ = &execution;
      unit::Rig rig{execution, {.sectors = 65536, .transfer_sectors_max = 128 + seed % 100}};
      auto low = rig.make("low", "0 20000 linear a 5\n20000 30000 linear b 100");
      auto top = rig.make("top", "0 40 linear low 5000\n40 40000 linear low 9000");
      device_ = &top.device();
      body();
      top.reset();
      low.reset();
    });
  }
  engine::Executor& executor() override { return *execution_; }
  std::uint32_t threads() const override { return 3; }
  void spawn_on(std::uint32_t /*thread*/, const char* name, std::function<void()> body) override {
    execution_->spawn(name, std::move(body));
  }
  engine::BlockDevice& device() override { return *device_; }

 private:
  sim::Execution* execution_ = nullptr;
  engine::BlockDevice* device_ = nullptr;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Mapped, BlockDeviceSuite, MappedWorld);

}   // namespace
}   // namespace conformance
