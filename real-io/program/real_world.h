// Scenarios on real files and threads: bodies are dealt out to the reactors in turn. The power
// cannot be cut here, and nothing is made to fail.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "real-io/uring_device.h"
#include "real-io/uring_executor.h"
#include "scenarios/workload.h"
#include "scenarios/world.h"

namespace wavetankd {

class RealWorld final : public scenarios::World, private engine::DeviceDirectory {
 public:
  // Makes both files blank and large enough for `system`.
  [[nodiscard]] static tl::expected<std::unique_ptr<RealWorld>, std::string> make(
      real_io::UringExecutor& executor, const std::string& metadata, const std::string& data,
      const scenarios::SystemSpec& system);

  [[nodiscard]] engine::Env& env() override { return env_; }
  [[nodiscard]] engine::BlockDevice& metadata() override { return *metadata_; }
  [[nodiscard]] engine::BlockDevice& data() override { return *data_; }
  void grow_metadata(std::uint64_t blocks) override;
  void run_together(std::vector<std::pair<std::string, std::function<void()>>> bodies) override;
  void faults_begin() override {}
  void faults_end() override {}
  [[nodiscard]] bool power_is_cut() const override { return false; }
  void reboot() override {}
  [[nodiscard]] std::unique_ptr<checkers::image::BlockSource> metadata_image() override;
  void report(const checkers::Finding& finding) override;

  [[nodiscard]] std::vector<checkers::Finding> findings() const;

 private:
  RealWorld(real_io::UringExecutor& executor, std::string metadata_path);
  engine::Result<engine::BlockDevice*> find(std::string_view name) override;

  real_io::UringExecutor& executor_;
  const std::string metadata_path_;
  engine::Env env_;
  std::unique_ptr<real_io::UringDevice> metadata_;
  std::unique_ptr<real_io::UringDevice> data_;
  mutable std::mutex mutex_;
  std::vector<checkers::Finding> findings_;   // guarded by mutex_
};

}   // namespace wavetankd
