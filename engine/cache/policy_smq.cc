#include "engine/cache/policy_smq.h"

#include <algorithm>
#include <array>

namespace engine::cache {
namespace {

// In the order in which mq has always shown them.
constexpr std::array<std::string_view, 5> kMqSettings{
    "random_threshold", "sequential_threshold", "discard_promote_adjustment",
    "read_promote_adjustment", "write_promote_adjustment"};

}   // namespace

Decision SmqPolicy::map(const MapRequest& request, CellLocker& victims) {
  const SpinGuard guard{lock_};
  return smq_.map(request, victims);
}

void SmqPolicy::set_dirty(OriginBlock block) {
  const SpinGuard guard{lock_};
  smq_.set_dirty(block, true);
}

void SmqPolicy::clear_dirty(OriginBlock block) {
  const SpinGuard guard{lock_};
  smq_.set_dirty(block, false);
}

Result<void> SmqPolicy::load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) {
  const SpinGuard guard{lock_};
  return smq_.load_mapping(mapping, hint);
}

std::optional<OriginBlock> SmqPolicy::mapping_of(CacheBlock place) const {
  const SpinGuard guard{lock_};
  return smq_.mapping_of(place);
}

std::optional<CacheBlock> SmqPolicy::lookup(OriginBlock block) {
  const SpinGuard guard{lock_};
  return smq_.lookup(block);
}

std::uint32_t SmqPolicy::hint(CacheBlock place) const {
  const SpinGuard guard{lock_};
  return smq_.hint(place);
}

void SmqPolicy::remove_mapping(OriginBlock block) {
  const SpinGuard guard{lock_};
  smq_.remove_mapping(block);
}

void SmqPolicy::force_mapping(OriginBlock current, OriginBlock back) {
  const SpinGuard guard{lock_};
  smq_.force_mapping(current, back);
}

Result<void> SmqPolicy::remove_cblock(CacheBlock place, OriginBlock expected) {
  const SpinGuard guard{lock_};
  return smq_.remove_cblock(place, expected);
}

std::optional<Mapping> SmqPolicy::writeback_work(WritebackUrgency urgency) {
  const SpinGuard guard{lock_};
  return smq_.writeback_work(urgency);
}

void SmqPolicy::tick(Nanos now) {
  const SpinGuard guard{lock_};
  smq_.tick(now);
}

std::uint32_t SmqPolicy::residency() const {
  const SpinGuard guard{lock_};
  return smq_.residency();
}

Result<void> SmqPolicy::set_config(std::string_view /*key*/, std::uint64_t value) {
  return fail(Errc::invalid, value, "smq has no settings");
}

Result<void> MqPolicy::set_config(std::string_view key, std::uint64_t value) {
  if (std::find(kMqSettings.begin(), kMqSettings.end(), key) == kMqSettings.end())
    return fail(Errc::invalid, value, "mq has no such setting");
  return {};
}

std::vector<PolicySetting> MqPolicy::config() const {
  std::vector<PolicySetting> settings;
  settings.reserve(kMqSettings.size());
  for (const std::string_view key : kMqSettings)
    settings.push_back({key, 0});
  return settings;
}

}   // namespace engine::cache
