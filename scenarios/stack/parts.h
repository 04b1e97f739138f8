// A stack's workload as each of its layers sees it, and the names and places that tie the layers
// together.
#pragma once

#include <cstdint>

#include "scenarios/workload.h"

namespace scenarios::stack {

// The disk of the cache's metadata; the pool's is "metadata", as where there is nothing else.
inline constexpr const char* kCacheMetadata = "cache_metadata";
// Where on the data disk the linear device that may stand on it begins.
inline constexpr std::uint64_t kLinearOffset = 8;

struct Parts {
  explicit Parts(const Workload& whole);

  Workload thin;
  Workload cache;   // its origin is thin 0, or what the pool has for data
};

}   // namespace scenarios::stack
