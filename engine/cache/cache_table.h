// A cache's table line: what it may say, and in which words it is refused.
//
//   <metadata> <fast> <origin> <block sectors> <#features> <feature>*
//   <policy> <#arguments> <key value>*
#pragma once

#include <span>
#include <string_view>

#include "engine/base/result.h"
#include "engine/cache/cache_config.h"

namespace engine::cache {

inline constexpr std::size_t kDeviceWords = 3;

// All but the devices. `words`: of the target, after its name; `sectors`: its length.
[[nodiscard]] Result<CacheConfig> parse_table(std::span<const std::string_view> words,
                                              std::uint64_t sectors);

}   // namespace engine::cache
