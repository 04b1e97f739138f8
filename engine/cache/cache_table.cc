#include "engine/cache/cache_table.h"

#include <algorithm>

#include "engine/cache/blocks.h"
#include "engine/io/words.h"

namespace engine::cache {
namespace {

constexpr std::uint64_t kFeaturesMax = 3;
constexpr std::uint64_t kSettingsMax = 1024;
// A threshold below one block would forbid all migrations to whoever names none.
constexpr std::uint64_t kMigrationsAtOnceMin = 8;

Failure bad_table(const char* what) {
  return fail(Errc::invalid, 0, what);
}

// Takes words from the front, as far as there are any.
class Words {
 public:
  explicit Words(std::span<const std::string_view> words) noexcept : rest_{words} {}
  [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }
  [[nodiscard]] std::string_view take() noexcept {
    const std::string_view word = rest_.front();
    rest_ = rest_.subspan(1);
    return word;
  }

 private:
  std::span<const std::string_view> rest_;
};

Result<void> parse_features(Words& words, CacheConfig& config) {
  if (words.left() == 0) return bad_table("Insufficient args");
  const auto count = io::parse_number(words.take());
  if (!count || *count > kFeaturesMax)
    return bad_table("Invalid number of cache feature arguments");
  if (*count > words.left()) return bad_table("not enough arguments");
  bool mode_named = false;
  const auto name_mode = [&](IoMode mode) {
    config.io_mode = mode;
    return !std::exchange(mode_named, true);
  };
  for (std::uint64_t i = 0; i < *count; ++i) {
    const std::string_view word = words.take();
    bool once = true;
    if (io::same_name(word, "writeback")) {
      once = name_mode(IoMode::writeback);
    } else if (io::same_name(word, "writethrough")) {
      once = name_mode(IoMode::writethrough);
    } else if (io::same_name(word, "passthrough")) {
      once = name_mode(IoMode::passthrough);
    } else if (io::same_name(word, "metadata2")) {
      config.metadata2 = true;
    } else if (io::same_name(word, "no_discard_passdown")) {
      config.no_discard_passdown = true;
    } else {
      return bad_table("Unrecognised cache feature requested");
    }
    if (!once) return bad_table("Duplicate cache io_mode features requested");
  }
  return {};
}

Result<void> parse_policy(Words& words, CacheConfig& config) {
  if (words.left() < 2) return bad_table("Insufficient args");
  config.policy = words.take();
  const auto count = io::parse_number(words.take());
  if (!count || *count > kSettingsMax) return bad_table("Invalid number of policy arguments");
  if (*count != words.left()) return bad_table("Invalid number of policy arguments");
  if (*count % 2 != 0)
    return bad_table(
        "Odd number of policy arguments given but they should be <key> <value> pairs.");
  while (words.left() != 0) {
    const std::string_view key = words.take();
    const auto value = io::parse_number(words.take());
    if (!value) return bad_table("Error setting cache policy's config values");
    if (io::same_name(key, "migration_threshold")) {
      config.migration_threshold = *value;
    } else {
      config.settings.emplace_back(key, *value);
    }
  }
  return {};
}

}   // namespace

Result<CacheConfig> parse_table(std::span<const std::string_view> words, std::uint64_t sectors) {
  CacheConfig config;
  config.sectors = sectors;
  if (words.size() <= kDeviceWords) return bad_table("Insufficient args");
  for (const std::string_view word : words.subspan(kDeviceWords)) {
    if (!config.words.empty()) config.words += ' ';
    config.words += word;
  }
  Words rest{words.subspan(kDeviceWords)};
  const auto block_sectors = io::parse_number(rest.take());
  if (!block_sectors || !valid_data_block_sectors(*block_sectors))
    return bad_table("Invalid data block size");
  config.block_sectors = static_cast<std::uint32_t>(*block_sectors);
  config.migration_threshold =
      std::max(config.migration_threshold, kMigrationsAtOnceMin * config.block_sectors);
  ENGINE_TRY(parse_features(rest, config));
  ENGINE_TRY(parse_policy(rest, config));
  return config;
}

}   // namespace engine::cache
