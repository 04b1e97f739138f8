// The thin-pool target: the table row that binds a pool to its devices and its policies. I/O to it
// goes to the data device as it is.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "engine/io/device_claims.h"
#include "engine/io/target.h"
#include "engine/thin/pool_features.h"
#include "engine/thin/pool_registry.h"

namespace engine::thin {

class PoolTarget final : public io::Target {
 public:
  // Suspends. Parses `args`, opens the devices and the pool.
  static Result<std::unique_ptr<io::Target>> create(PoolRegistry& pools,
                                                    const io::TargetContext& context,
                                                    const io::TargetArgs& args);
  ~PoolTarget() override;

  io::MapResult map(io::MappedBio& bio) override;
  void presuspend(io::SuspendKind kind) override;
  void presuspend_undo() override;
  void postsuspend() override;
  Result<void> preresume() override;
  void resume() override;
  void stop_queueing() override;
  Result<std::string> message(std::span<const std::string_view> args) override;
  std::string status(io::StatusCommit commit) override;
  [[nodiscard]] std::string table_line() const override;
  [[nodiscard]] io::TargetLimits limits() const noexcept override;
  void for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const override;
  [[nodiscard]] std::string_view type_name() const noexcept override { return "thin-pool"; }

 private:
  struct Devices {
    io::DeviceRef metadata;
    io::DeviceRef data;
    std::array<io::DeviceClaim, 2> claims;   // go before the devices do
  };
  PoolTarget(const io::TargetArgs& args, const PoolConfig& config, Devices devices, PoolRef pool);
  // Is there a sector of `data` for each of the target's?
  static Result<void> check_size(const io::DeviceRef& data, std::uint64_t sectors);
  static Result<void> claim_devices(const io::TargetContext& context, Devices& devices);

  PoolConfig config_;
  Devices devices_;
  PoolRef pool_;   // last: goes before the devices do
};

}   // namespace engine::thin
