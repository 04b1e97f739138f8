// A cache as checkers and tests see it: what it holds at the moment, without changing anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/cache/cache_config.h"
#include "engine/cache/metadata.h"
#include "engine/cache/migration.h"
#include "engine/cache/policy.h"

namespace engine::cache {

class Cache;

struct CacheCounts {
  std::size_t queued_bios = 0;    // deferred to the worker
  std::size_t queued_cells = 0;   // and cells
  std::size_t cells_in_use = 0;   // memory
  std::size_t migrations = 0;
  std::size_t discards = 0;
  std::uint64_t all_io = 0;
  std::uint64_t copies = 0;

  friend bool operator==(const CacheCounts&, const CacheCounts&) = default;
};

class CacheView {
 public:
  explicit CacheView(Cache& cache) noexcept : cache_{cache} {}

  // Any context, no scheduling points.
  [[nodiscard]] CacheMode mode() const noexcept;
  [[nodiscard]] const CacheConfig& config() const noexcept;
  [[nodiscard]] std::uint32_t cache_blocks() const noexcept;
  [[nodiscard]] std::uint64_t origin_blocks() const noexcept;   // whole ones
  [[nodiscard]] DiscardGeometry discard_geometry() const noexcept;
  // Of the core, which rules.
  [[nodiscard]] bool dirty(CacheBlock place) const noexcept;
  [[nodiscard]] std::uint64_t dirty_count() const noexcept;
  [[nodiscard]] bool discarded(OriginBlock block) const noexcept;
  // The metadata is durably not that of a clean shutdown.
  [[nodiscard]] bool serving() const noexcept;
  [[nodiscard]] Statistics hits() const noexcept;
  [[nodiscard]] std::uint32_t promotions() const noexcept;
  [[nodiscard]] std::uint32_t demotions() const noexcept;

  // While the cache runs, too; without what its worker has put aside for itself.
  [[nodiscard]] CacheCounts counts() const;
  // What follows: when the cache is quiescent.
  // As the policy has them, ascending by place.
  [[nodiscard]] std::vector<Mapping> mappings() const;
  [[nodiscard]] const Policy& policy() const noexcept;
  // What is in use that should not be, when no bio is in flight and no block moves. Empty: nothing.
  [[nodiscard]] std::vector<std::string> leaks() const;
  // What of the core, its counts and the policy does not agree. Empty: nothing.
  [[nodiscard]] std::vector<std::string> miscounts() const;

  // Suspends.
  [[nodiscard]] Result<bool> needs_check() const;

 private:
  Cache& cache_;
};

}   // namespace engine::cache
