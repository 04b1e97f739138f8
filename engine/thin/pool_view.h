// A pool as checkers and tests see it: what it holds at the moment, without changing anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/thin/bio_state.h"
#include "engine/thin/pool_mode.h"

namespace engine::thin {

struct PoolCounts {
  std::size_t active_thins = 0;
  std::size_t queued_bios = 0;         // deferred to the worker, or waiting for space
  std::size_t waiting_for_space = 0;   // of these
  std::size_t cells_held = 0;
  std::size_t cells_in_use = 0;   // memory
  std::size_t mappings = 0;
  std::size_t passdowns = 0;
  std::size_t discard_chunks = 0;
  std::size_t waiting_discards = 0;
  std::size_t waiting_flushes = 0;
  std::uint64_t all_io = 0;
  std::uint64_t shared_reads = 0;
  std::uint64_t copies = 0;

  friend bool operator==(const PoolCounts&, const PoolCounts&) = default;
};

class PoolView {
 public:
  explicit PoolView(Pool& pool) noexcept : pool_{pool} {}

  // Any context; the first two have no scheduling points.
  [[nodiscard]] PoolMode mode() const noexcept;
  [[nodiscard]] bool error_if_no_space() const noexcept;
  // The two below, and all that counts: exact when the pool is quiescent or its worker asks.
  [[nodiscard]] PoolCounts counts() const;
  // Data blocks with one reference more than mappings account for, because a passdown holds it.
  [[nodiscard]] std::vector<DataRange> pinned() const;

  // Suspend.
  // What is in use that should not be, when no bio is in flight. Empty: nothing is. Asks on the
  // worker, which has its tick also when nothing is under way.
  [[nodiscard]] std::vector<std::string> leaks() const;
  // Was the pool told to wait for data space as long as it takes, has it none that it could give
  // or get by itself, and is nothing under way but writes that wait for it? Then only space,
  // another table, a suspend or whoever stops the queueing ends that. Asks on the worker as well,
  // if it has to.
  [[nodiscard]] bool waits_only_for_space() const;
  [[nodiscard]] Result<std::uint64_t> free_data_blocks() const;
  [[nodiscard]] Result<std::uint64_t> data_blocks() const;
  [[nodiscard]] Result<std::uint64_t> free_metadata_blocks() const;
  [[nodiscard]] Result<std::uint32_t> data_ref_count(DataBlock block) const;
  [[nodiscard]] Result<bool> needs_check() const;

 private:
  Pool& pool_;
};

}   // namespace engine::thin
