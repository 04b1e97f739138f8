// The reactors and the io_uring device keep the promises of the seam, on real threads and files.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "real-io/overlay_device.h"
#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"
#include "tests/conformance/block_device_suite.h"
#include "tests/conformance/executor_suite.h"
#include "tests/conformance/primitives_suite.h"

namespace conformance {
namespace {

class RealWorld : public World {
 public:
  RealWorld() : path_{"./real_world_XXXXXX"} {
    const int fd = mkstemp(path_.data());
    EXPECT_EQ(ftruncate(fd, kFileBytes), 0);
    close(fd);
    executor_ = std::make_unique<real_io::UringExecutor>(
        real_io::UringExecutor::Options{.reactors = 3, .reactor = {}});
    auto device = real_io::UringDevice::open(*executor_, path_);
    EXPECT_TRUE(device.has_value()) << device.error();
    device_ = *std::move(device);
  }
  ~RealWorld() override {
    device_.reset();
    executor_.reset();
    unlink(path_.c_str());
  }

  void run(const std::function<void()>& body) override {
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
      executor_->run([&] { body(); });
      // Those that have nothing to wait for any more need a moment to end.
      using namespace std::chrono_literals;
      const auto until = std::chrono::steady_clock::now() + 10s;
      while (executor_->fibers_alive() != 0 && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(100us);
      ASSERT_EQ(executor_->fibers_alive(), 0U) << "fibers that never end";
    }
  }
  engine::Executor& executor() override { return *executor_; }
  std::uint32_t threads() const override { return executor_->reactor_count(); }
  void spawn_on(std::uint32_t thread, const char* name, std::function<void()> body) override {
    executor_->spawn_on(thread, name, std::move(body));
  }
  engine::BlockDevice& device() override { return *device_; }

 private:
  static constexpr off_t kFileBytes = off_t{32} << 20;
  static constexpr int kRounds = 10;
  std::string path_;
  std::unique_ptr<real_io::UringExecutor> executor_;
  std::unique_ptr<real_io::UringDevice> device_;
};

// Half of the device over the file, half beyond its end.
class OverlaidWorld final : public RealWorld {
 public:
  engine::BlockDevice& device() override { return overlay_; }

 private:
  real_io::OverlayDevice overlay_{RealWorld::device(), real_io::OverlayDevice::Writes::keep,
                                  2 * RealWorld::device().limits().sectors};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Real, ExecutorSuite, RealWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Real, PrimitivesSuite, RealWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Real, BlockDeviceSuite, RealWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Overlaid, BlockDeviceSuite, OverlaidWorld);

}   // namespace
}   // namespace conformance
