// Policies for scenarios: one that does whatever the contract allows, one that is as plain as can
// be, and a judge around any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "engine/cache/policy.h"
#include "engine/fiber/spin_lock.h"
#include "scenarios/bench.h"
#include "scenarios/cache/policy_judge.h"
#include "scenarios/cache/traffic.h"

namespace scenarios::cache {

// The bookkeeping of a policy for a handful of places.
class SmallPolicy : public engine::cache::Policy {
 public:
  explicit SmallPolicy(const engine::cache::PolicyParams& params) : places_(params.cache_blocks) {}

  void set_dirty(engine::cache::OriginBlock block) override { mark(block, true); }
  void clear_dirty(engine::cache::OriginBlock block) override { mark(block, false); }
  engine::Result<void> load_mapping(const engine::cache::Mapping& mapping,
                                    std::optional<std::uint32_t> hint) override;
  [[nodiscard]] std::optional<engine::cache::OriginBlock> mapping_of(
      engine::cache::CacheBlock place) const override;
  [[nodiscard]] std::optional<engine::cache::CacheBlock> lookup(
      engine::cache::OriginBlock block) override;
  [[nodiscard]] std::uint32_t hint(engine::cache::CacheBlock place) const override;
  void remove_mapping(engine::cache::OriginBlock block) override;
  void force_mapping(engine::cache::OriginBlock current, engine::cache::OriginBlock back) override;
  engine::Result<void> remove_cblock(engine::cache::CacheBlock place,
                                     engine::cache::OriginBlock expected) override;
  void tick(engine::Nanos /*now*/) override {}
  [[nodiscard]] std::uint32_t residency() const override;
  engine::Result<void> set_config(std::string_view key, std::uint64_t value) override;
  [[nodiscard]] std::vector<engine::cache::PolicySetting> config() const override { return {}; }
  [[nodiscard]] engine::cache::PolicyVersion version() const noexcept override { return {1, 0, 0}; }
  [[nodiscard]] std::uint32_t hint_size() const noexcept override { return 4; }

 protected:
  struct Place {
    std::optional<engine::cache::OriginBlock> block;
    bool dirty = false;
  };
  using Index = std::size_t;

  [[nodiscard]] std::optional<Index> find(engine::cache::OriginBlock block) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::vector<Index> where(bool mapped, bool dirty) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] engine::cache::Decision take(Index index, engine::cache::OriginBlock block,
                                             engine::cache::CellLocker& victims)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] engine::cache::Mapping hand_out(Index index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] static engine::cache::CacheBlock place_of(Index index) noexcept {
    return engine::cache::CacheBlock{static_cast<std::uint32_t>(index)};
  }

  mutable engine::SpinLock lock_{"cache.policy"};
  std::vector<Place> places_ ABSL_GUARDED_BY(lock_);

 private:
  void mark(engine::cache::OriginBlock block, bool dirty);
};

// Everything that the contract allows, by the world's choice: dirty victims, a victim that was hit
// a moment ago, answers put off, writeback of whatever is dirty, or of nothing.
class AdversaryPolicy final : public SmallPolicy {
 public:
  AdversaryPolicy(const engine::cache::PolicyParams& params, World& world)
      : SmallPolicy{params}, world_{world} {}
  [[nodiscard]] engine::cache::Decision map(const engine::cache::MapRequest& request,
                                            engine::cache::CellLocker& victims) override;
  [[nodiscard]] std::optional<engine::cache::Mapping> writeback_work(
      engine::cache::WritebackUrgency urgency) override;
  [[nodiscard]] std::string_view name() const noexcept override { return "adversary"; }

 private:
  World& world_;
};

// Block n always goes to place n mod size, whoever is there, and what is dirty is written back when
// there is nothing better to do. So a workload says exactly what moves.
class DirectPolicy final : public SmallPolicy {
 public:
  using SmallPolicy::SmallPolicy;
  [[nodiscard]] engine::cache::Decision map(const engine::cache::MapRequest& request,
                                            engine::cache::CellLocker& victims) override;
  [[nodiscard]] std::optional<engine::cache::Mapping> writeback_work(
      engine::cache::WritebackUrgency urgency) override;
  [[nodiscard]] std::string_view name() const noexcept override { return "direct"; }
};

class JudgedPolicy;

// The policies that a run has at its tables' disposal, under the names of CachePolicy, each with a
// judge around it where the world shows its events. Outlives them.
class Policies {
 public:
  Policies(Bench& bench, const SystemSpec& system);
  ~Policies();
  Policies(const Policies&) = delete;
  Policies& operator=(const Policies&) = delete;

  void add_to(engine::cache::PolicyRegistry& registry);
  // As tables name it.
  [[nodiscard]] static std::string table_name(CachePolicy policy);
  // Of a policy made here; null where nobody judges.
  [[nodiscard]] static const CachePolicyJudge* judge_of(
      const engine::cache::Policy& policy) noexcept;
  // The power went: no cell is held any more.
  void forget_cells() { cells_ = CacheCells{released_}; }
  // Null where nobody judges.
  [[nodiscard]] CacheTraffic* traffic() noexcept { return watching_ ? &traffic_ : nullptr; }

 private:
  friend class JudgedPolicy;
  class Type;

  // Hands events on to both.
  class Ear final : public engine::TraceSink {
   public:
    explicit Ear(Policies& policies) : policies_{policies} {}
    void event(const engine::Event& event) noexcept override {
      policies_.cells_.event(event);
      policies_.traffic_.event(event);
    }

   private:
    Policies& policies_;
  };

  Bench& bench_;
  // What the judges know is nobody's between two calls. Never held over anything that suspends.
  std::mutex judging_;
  std::vector<JudgedPolicy*> alive_;
  CacheCells::Released released_;
  CacheCells cells_;
  CacheTraffic traffic_;
  Ear ear_{*this};
  bool watching_;
  engine::cache::BuiltinPolicies builtin_;
  engine::cache::PolicyRegistry builtin_by_name_;
  std::vector<std::unique_ptr<engine::cache::PolicyType>> types_;
};

}   // namespace scenarios::cache
