// Empties a cache of what is dirty: nothing is promoted, everything dirty is written back at once,
// oldest first. For a cache that is about to shrink or to go.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "engine/cache/policy.h"
#include "engine/cache/smq_entries.h"
#include "engine/cache/smq_hash.h"
#include "engine/fiber/spin_lock.h"

namespace engine::cache {

// Invariants: the entry of a mapped place is in the table and on the dirty or the clean list, by
// its flag; its index is the place. A free one is in neither.
class CleanerPolicy final : public Policy {
 public:
  explicit CleanerPolicy(const PolicyParams& params);

  [[nodiscard]] Decision map(const MapRequest& request, CellLocker& victims) override;
  void set_dirty(OriginBlock block) override;
  void clear_dirty(OriginBlock block) override;
  Result<void> load_mapping(const Mapping& mapping, std::optional<std::uint32_t> hint) override;
  [[nodiscard]] std::optional<OriginBlock> mapping_of(CacheBlock place) const override;
  [[nodiscard]] std::optional<CacheBlock> lookup(OriginBlock block) override;
  [[nodiscard]] std::uint32_t hint(CacheBlock /*place*/) const override { return 0; }
  void remove_mapping(OriginBlock block) override;
  void force_mapping(OriginBlock current, OriginBlock back) override;
  Result<void> remove_cblock(CacheBlock place, OriginBlock expected) override;
  [[nodiscard]] std::optional<Mapping> writeback_work(WritebackUrgency urgency) override;
  void tick(Nanos /*now*/) override {}
  [[nodiscard]] std::uint32_t residency() const override;
  Result<void> set_config(std::string_view key, std::uint64_t value) override;
  [[nodiscard]] std::vector<PolicySetting> config() const override { return {}; }
  [[nodiscard]] std::string_view name() const noexcept override { return "cleaner"; }
  [[nodiscard]] PolicyVersion version() const noexcept override { return {2, 0, 0}; }
  [[nodiscard]] std::uint32_t hint_size() const noexcept override { return 0; }

 private:
  void mark(OriginBlock block, bool dirty) ABSL_LOCKS_EXCLUDED(lock_);
  void add(smq::EntryIndex index, OriginBlock block, bool dirty)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void drop(smq::EntryIndex index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] smq::EntryList& list_of(smq::EntryIndex index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::optional<OriginBlock> standing_in(CacheBlock place) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  mutable SpinLock lock_{"cache.policy"};
  smq::EntrySpace space_ ABSL_GUARDED_BY(lock_);
  smq::EntryPool pool_ ABSL_GUARDED_BY(lock_);
  smq::BlockTable table_ ABSL_GUARDED_BY(lock_);
  smq::EntryList clean_ ABSL_GUARDED_BY(lock_);
  smq::EntryList dirty_ ABSL_GUARDED_BY(lock_);
};

}   // namespace engine::cache
