// Smq as a policy: behind a lock, under each of its names.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "engine/cache/policy.h"
#include "engine/cache/smq.h"
#include "engine/fiber/spin_lock.h"

namespace engine::cache {

class SmqPolicy : public Policy {
 public:
  explicit SmqPolicy(const PolicyParams& params) : smq_{params} {}

  [[nodiscard]] Decision map(const MapRequest& request, CellLocker& victims) override;
  void set_dirty(OriginBlock block) override;
  void clear_dirty(OriginBlock block) override;
  Result<void> load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) override;
  [[nodiscard]] std::optional<OriginBlock> mapping_of(CacheBlock place) const override;
  [[nodiscard]] std::optional<CacheBlock> lookup(OriginBlock block) override;
  [[nodiscard]] std::uint32_t hint(CacheBlock place) const override;
  void remove_mapping(OriginBlock block) override;
  void force_mapping(OriginBlock current, OriginBlock back) override;
  Result<void> remove_cblock(CacheBlock place, OriginBlock expected) override;
  [[nodiscard]] std::optional<Mapping> writeback_work(WritebackUrgency urgency) override;
  void tick(Nanos now) override;
  [[nodiscard]] std::uint32_t residency() const override;
  Result<void> set_config(std::string_view key, std::uint64_t value) override;
  [[nodiscard]] std::vector<PolicySetting> config() const override { return {}; }
  [[nodiscard]] std::string_view name() const noexcept override { return "smq"; }
  [[nodiscard]] PolicyVersion version() const noexcept override { return {2, 0, 0}; }
  [[nodiscard]] std::uint32_t hint_size() const noexcept override { return 4; }

 private:
  mutable SpinLock lock_{"cache.policy"};
  smq::Smq smq_ ABSL_GUARDED_BY(lock_);
};

// What tables that ask for `mq` get: smq, which takes mq's tunables and shows them as 0.
class MqPolicy final : public SmqPolicy {
 public:
  using SmqPolicy::SmqPolicy;
  Result<void> set_config(std::string_view key, std::uint64_t value) override;
  [[nodiscard]] std::vector<PolicySetting> config() const override;
  [[nodiscard]] std::string_view name() const noexcept override { return "mq"; }
};

// For the policies of the engine: one type for each name that tables may use. Errors of the
// policy's size become the text that users see.
template <typename Made>
class BuiltinPolicyType final : public PolicyType {
 public:
  explicit BuiltinPolicyType(std::string_view name) noexcept : name_{name} {}
  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] Result<std::unique_ptr<Policy>> create(const PolicyParams& params) override {
    // Places and everything else that is numbered with them must fit 32 bits.
    if (params.cache_blocks > kCacheBlocksMax)
      return fail(Errc::invalid, params.cache_blocks, "the cache has too many blocks");
    return std::unique_ptr<Policy>{std::make_unique<Made>(params)};
  }

 private:
  static constexpr std::uint32_t kCacheBlocksMax = 1U << 28;

  std::string_view name_;   // a string literal
};

}   // namespace engine::cache
