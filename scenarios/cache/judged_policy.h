// Any policy with a judge around it. For worlds in which one thing happens at a time: nothing comes
// between what the policy does and the judge's hearing of it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/cache/policy.h"
#include "scenarios/cache/policies.h"
#include "scenarios/cache/policy_judge.h"

namespace scenarios::cache {

class JudgedPolicy final : public engine::cache::Policy {
 public:
  JudgedPolicy(Policies& policies, std::unique_ptr<engine::cache::Policy> policy);
  ~JudgedPolicy() override;

  [[nodiscard]] engine::cache::Decision map(const engine::cache::MapRequest& request,
                                            engine::cache::CellLocker& victims) override;
  void set_dirty(engine::cache::OriginBlock block) override;
  void clear_dirty(engine::cache::OriginBlock block) override;
  engine::Result<void> load_mapping(const engine::cache::Mapping& mapping,
                                    std::optional<std::uint32_t> hint) override;
  [[nodiscard]] std::optional<engine::cache::OriginBlock> mapping_of(
      engine::cache::CacheBlock place) const override;
  [[nodiscard]] std::optional<engine::cache::CacheBlock> lookup(
      engine::cache::OriginBlock block) override;
  [[nodiscard]] std::uint32_t hint(engine::cache::CacheBlock place) const override {
    return policy_->hint(place);
  }
  void remove_mapping(engine::cache::OriginBlock block) override;
  void force_mapping(engine::cache::OriginBlock current, engine::cache::OriginBlock back) override;
  engine::Result<void> remove_cblock(engine::cache::CacheBlock place,
                                     engine::cache::OriginBlock expected) override;
  [[nodiscard]] std::optional<engine::cache::Mapping> writeback_work(
      engine::cache::WritebackUrgency urgency) override;
  void tick(engine::Nanos now) override { policy_->tick(now); }
  [[nodiscard]] std::uint32_t residency() const override;
  engine::Result<void> set_config(std::string_view key, std::uint64_t value) override {
    return policy_->set_config(key, value);
  }
  [[nodiscard]] std::vector<engine::cache::PolicySetting> config() const override {
    return policy_->config();
  }
  [[nodiscard]] std::string_view name() const noexcept override { return policy_->name(); }
  [[nodiscard]] engine::cache::PolicyVersion version() const noexcept override {
    return policy_->version();
  }
  [[nodiscard]] std::uint32_t hint_size() const noexcept override { return policy_->hint_size(); }

  [[nodiscard]] CachePolicyJudge& judge() noexcept { return judge_; }
  [[nodiscard]] const CachePolicyJudge& judge() const noexcept { return judge_; }

 private:
  template <typename Tell>
  void ask_judge(Tell&& tell) const {
    checkers::Findings findings;
    {
      const std::lock_guard lock{policies_.judging_};
      tell(findings);
    }
    policies_.bench_.tell(findings);
  }

  // One call of the policy that looks at what others change, or changes it.
  template <typename Call>
  decltype(auto) locked(const char* what, Call&& call) const;

  Policies& policies_;
  std::unique_ptr<engine::cache::Policy> policy_;
  CachePolicyJudge judge_;
};

}   // namespace scenarios::cache
