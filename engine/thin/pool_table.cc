// The constructor of thin-pool: what a table line may say, and in which words it is refused.
#include <array>

#include "engine/thin/parse.h"
#include "engine/thin/pool.h"
#include "engine/thin/pool_target.h"

namespace engine::thin {
namespace {

constexpr std::size_t kFixedArgs = 4;

// One more than the kernel, which accepts four of the five that it knows.
constexpr std::uint64_t kFeaturesMax = 5;

Failure bad_table(const char* what) {
  return fail(Errc::invalid, 0, what);
}

Result<PoolFeatures> parse_features(std::span<const std::string_view> words) {
  PoolFeatures features;
  if (words.empty()) return features;
  const auto count = parse_number(words[0]);
  if (!count || *count > kFeaturesMax || *count != words.size() - 1) {
    return bad_table("Invalid number of pool feature arguments");
  }
  for (const std::string_view word : words.subspan(1)) {
    if (same_name(word, "skip_block_zeroing")) {
      features.zero_new_blocks = false;
    } else if (same_name(word, "ignore_discard")) {
      features.discard = DiscardPolicy::ignore;
    } else if (same_name(word, "no_discard_passdown")) {
      features.says_no_passdown = true;
      if (features.discard == DiscardPolicy::passdown) {
        features.discard = DiscardPolicy::no_passdown;
      }
    } else if (same_name(word, "read_only")) {
      features.read_only = true;
    } else if (same_name(word, "error_if_no_space")) {
      features.error_if_no_space = true;
    } else {
      return bad_table("Unrecognised pool feature requested");
    }
  }
  return features;
}

Result<io::DeviceRef> open_device(const io::TargetContext& context, std::string_view name,
                                  const char* refusal) {
  auto opened = context.devices.open(name);
  if (!opened) return fail(opened.error().code, opened.error().where, refusal);
  return opened;
}

Result<std::uint32_t> parse_block_sectors(std::string_view word) {
  const auto sectors = parse_number(word);
  if (!sectors || *sectors < kDataBlockSectorsMin || *sectors > kDataBlockSectorsMax ||
      *sectors % kDataBlockSectorsMin != 0) {
    return bad_table("Invalid block size");
  }
  return static_cast<std::uint32_t>(*sectors);
}

}   // namespace

// Blocks that are not there would be given out, and where the metadata has recorded them, no table
// that fits could ever follow. Linux asks for every target alike, in dm-table.
Result<void> PoolTarget::check_size(const io::DeviceRef& data, std::uint64_t sectors) {
  const std::uint64_t present = data.device().limits().sectors;
  if (sectors > present) return fail(Errc::invalid, present, "data device too small for target");
  return {};
}

// Before anything is read of them, and in particular before a blank device is made metadata.
Result<void> PoolTarget::claim_devices(const io::TargetContext& context, Devices& devices) {
  const io::DeviceRef& metadata = devices.metadata;
  ENGINE_TRY_ASSIGN(devices.claims[0],
                    context.claim(metadata, io::DeviceRole::pool_metadata, metadata));
  ENGINE_TRY_ASSIGN(devices.claims[1],
                    context.claim(devices.data, io::DeviceRole::pool_data, metadata));
  return {};
}

Result<std::unique_ptr<io::Target>> PoolTarget::create(PoolRegistry& pools,
                                                       const io::TargetContext& context,
                                                       const io::TargetArgs& args) {
  const auto words = args.words;
  if (words.size() < kFixedArgs) return bad_table("Invalid argument count");
  if (words[0] == words[1]) return bad_table("Error setting metadata or data device");
  PoolConfig config;
  ENGINE_TRY_ASSIGN(config.features, parse_features(words.subspan(kFixedArgs)));
  Devices devices;
  ENGINE_TRY_ASSIGN(devices.metadata,
                    open_device(context, words[0], "Error opening metadata block device"));
  ENGINE_TRY_ASSIGN(devices.data, open_device(context, words[1], "Error getting data device"));
  ENGINE_TRY_ASSIGN(const std::uint32_t block_sectors, parse_block_sectors(words[2]));
  const auto low_water = parse_number(words[3]);
  if (!low_water) return bad_table("Invalid low water mark");
  config.low_water_blocks = *low_water;
  config.data_blocks = args.sectors / block_sectors;
  config.table = pools.next_table();
  const PoolOpen request{.owner = context.owner,
                         .metadata = devices.metadata.device(),
                         .data = devices.data.device(),
                         .block_sectors = block_sectors,
                         .features = config.features};
  ENGINE_TRY(pools.check(request));   // in the words of Linux
  ENGINE_TRY(check_size(devices.data, args.sectors));
  ENGINE_TRY(claim_devices(context, devices));
  ENGINE_TRY_ASSIGN(PoolRef pool, pools.open(context.env.executor, request));
  return std::unique_ptr<io::Target>{
      new PoolTarget{args, config, std::move(devices), std::move(pool)}};
}

}   // namespace engine::thin
