#include "engine/cache/cache_target.h"

#include <fmt/format.h>

#include "engine/cache/cache_table.h"
#include "engine/cache/targets.h"

namespace engine::cache {
namespace {

Result<io::DeviceRef> open_device(const io::TargetContext& context, std::string_view name,
                                  const char* refusal) {
  auto opened = context.devices.open(name);
  if (!opened) return fail(opened.error().code, opened.error().where, refusal);
  return opened;
}

}   // namespace

CacheTarget::CacheTarget(CacheTargets& targets, const io::TargetArgs& args, Devices devices,
                         std::unique_ptr<Cache> cache)
    : Target{args.begin, args.sectors},
      targets_{targets},
      devices_{std::move(devices)},
      cache_{std::move(cache)} {
  targets_.add(*cache_);
}

CacheTarget::~CacheTarget() {
  targets_.remove(*cache_);
}

Result<CacheTarget::Devices> CacheTarget::open_devices(const io::TargetContext& context,
                                                       const io::TargetArgs& args) {
  if (args.words.size() < kDeviceWords) return fail(Errc::invalid, 0, "Insufficient args");
  const std::string_view metadata = args.words[0];
  const std::string_view fast = args.words[1];
  const std::string_view origin = args.words[2];
  if (metadata == fast || metadata == origin || fast == origin)
    return fail(Errc::invalid, 0, "the three devices of a cache must be different ones");
  Devices devices;
  ENGINE_TRY_ASSIGN(devices.metadata,
                    open_device(context, metadata, "Error opening metadata device"));
  ENGINE_TRY_ASSIGN(devices.fast, open_device(context, fast, "Error opening cache device"));
  ENGINE_TRY_ASSIGN(devices.origin, open_device(context, origin, "Error opening origin device"));
  return devices;
}

Result<void> CacheTarget::check_sizes(const Devices& devices, const CacheConfig& config) {
  if (config.sectors > devices.origin.device().limits().sectors)
    return fail(Errc::invalid, config.sectors, "Device size larger than cached device");
  if (config.block_sectors > devices.fast.device().limits().sectors)
    return fail(Errc::invalid, config.block_sectors,
                "Data block size is larger than the cache device");
  return {};
}

// Before anything is read of them, and in particular before a blank device is made metadata.
Result<void> CacheTarget::claim_devices(const io::TargetContext& context, Devices& devices) {
  const io::DeviceRef& metadata = devices.metadata;
  ENGINE_TRY_ASSIGN(devices.claims[0],
                    context.claim(metadata, io::DeviceRole::cache_metadata, metadata));
  ENGINE_TRY_ASSIGN(devices.claims[1],
                    context.claim(devices.fast, io::DeviceRole::cache_fast, metadata));
  ENGINE_TRY_ASSIGN(devices.claims[2],
                    context.claim(devices.origin, io::DeviceRole::cache_origin, metadata));
  return {};
}

// The order of Linux: a table that names no policy of ours opens no metadata.
Result<std::unique_ptr<io::Target>> CacheTarget::create(CacheTargets& targets,
                                                        const io::TargetContext& context,
                                                        const io::TargetArgs& args) {
  ENGINE_TRY_ASSIGN(Devices devices, open_devices(context, args));
  ENGINE_TRY_ASSIGN(const CacheConfig config, parse_table(args.words, args.sectors));
  ENGINE_TRY(check_sizes(devices, config));
  PolicyType* const type = targets.policies().find(config.policy);
  if (type == nullptr) return fail(Errc::invalid, 0, "Error creating cache's policy");
  const std::uint32_t cache_blocks =
      Cache::cache_blocks_of(devices.fast.device(), config.block_sectors);
  auto policy = type->create({.cache_blocks = cache_blocks,
                              .origin_blocks = config.sectors / config.block_sectors,
                              .block_sectors = config.block_sectors});
  if (!policy) return fail(policy.error().code, 0, "Error creating cache's policy");
  for (const auto& [key, value] : config.settings) {
    if (!(*policy)->set_config(key, value))
      return fail(Errc::invalid, 0, "Error setting cache policy's config values");
  }
  ENGINE_TRY(claim_devices(context, devices));
  const CacheOptions& options = targets.options();
  ENGINE_TRY_ASSIGN(MetadataRef metadata,
                    targets.metadata().open(devices.metadata.device(),
                                            {.data_block_sectors = config.block_sectors,
                                             .version = config.metadata2 ? 2U : 1U,
                                             .cache_blocks = cache_blocks,
                                             .fan_out = options.metadata_fan_out,
                                             .array_entries = options.metadata_array_entries,
                                             .memory_blocks = options.metadata_memory_blocks}));
  ENGINE_TRY_ASSIGN(const bool needs_check, metadata->needs_check());
  if (needs_check || metadata->read_only())
    return fail(Errc::read_only, 0,
                "Unable to get write access to metadata, please check/repair metadata.");
  const CacheParts parts{.executor = context.env.executor,
                         .owner = context.owner,
                         .fast = devices.fast.device(),
                         .origin = devices.origin.device(),
                         .policy_type = *type};
  auto cache =
      std::make_unique<Cache>(parts, config, options, *std::move(policy), std::move(metadata));
  return std::unique_ptr<io::Target>{
      new CacheTarget{targets, args, std::move(devices), std::move(cache)}};
}

void CacheTarget::presuspend(io::SuspendKind kind) {
  // No bio waits for anything that may not come, so a no-flush suspend has none to hand back.
  static_cast<void>(kind);
  cache_->presuspend();
}

std::string CacheTarget::table_line() const {
  return fmt::format("{} {} {} {}", devices_.metadata.name(), devices_.fast.name(),
                     devices_.origin.name(), cache_->config().words);
}

void CacheTarget::for_each_device(const std::function<void(const io::DeviceRef&)>& visit) const {
  visit(devices_.origin);
  visit(devices_.fast);
}

}   // namespace engine::cache
