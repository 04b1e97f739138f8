// Scenarios on real files and threads: bodies are dealt out to the reactors in turn. The power
// cannot be cut here, and nothing is made to fail. What is anybody's choice is thrown by dice.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <pcg_random.hpp>

#include <tl/expected.hpp>

#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"

namespace wavetankd {

class RealWorld final : public scenarios::World, private engine::DeviceDirectory {
 public:
  // Files by the names of disks.
  using Paths = std::map<std::string, std::string, std::less<>>;

  // Makes the files of the disks of `system` blank and large enough: all of them or, when one is
  // missing or in use, none.
  [[nodiscard]] static tl::expected<std::unique_ptr<RealWorld>, std::string> make(
      real_io::UringExecutor& executor, const Paths& paths, const scenarios::SystemSpec& system,
      std::uint64_t seed);

  [[nodiscard]] engine::Env& env() override { return env_; }
  void resize(std::string_view disk, std::uint64_t sectors) override;
  void run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) override;
  void faults_begin() override {}
  void faults_end() override {}
  [[nodiscard]] bool power_is_cut() const override { return false; }
  void reboot() override {}
  [[nodiscard]] std::uint32_t choose(const char* what, std::uint32_t count) override;
  [[nodiscard]] std::unique_ptr<checkers::image::BlockSource> image(std::string_view disk) override;
  void report(const checkers::Finding& finding) override;

  [[nodiscard]] std::vector<checkers::Finding> findings() const;

 private:
  struct Disk {
    std::string path;
    std::unique_ptr<real_io::UringDevice> device;
  };

  RealWorld(real_io::UringExecutor& executor, std::uint64_t seed);
  engine::Result<engine::BlockDevice*> find(std::string_view name) override;

  real_io::UringExecutor& executor_;
  engine::Env env_;
  std::map<std::string, Disk, std::less<>> disks_;
  mutable std::mutex mutex_;
  std::vector<checkers::Finding> findings_;   // guarded by mutex_
  pcg32 dice_;                                // guarded by mutex_
};

}   // namespace wavetankd
