// The status line of a cache, as Linux writes it, trailing space and all.
#include <fmt/format.h>

#include "engine/cache/cache.h"

namespace engine::cache {

std::string Cache::status(io::StatusCommit commit_first) {
  return on_worker("cache.status", [&]() -> std::string {
    // Nothing of ours is ever left uncommitted between two rounds.
    static_cast<void>(commit_first);
    if (mode() == CacheMode::fail) return "Fail";
    const auto fields = status_fields();
    return fields ? *fields : "Error";
  });
}

Result<std::string> Cache::status_fields() {
  ENGINE_TRY_ASSIGN(const std::uint64_t total, metadata_->metadata_blocks());
  ENGINE_TRY_ASSIGN(const std::uint64_t free, metadata_->free_metadata_blocks());
  ENGINE_TRY_ASSIGN(const bool needs_check, metadata_->needs_check());
  const Statistics hits = hits_.total();
  std::string line = fmt::format("{} {}/{} {} {}/{} {} {} {} {} {} {} {} ", kMetaBlockSectors,
                                 total - free, total, config_.block_sectors, policy_->residency(),
                                 cache_blocks_, hits.read_hits, hits.read_misses, hits.write_hits,
                                 hits.write_misses, demotions_.load(std::memory_order_relaxed),
                                 promotions_.load(std::memory_order_relaxed), dirty_->count());
  ENGINE_TRY_ASSIGN(const std::uint32_t version, metadata_->version());
  const bool metadata2 = version == 2;
  line += fmt::format("{} {}{} {}", 1 + (metadata2 ? 1 : 0) + (passes_discards_down() ? 0 : 1),
                      metadata2 ? "metadata2 " : "", to_string(config_.io_mode),
                      passes_discards_down() ? "" : "no_discard_passdown ");
  line += fmt::format("2 migration_threshold {} ", migration_threshold_);
  const std::vector<PolicySetting> settings = policy_->config();
  line += fmt::format("{} {} ", policy_->name(), 2 * settings.size());
  for (const PolicySetting& setting : settings)
    line += fmt::format("{} {} ", setting.key, setting.value);
  line += fmt::format("{} {} ", mode() == CacheMode::write ? "rw" : "ro",
                      needs_check ? "needs_check" : "-");
  return line;
}

}   // namespace engine::cache
