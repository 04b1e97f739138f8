// The cache target: a row of a table that names three devices, and the cache made of them.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "engine/cache/cache.h"
#include "engine/io/device_claims.h"
#include "engine/io/target.h"

namespace engine::cache {

class CacheTargets;

class CacheTarget final : public io::Target {
 public:
  // Suspends. Parses `args`, makes the policy, opens the devices and the metadata.
  static Result<std::unique_ptr<io::Target>> create(CacheTargets& targets,
                                                    const io::TargetContext& context,
                                                    const io::TargetArgs& args);
  ~CacheTarget() override;

  io::MapResult map(io::MappedBio& bio) override { return cache_->map(bio); }
  io::EndResult end_io(io::MappedBio& bio, Errc& status) override {
    return cache_->end_io(bio, status);
  }
  void presuspend(io::SuspendKind kind) override;
  void presuspend_undo() override { cache_->presuspend_undo(); }
  void postsuspend() override { cache_->postsuspend(); }
  Result<void> preresume() override { return cache_->preresume(); }
  void resume() override { cache_->resume(); }
  Result<std::string> message(std::span<const std::string_view> args) override {
    return cache_->message(args);
  }
  std::string status(io::StatusCommit commit) override { return cache_->status(commit); }
  [[nodiscard]] std::string table_line() const override;
  [[nodiscard]] io::TargetLimits limits() const noexcept override { return cache_->limits(); }
  void for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const override;
  [[nodiscard]] std::string_view type_name() const noexcept override { return "cache"; }

 private:
  struct Devices {
    io::DeviceRef metadata;
    io::DeviceRef fast;
    io::DeviceRef origin;
    std::array<io::DeviceClaim, 3> claims;   // go before the devices do
  };
  CacheTarget(CacheTargets& targets, const io::TargetArgs& args, Devices devices,
              std::unique_ptr<Cache> cache);
  static Result<Devices> open_devices(const io::TargetContext& context, const io::TargetArgs& args);
  static Result<void> claim_devices(const io::TargetContext& context, Devices& devices);
  static Result<void> check_sizes(const Devices& devices, const CacheConfig& config);

  CacheTargets& targets_;
  Devices devices_;
  std::unique_ptr<Cache> cache_;   // last: goes before the devices do
};

}   // namespace engine::cache
