#include "scenarios/cache/judged_policy.h"

#include <algorithm>

namespace scenarios::cache {

using checkers::Findings;
using engine::cache::CacheBlock;
using engine::cache::CellLocker;
using engine::cache::Decision;
using engine::cache::Mapping;
using engine::cache::MapRequest;
using engine::cache::OriginBlock;
using engine::cache::WritebackUrgency;

namespace {

// Notes whose cell was taken.
class WatchedLocker final : public CellLocker {
 public:
  explicit WatchedLocker(CellLocker& locker) : locker_{locker} {}
  [[nodiscard]] bool try_lock(OriginBlock victim) override {
    if (!locker_.try_lock(victim)) return false;
    granted_ = victim;
    return true;
  }
  [[nodiscard]] std::optional<OriginBlock> granted() const noexcept { return granted_; }

 private:
  CellLocker& locker_;
  std::optional<OriginBlock> granted_;
};

}   // namespace

JudgedPolicy::JudgedPolicy(Policies& policies, std::unique_ptr<engine::cache::Policy> policy)
    : policies_{policies}, policy_{std::move(policy)}, judge_{policies.cells_} {
  policies_.alive_.push_back(this);
}

JudgedPolicy::~JudgedPolicy() {
  std::erase(policies_.alive_, this);
}

Decision JudgedPolicy::map(const MapRequest& request, CellLocker& victims) {
  WatchedLocker watched{victims};
  const Decision decision = policy_->map(request, watched);
  ask_judge(
      [&](Findings& findings) { judge_.mapped(request, decision, watched.granted(), findings); });
  return decision;
}

void JudgedPolicy::set_dirty(OriginBlock block) {
  policy_->set_dirty(block);
  ask_judge([&](Findings& findings) { judge_.set_dirty(block, findings); });
}

void JudgedPolicy::clear_dirty(OriginBlock block) {
  policy_->clear_dirty(block);
  ask_judge([&](Findings& findings) { judge_.clear_dirty(block, findings); });
}

engine::Result<void> JudgedPolicy::load_mapping(const Mapping& mapping,
                                                std::optional<std::uint32_t> hint) {
  ENGINE_TRY(policy_->load_mapping(mapping, hint));
  judge_.loaded(mapping);
  return {};
}

void JudgedPolicy::remove_mapping(OriginBlock block) {
  ask_judge([&](Findings& findings) { judge_.removing(block, findings); });
  policy_->remove_mapping(block);
}

void JudgedPolicy::force_mapping(OriginBlock current, OriginBlock back) {
  ask_judge([&](Findings& findings) { judge_.forcing(current, back, findings); });
  policy_->force_mapping(current, back);
}

engine::Result<void> JudgedPolicy::remove_cblock(CacheBlock place, OriginBlock expected) {
  ENGINE_TRY(policy_->remove_cblock(place, expected));
  ask_judge([&](Findings& findings) { judge_.removed_cblock(place, expected, findings); });
  return {};
}

std::optional<Mapping> JudgedPolicy::writeback_work(WritebackUrgency urgency) {
  const std::optional<Mapping> work = policy_->writeback_work(urgency);
  if (work) ask_judge([&](Findings& findings) { judge_.writeback(*work, findings); });
  return work;
}

}   // namespace scenarios::cache
