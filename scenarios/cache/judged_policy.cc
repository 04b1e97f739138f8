#include "scenarios/cache/judged_policy.h"

#include <algorithm>
#include <type_traits>

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
  const std::lock_guard lock{policies_.judging_};
  policies_.alive_.push_back(this);
}

JudgedPolicy::~JudgedPolicy() {
  const std::lock_guard lock{policies_.judging_};
  std::erase(policies_.alive_, this);
}

template <typename Call>
decltype(auto) JudgedPolicy::locked(const char* what, Call&& call) const {
  const std::uint64_t before = policies_.cells_.policy_locks();
  const auto judge = [&] {
    ask_judge([&](Findings& findings) { judge_.called(what, before, findings); });
  };
  if constexpr (std::is_void_v<decltype(call())>) {
    call();
    judge();
  } else {
    auto result = call();
    judge();
    return result;
  }
}

Decision JudgedPolicy::map(const MapRequest& request, CellLocker& victims) {
  WatchedLocker watched{victims};
  const Decision decision = locked("map", [&] { return policy_->map(request, watched); });
  ask_judge(
      [&](Findings& findings) { judge_.mapped(request, decision, watched.granted(), findings); });
  return decision;
}

std::optional<OriginBlock> JudgedPolicy::mapping_of(CacheBlock place) const {
  return locked("mapping_of", [&] { return policy_->mapping_of(place); });
}

std::optional<CacheBlock> JudgedPolicy::lookup(OriginBlock block) {
  return locked("lookup", [&] { return policy_->lookup(block); });
}

std::uint32_t JudgedPolicy::residency() const {
  return locked("residency", [&] { return policy_->residency(); });
}

void JudgedPolicy::set_dirty(OriginBlock block) {
  locked("set_dirty", [&] { policy_->set_dirty(block); });
  ask_judge([&](Findings& findings) { judge_.set_dirty(block, findings); });
}

void JudgedPolicy::clear_dirty(OriginBlock block) {
  locked("clear_dirty", [&] { policy_->clear_dirty(block); });
  ask_judge([&](Findings& findings) { judge_.clear_dirty(block, findings); });
}

engine::Result<void> JudgedPolicy::load_mapping(const Mapping& mapping,
                                                std::optional<std::uint32_t> hint) {
  ENGINE_TRY(locked("load_mapping", [&] { return policy_->load_mapping(mapping, hint); }));
  ask_judge([&](Findings&) { judge_.loaded(mapping); });
  return {};
}

void JudgedPolicy::remove_mapping(OriginBlock block) {
  ask_judge([&](Findings& findings) { judge_.removing(block, findings); });
  locked("remove_mapping", [&] { policy_->remove_mapping(block); });
}

void JudgedPolicy::force_mapping(OriginBlock current, OriginBlock back) {
  ask_judge([&](Findings& findings) { judge_.forcing(current, back, findings); });
  locked("force_mapping", [&] { policy_->force_mapping(current, back); });
}

engine::Result<void> JudgedPolicy::remove_cblock(CacheBlock place, OriginBlock expected) {
  ENGINE_TRY(locked("remove_cblock", [&] { return policy_->remove_cblock(place, expected); }));
  ask_judge([&](Findings& findings) { judge_.removed_cblock(place, expected, findings); });
  return {};
}

std::optional<Mapping> JudgedPolicy::writeback_work(WritebackUrgency urgency) {
  const std::optional<Mapping> work =
      locked("writeback_work", [&] { return policy_->writeback_work(urgency); });
  if (work) ask_judge([&](Findings& findings) { judge_.writeback(*work, findings); });
  return work;
}

}   // namespace scenarios::cache
