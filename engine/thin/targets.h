// The target types thin-pool and thin of one system, and the pools that they share.
#pragma once

#include "engine/io/target.h"
#include "engine/thin/pool_registry.h"

namespace engine::thin {

// Outlives the system whose registry it was added to: the tables go before it.
class ThinTargets {
 public:
  explicit ThinTargets(const PoolOptions& options = {});
  void add_to(io::TargetRegistry& registry);
  [[nodiscard]] PoolRegistry& pools() noexcept { return pools_; }

 private:
  class PoolType final : public io::TargetType {
   public:
    explicit PoolType(PoolRegistry& pools) noexcept : pools_{pools} {}
    [[nodiscard]] std::string_view name() const noexcept override { return "thin-pool"; }
    [[nodiscard]] bool singleton() const noexcept override { return true; }
    [[nodiscard]] bool immutable() const noexcept override { return true; }
    Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                               const io::TargetArgs& args) override;

   private:
    PoolRegistry& pools_;
  };

  class ThinType final : public io::TargetType {
   public:
    explicit ThinType(PoolRegistry& pools) noexcept : pools_{pools} {}
    [[nodiscard]] std::string_view name() const noexcept override { return "thin"; }
    Result<std::unique_ptr<io::Target>> create(const io::TargetContext& context,
                                               const io::TargetArgs& args) override;

   private:
    PoolRegistry& pools_;
  };

  PoolRegistry pools_;
  PoolType pool_type_{pools_};
  ThinType thin_type_{pools_};
};

}   // namespace engine::thin
