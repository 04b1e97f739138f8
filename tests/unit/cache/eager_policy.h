// A policy for tests that promotes whatever it is asked about, as soon as it may. Its settings:
//
//   promote 0           nothing enters any more
//   dirty_victims 1     takes dirty victims too, without asking for a writeback first
//   writeback 0         gives nothing to write back
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/cache/policy.h"
#include "engine/fiber/spin_lock.h"

namespace engine::cache {

class EagerPolicy final : public Policy {
 public:
  explicit EagerPolicy(const PolicyParams& params) : places_(params.cache_blocks) {
    for (std::uint32_t at = 0; at < params.cache_blocks; ++at)
      free_.insert(at);
  }

  Decision map(const MapRequest& request, CellLocker& victims) override {
    const SpinGuard guard{lock_};
    if (const auto at = find(request.block)) return Hit{CacheBlock{*at}};
    if (!promote_) return Miss{};
    if (request.migrate == Migrate::never) {
      if (request.wait == Wait::never) return WouldBlock{};
      return Miss{};
    }
    if (!free_.empty()) {
      const std::uint32_t at = *free_.begin();
      put(at, request.block, false);
      return New{CacheBlock{at}};
    }
    for (std::size_t tried = 0; tried < places_.size(); ++tried) {
      const std::uint32_t at = hand_;
      hand_ = (hand_ + 1) % static_cast<std::uint32_t>(places_.size());
      const Entry& entry = places_[at];
      if (entry.dirty && !dirty_victims_) continue;
      const OriginBlock victim = *entry.block;
      if (!victims.try_lock(victim)) continue;
      put(at, request.block, false);
      return Replace{victim, CacheBlock{at}};
    }
    return Miss{};
  }
  void set_dirty(OriginBlock block) override { mark(block, true); }
  void clear_dirty(OriginBlock block) override { mark(block, false); }
  Result<void> load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) override {
    const SpinGuard guard{lock_};
    if (hint) ++hints_seen;
    if (mapping.at.value() >= places_.size()) return fail(Errc::invalid, mapping.at.value());
    put(mapping.at.value(), mapping.origin, false);
    return {};
  }
  std::optional<OriginBlock> mapping_of(CacheBlock place) const override {
    const SpinGuard guard{lock_};
    return places_[place.value()].block;
  }
  std::optional<CacheBlock> lookup(OriginBlock block) override {
    const SpinGuard guard{lock_};
    const auto at = find(block);
    if (!at) return std::nullopt;
    return CacheBlock{*at};
  }
  std::uint32_t hint(CacheBlock place) const override { return place.value(); }
  void remove_mapping(OriginBlock block) override {
    const SpinGuard guard{lock_};
    const auto at = find(block);
    ENGINE_CHECK(at.has_value(), "block {} is not cached", block);
    empty(*at);
  }
  void force_mapping(OriginBlock current, OriginBlock back) override {
    const SpinGuard guard{lock_};
    const auto at = find(current);
    ENGINE_CHECK(at.has_value(), "block {} is not cached", current);
    put(*at, back, true);
  }
  Result<void> remove_cblock(CacheBlock place, OriginBlock expected) override {
    const SpinGuard guard{lock_};
    if (places_[place.value()].block != expected) return fail(Errc::not_found, place.value());
    empty(place.value());
    return {};
  }
  std::optional<Mapping> writeback_work(WritebackUrgency urgency) override {
    static_cast<void>(urgency);
    const SpinGuard guard{lock_};
    if (!writeback_) return std::nullopt;
    for (std::uint32_t at = 0; at < places_.size(); ++at) {
      if (!places_[at].dirty) continue;
      places_[at].dirty = false;
      return Mapping{*places_[at].block, CacheBlock{at}};
    }
    return std::nullopt;
  }
  void tick(Nanos now) override { static_cast<void>(now); }
  std::uint32_t residency() const override {
    const SpinGuard guard{lock_};
    std::uint32_t mapped = 0;
    for (const Entry& entry : places_)
      mapped += entry.block ? 1U : 0U;
    return mapped;
  }
  Result<void> set_config(std::string_view key, std::uint64_t value) override {
    const SpinGuard guard{lock_};
    if (key == "promote") {
      promote_ = value != 0;
    } else if (key == "dirty_victims") {
      dirty_victims_ = value != 0;
    } else if (key == "writeback") {
      writeback_ = value != 0;
    } else {
      return fail(Errc::invalid, 0, "no such setting");
    }
    return {};
  }
  std::vector<PolicySetting> config() const override { return {{"promote", promote_ ? 1U : 0U}}; }
  std::string_view name() const noexcept override { return "eager"; }
  PolicyVersion version() const noexcept override { return {1, 0, 0}; }
  std::uint32_t hint_size() const noexcept override { return 4; }

  // What the policy thinks of a place.
  [[nodiscard]] bool thinks_dirty(CacheBlock place) const {
    const SpinGuard guard{lock_};
    return places_[place.value()].dirty;
  }
  std::uint32_t hints_seen = 0;

 private:
  struct Entry {
    std::optional<OriginBlock> block;
    bool dirty = false;
  };
  [[nodiscard]] std::optional<std::uint32_t> find(OriginBlock block) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    const auto found = where_.find(block.value());
    if (found == where_.end()) return std::nullopt;
    return found->second;
  }
  // Whatever stood there leaves.
  void put(std::uint32_t at, OriginBlock block, bool dirty) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    empty(at);
    places_[at] = {block, dirty};
    where_[block.value()] = at;
    free_.erase(at);
  }
  void empty(std::uint32_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    if (places_[at].block) where_.erase(places_[at].block->value());
    places_[at] = {};
    free_.insert(at);
  }
  void mark(OriginBlock block, bool dirty) {
    const SpinGuard guard{lock_};
    if (const auto at = find(block)) places_[*at].dirty = dirty;
  }

  mutable SpinLock lock_{"policy.eager"};
  std::vector<Entry> places_ ABSL_GUARDED_BY(lock_);
  std::set<std::uint32_t> free_ ABSL_GUARDED_BY(lock_);
  std::map<std::uint64_t, std::uint32_t> where_ ABSL_GUARDED_BY(lock_);
  std::uint32_t hand_ ABSL_GUARDED_BY(lock_) = 0;
  bool promote_ = true;
  bool dirty_victims_ = false;
  bool writeback_ = true;
};

class EagerPolicyType final : public PolicyType {
 public:
  std::string_view name() const noexcept override { return "eager"; }
  Result<std::unique_ptr<Policy>> create(const PolicyParams& params) override {
    return std::unique_ptr<Policy>{new EagerPolicy{params}};
  }
};

}   // namespace engine::cache
