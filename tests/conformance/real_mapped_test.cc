// Mapped devices over real files and several reactors are block devices like any other: one that
// maps straight to its file, and a thin volume on a pool.
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "engine/dm/system.h"
#include "engine/thin/targets.h"
#include "real-io/uring_device.h"
#include "tests/conformance/block_device_suite.h"
#include "tests/unit/real_io/fixture.h"

namespace conformance {
namespace {

using real_io::TemporaryFile;
using real_io::UringDevice;
using real_io::UringExecutor;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kSectors = 16 * kMiB / engine::kSectorSize;

class TwoFiles final : public engine::DeviceDirectory {
 public:
  explicit TwoFiles(UringExecutor& executor)
      : data_{opened(executor, data_file_)}, metadata_{opened(executor, metadata_file_)} {}
  engine::Result<engine::BlockDevice*> find(std::string_view name) override {
    if (name == "data") return data_.get();
    if (name == "metadata") return metadata_.get();
    return engine::fail(engine::Errc::not_found);
  }

 private:
  static std::unique_ptr<UringDevice> opened(UringExecutor& executor, const TemporaryFile& file) {
    auto device = UringDevice::open(executor, file.path());
    EXPECT_TRUE(device.has_value()) << device.error();
    return *std::move(device);
  }
  const TemporaryFile data_file_{32 * kMiB};
  const TemporaryFile metadata_file_{4 * kMiB};
  std::unique_ptr<UringDevice> data_;
  std::unique_ptr<UringDevice> metadata_;
};

template <typename T>
void made(const engine::Result<T>& result) {
  EXPECT_TRUE(result) << result.error().what;
}

// Makes the device "tested" of `tables`, device by device, anew for each round.
class MappedWorld : public World {
 public:
  void run(const std::function<void()>& body) override {
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
      TwoFiles files{executor_};
      executor_.run([&] {
        engine::dm::System system{engine::Env{executor_, files}};
        engine::thin::ThinTargets thin;
        thin.add_to(system.registry());
        make(system);
        {
          auto tested = system.open("tested");
          ASSERT_TRUE(tested) << tested.error().what;
          device_ = &tested->device();
          body();
          device_ = nullptr;
        }
        made(system.remove_all());
      });
    }
  }
  engine::Executor& executor() override { return executor_; }
  std::uint32_t threads() const override { return executor_.reactor_count(); }
  void spawn_on(std::uint32_t thread, const char* name, std::function<void()> body) override {
    executor_.spawn_on(thread, name, std::move(body));
  }
  engine::BlockDevice& device() override { return *device_; }

 protected:
  virtual void make(engine::dm::System& system) = 0;

 private:
  static constexpr int kRounds = 5;
  UringExecutor executor_{UringExecutor::Options{.reactors = 3, .reactor = {}}};
  engine::BlockDevice* device_ = nullptr;
};

// Cut in the middle of what the suite writes, so that bios are split.
class LinearWorld final : public MappedWorld {
  void make(engine::dm::System& system) override {
    made(system.create_with_table(
        "tested",
        fmt::format("0 1000 linear data 8192\n1000 {} linear data 9192", kSectors - 1000)));
  }
};

class ThinWorld final : public MappedWorld {
  void make(engine::dm::System& system) override {
    made(system.create_with_table("pool", fmt::format("0 {} thin-pool metadata data 128 0",
                                                      32 * kMiB / engine::kSectorSize)));
    made(system.message("pool", engine::Sector{0}, "create_thin 0"));
    made(system.create_with_table("tested", fmt::format("0 {} thin pool 0", kSectors)));
  }
};

// All of whose blocks a snapshot has too: each first write breaks sharing.
class SharedThinWorld final : public MappedWorld {
  void make(engine::dm::System& system) override {
    made(system.create_with_table("pool", fmt::format("0 {} thin-pool metadata data 128 0",
                                                      32 * kMiB / engine::kSectorSize)));
    made(system.message("pool", engine::Sector{0}, "create_thin 0"));
    made(system.create_with_table("tested", fmt::format("0 {} thin pool 0", kSectors)));
    {
      auto tested = system.open("tested");
      ASSERT_TRUE(tested) << tested.error().what;
      must(tested->device(), BioOp::write, 0, 1024, 77);
    }
    made(system.message("pool", engine::Sector{0}, "create_snap 1 0"));
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(RealLinear, BlockDeviceSuite, LinearWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(RealThin, BlockDeviceSuite, ThinWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(RealSharedThin, BlockDeviceSuite, SharedThinWorld);

}   // namespace
}   // namespace conformance
