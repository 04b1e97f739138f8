#include "scenarios/cache/policies.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "scenarios/cache/judged_policy.h"

namespace scenarios::cache {

using engine::Errc;
using engine::cache::CacheBlock;
using engine::cache::CellLocker;
using engine::cache::Decision;
using engine::cache::Hit;
using engine::cache::Mapping;
using engine::cache::MapRequest;
using engine::cache::Migrate;
using engine::cache::Miss;
using engine::cache::New;
using engine::cache::OriginBlock;
using engine::cache::Policy;
using engine::cache::PolicyParams;
using engine::cache::Replace;
using engine::cache::Wait;
using engine::cache::WouldBlock;
using engine::cache::WritebackUrgency;

namespace {

// A hint that only the right block has.
std::uint32_t hint_for(OriginBlock block) noexcept {
  return static_cast<std::uint32_t>(block.value()) * 3 + 1;
}

}   // namespace

std::optional<SmallPolicy::Index> SmallPolicy::find(OriginBlock block) const {
  for (Index i = 0; i < places_.size(); ++i) {
    if (places_[i].block == block) return i;
  }
  return std::nullopt;
}

std::vector<SmallPolicy::Index> SmallPolicy::where(bool mapped, bool dirty) const {
  std::vector<Index> found;
  for (Index i = 0; i < places_.size(); ++i) {
    if (places_[i].block.has_value() == mapped && (!dirty || places_[i].dirty)) found.push_back(i);
  }
  return found;
}

Decision SmallPolicy::take(Index index, OriginBlock block, CellLocker& victims) {
  Place& place = places_[index];
  const std::optional<OriginBlock> victim = place.block;
  if (victim && !victims.try_lock(*victim)) return Miss{};
  place = Place{.block = block};
  if (victim) return Replace{*victim, place_of(index)};
  return New{place_of(index)};
}

Mapping SmallPolicy::hand_out(Index index) {
  places_[index].dirty = false;
  return Mapping{*places_[index].block, place_of(index)};
}

void SmallPolicy::mark(OriginBlock block, bool dirty) {
  const engine::SpinGuard guard{lock_};
  if (const auto index = find(block)) places_[*index].dirty = dirty;
}

engine::Result<void> SmallPolicy::load_mapping(const Mapping& mapping,
                                               std::optional<std::uint32_t> hint) {
  const engine::SpinGuard guard{lock_};
  if (mapping.at.value() >= places_.size())
    return engine::fail(Errc::invalid, mapping.at.value(), "cache block beyond the cache");
  Place& place = places_[mapping.at.value()];
  if (place.block || find(mapping.origin))
    return engine::fail(Errc::exists, mapping.at.value(), "cached already");
  ENGINE_CHECK(!hint || *hint == hint_for(mapping.origin), "block {} comes with another's hint",
               mapping.origin);
  place.block = mapping.origin;
  return {};
}

std::optional<OriginBlock> SmallPolicy::mapping_of(CacheBlock place) const {
  const engine::SpinGuard guard{lock_};
  if (place.value() >= places_.size()) return std::nullopt;
  return places_[place.value()].block;
}

std::optional<CacheBlock> SmallPolicy::lookup(OriginBlock block) {
  const engine::SpinGuard guard{lock_};
  const auto index = find(block);
  if (!index) return std::nullopt;
  return place_of(*index);
}

std::uint32_t SmallPolicy::hint(CacheBlock place) const {
  const auto block = mapping_of(place);
  return block ? hint_for(*block) : 0;
}

void SmallPolicy::remove_mapping(OriginBlock block) {
  const engine::SpinGuard guard{lock_};
  const auto index = find(block);
  ENGINE_CHECK(index, "block {} is to leave the policy and is not there", block);
  places_[*index] = Place{};
}

void SmallPolicy::force_mapping(OriginBlock current, OriginBlock back) {
  const engine::SpinGuard guard{lock_};
  const auto index = find(current);
  ENGINE_CHECK(index, "block {} is to be renamed and is not there", current);
  ENGINE_CHECK(!find(back), "block {} is to come back and is there", back);
  places_[*index] = Place{.block = back, .dirty = true};
}

engine::Result<void> SmallPolicy::remove_cblock(CacheBlock place, OriginBlock expected) {
  const engine::SpinGuard guard{lock_};
  if (place.value() >= places_.size() || places_[place.value()].block != expected)
    return engine::fail(Errc::not_found, place.value(), "the block is not in that place");
  places_[place.value()] = Place{};
  return {};
}

std::uint32_t SmallPolicy::residency() const {
  const engine::SpinGuard guard{lock_};
  return static_cast<std::uint32_t>(where(true, false).size());
}

engine::Result<void> SmallPolicy::set_config(std::string_view /*key*/, std::uint64_t value) {
  return engine::fail(Errc::invalid, value, "no settings");
}

Decision AdversaryPolicy::map(const MapRequest& request, CellLocker& victims) {
  const engine::SpinGuard guard{lock_};
  const bool puts_off = request.wait == Wait::never && world_.choose("policy waits", 4) == 3;
  if (puts_off) return WouldBlock{};
  if (const auto index = find(request.block)) return Hit{place_of(*index)};
  // One in four stays where it is; the schedule's rule is that all do.
  if (world_.choose("policy promotes", 4) == 0) return Miss{};
  if (request.migrate == Migrate::never) return WouldBlock{};
  const std::vector<Index> free = where(false, false);
  if (!free.empty() && world_.choose("policy replaces though there is room", 4) != 3)
    return take(free[world_.choose("policy's place", static_cast<std::uint32_t>(free.size()))],
                request.block, victims);
  const std::vector<Index> taken = where(true, false);
  if (taken.empty()) return Miss{};
  const auto count = static_cast<std::uint32_t>(taken.size());
  const std::uint32_t first = world_.choose("policy's victim", count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Decision decision = take(taken[(first + i) % count], request.block, victims);
    if (!std::holds_alternative<Miss>(decision)) return decision;
    if (world_.choose("policy tries another victim", 2) == 0) break;
  }
  return Miss{};
}

std::optional<Mapping> AdversaryPolicy::writeback_work(WritebackUrgency /*urgency*/) {
  const engine::SpinGuard guard{lock_};
  const std::vector<Index> dirty = where(true, true);
  const std::uint32_t chosen =
      world_.choose("policy writes back", static_cast<std::uint32_t>(dirty.size()) + 1);
  if (chosen == 0) return std::nullopt;
  return hand_out(dirty[chosen - 1]);
}

Decision DirectPolicy::map(const MapRequest& request, CellLocker& victims) {
  const engine::SpinGuard guard{lock_};
  if (const auto index = find(request.block)) return Hit{place_of(*index)};
  if (places_.empty()) return Miss{};
  if (request.migrate == Migrate::never) return WouldBlock{};
  return take(request.block.value() % places_.size(), request.block, victims);
}

std::optional<Mapping> DirectPolicy::writeback_work(WritebackUrgency urgency) {
  const engine::SpinGuard guard{lock_};
  const std::vector<Index> dirty = where(true, true);
  if (dirty.empty() || urgency == WritebackUrgency::busy) return std::nullopt;
  return hand_out(dirty.front());
}

// One name of Policies: makes the policy, and the judge around it.
class Policies::Type final : public engine::cache::PolicyType {
 public:
  Type(Policies& policies, CachePolicy kind)
      : policies_{policies}, kind_{kind}, name_{table_name(kind)} {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] engine::Result<std::unique_ptr<Policy>> create(
      const PolicyParams& params) override {
    ENGINE_TRY_ASSIGN(std::unique_ptr<Policy> plain, make(params));
    if (!policies_.watching_) return plain;
    return std::unique_ptr<Policy>{std::make_unique<JudgedPolicy>(policies_, std::move(plain))};
  }

 private:
  engine::Result<std::unique_ptr<Policy>> make(const PolicyParams& params) {
    switch (kind_) {
      case CachePolicy::adversary:
        return std::unique_ptr<Policy>{
            std::make_unique<AdversaryPolicy>(params, policies_.bench_.world)};
      case CachePolicy::direct:
        return std::unique_ptr<Policy>{std::make_unique<DirectPolicy>(params)};
      case CachePolicy::smq:
      case CachePolicy::mq:
      case CachePolicy::cleaner:
        break;
    }
    return policies_.builtin_by_name_.find(to_string(kind_))->create(params);
  }

  Policies& policies_;
  CachePolicy kind_;
  std::string name_;
};

Policies::Policies(Bench& bench, const SystemSpec& system)
    : bench_{bench},
      released_{[this](OriginBlock block) {
        checkers::Findings findings;
        {
          const std::lock_guard lock{judging_};
          for (JudgedPolicy* const policy : alive_)
            policy->judge().released(block, findings);
        }
        bench_.tell(findings);
      }},
      cells_{released_},
      traffic_{system.block_sectors, system.cache.origin_blocks},
      watching_{bench.world.listen(&ear_)} {
  builtin_.add_to(builtin_by_name_);
  for (const CachePolicy kind : {CachePolicy::smq, CachePolicy::mq, CachePolicy::cleaner,
                                 CachePolicy::adversary, CachePolicy::direct})
    types_.push_back(std::make_unique<Type>(*this, kind));
}

Policies::~Policies() {
  bench_.world.listen(nullptr);
}

void Policies::add_to(engine::cache::PolicyRegistry& registry) {
  for (const auto& type : types_)
    registry.add(*type);
}

// The engine's own names stand for its own policies, without a judge.
std::string Policies::table_name(CachePolicy policy) {
  return fmt::format("judged-{}", to_string(policy));
}

const CachePolicyJudge* Policies::judge_of(const Policy& policy) noexcept {
  const auto* const judged = dynamic_cast<const JudgedPolicy*>(&policy);
  return judged != nullptr ? &judged->judge() : nullptr;
}

}   // namespace scenarios::cache
