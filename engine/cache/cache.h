// A cache: a slow device, the origin, with its busy blocks on a fast one. One object for each table
// that names one; what tables on one device share is the metadata.
//
// Who does what. Bios come in on callers' threads (map) and end on completion threads (end_io).
// What moves blocks, and all that changes metadata or modes, happens on one fiber, the cache's
// worker: rounds of deferred bios and of migrations whose I/O has ended, and the control actions of
// other fibers. So the worker needs no lock against itself. It waits for metadata I/O and flushes,
// and for nothing that needs it.
//
// The cell of an origin block is held from before the policy is asked about it until the bio is
// counted in all_io, or until the migration that the answer led to has been committed. A migration
// takes its cells and then waits for all_io. So while a block moves no I/O to it is in flight, and
// whoever comes meanwhile finds out where it went only when that is durable. Hence a flush needs no
// commit: nothing that was acknowledged rests on an uncommitted mapping.
//
// Under the cell:
//   - the dirty bit of a place is set before a write goes there alone, and told to the policy
//     before the cell is released; it is cleared with the place's mapping, or by a finished copy;
//   - the discard bit of a block is cleared before a write to it.
//
// Durability: the fast device is flushed before the commit of an insertion, the origin before that
// of a removal if anything has been copied back since its last flush, both before a commit with the
// mark of a clean shutdown.
//
// The code: cache.cc opening and closing, suspending, resuming; cache_map.cc what callers and
// completions do; cache_worker.cc the round; migration.cc promotions, demotions, invalidations;
// writeback.cc; writethrough.cc the writes that go to both devices; discard.cc; cache_mode.cc
// commits and failures; cache_messages.cc, cache_status.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/cache/bio_state.h"
#include "engine/cache/block_bits.h"
#include "engine/cache/cache_config.h"
#include "engine/cache/cache_options.h"
#include "engine/cache/hit_counters.h"
#include "engine/cache/metadata_registry.h"
#include "engine/cache/migration.h"
#include "engine/cache/policy.h"
#include "engine/env/block_device.h"
#include "engine/fiber/atomic.h"
#include "engine/fiber/work_queue.h"
#include "engine/io/bio_list.h"
#include "engine/io/object_pool.h"
#include "engine/io/on_worker.h"

namespace engine::cache {

class CacheView;

struct CacheParts {
  Executor& executor;
  io::OwnerDevice& owner;   // the mapped device that the cache is
  BlockDevice& fast;
  BlockDevice& origin;
  PolicyType& policy_type;
};

class Cache {
 public:
  // `policy` is of the given type, sized for the fast device and configured. Does not suspend.
  Cache(const CacheParts& parts, const CacheConfig& config, const CacheOptions& options,
        std::unique_ptr<Policy> policy, MetadataRef metadata);
  // Suspends. Suspended, or never resumed.
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // --- As io::Target has them.
  io::MapResult map(io::MappedBio& bio);
  io::EndResult end_io(io::MappedBio& bio, Errc& status);
  void presuspend();
  void presuspend_undo();
  void postsuspend();
  Result<void> preresume();
  void resume();
  Result<std::string> message(std::span<const std::string_view> args);
  std::string status(io::StatusCommit commit);
  [[nodiscard]] io::TargetLimits limits() const noexcept;

  [[nodiscard]] const CacheConfig& config() const noexcept { return config_; }
  [[nodiscard]] io::OwnerDevice& owner() const noexcept { return owner_; }
  // Its mappings are in memory: it has been the active table.
  [[nodiscard]] bool loaded() const noexcept { return loaded_; }

  // Numbers of whole blocks; a policy is made for these.
  [[nodiscard]] static std::uint32_t cache_blocks_of(const BlockDevice& fast,
                                                     std::uint32_t block_sectors) noexcept;

 private:
  friend class CacheView;
  class VictimLocker;

  // Where a block is, for those who waited in its cell.
  struct Place {
    enum class Kind : std::uint8_t { origin, cached, bypassed };   // bypassed: in passthrough
    Kind kind{};
    CacheBlock at{};
  };

  // --- cache.cc
  template <typename Action>
  auto on_worker(const char* name, Action&& action) {
    return io::on_worker(worker_, name, std::forward<Action>(action));
  }
  Result<void> load();
  Result<void> load_blocks();
  Result<void> check_devices() const;
  Result<void> begin_service();
  void abandon_resume();
  void shut_down_cleanly();
  [[nodiscard]] Result<std::unique_ptr<Policy>> make_policy();
  [[nodiscard]] PolicyIdentity identity() const noexcept;

  // --- cache_map.cc: any context.
  io::MapResult map_claimed(io::MappedBio& bio, CacheCell& cell);
  io::MapResult map_hit(io::MappedBio& bio, CacheCell& cell, CacheBlock at);
  void note_activity();
  [[nodiscard]] OriginBlock block_of(const io::MappedBio& bio) const noexcept {
    return OriginBlock{bio.mapped_sector.value() / config_.block_sectors};
  }
  [[nodiscard]] bool covers_block(const io::MappedBio& bio) const noexcept {
    return bio.op == BioOp::write && bio.sectors == config_.block_sectors;
  }
  [[nodiscard]] Promotion promotion_for(const io::MappedBio& bio) const;
  [[nodiscard]] DiscardBlock discard_block_of(OriginBlock block) const noexcept {
    return DiscardBlock{block.value() / blocks_per_discard_};
  }
  [[nodiscard]] static io::CellKey key_of(OriginBlock begin, std::uint64_t count = 1) noexcept {
    return {io::CellKind::origin_blocks, ThinId{0}, begin.value(), begin.value() + count};
  }
  // `memory` is given back when the answer is `inmate`.
  [[nodiscard]] io::Prison::Detained claim(const io::CellKey& key, io::MappedBio& bio,
                                           CacheCell& memory);
  void give_cell(CacheCell& cell);
  // Under the bio's cell: counts it and redirects it; it may be sent when the cell is released.
  void count_in(io::MappedBio& bio, const Place& place);
  void count_access(const io::MappedBio& bio, HitCounters::Kind kind) noexcept;
  void remap(io::MappedBio& bio, const Place& place) noexcept;
  void mark_dirty(OriginBlock block, CacheBlock at);
  void mark_clean(OriginBlock block, CacheBlock at);
  // Ends the claim; those of the inmates that can go along are sent, the others deferred.
  void release_along(CacheCell& cell, const Place& place);
  [[nodiscard]] bool goes_along(const io::MappedBio& bio, const Place& place) const;
  // Ends the claim; all inmates are deferred. The holder stays the caller's.
  void release_cell(CacheCell& cell);
  void defer(io::MappedBio& bio);
  void defer_all(io::BioList& bios);
  void defer_cell(CacheCell& cell);
  // Any context. Whoever hands something over by a list wakes the worker under the list's lock, and
  // touches nothing of the cache after that.
  void wake() { worker_.queue(round_); }
  void finish(io::MappedBio& bio, Errc status);
  io::EndResult flush_half_ended(io::MappedBio& bio, Errc status);

  // --- writethrough.cc: any context.
  // Under the cell of the bio's block, which is cached at `at` and clean. Takes the cell over. The
  // bio is sent to both devices, or is in the hands of the worker or of whoever writes to its
  // sectors before it.
  io::MapResult write_both(io::MappedBio& bio, CacheCell& cell, CacheBlock at);
  // True: the bio has been pointed at its first leg.
  [[nodiscard]] bool claim_sectors(io::MappedBio& bio, CacheCell& memory);
  void release_sectors(io::MappedBio& bio);
  io::EndResult leg_ended(io::MappedBio& bio, Errc status);
  [[nodiscard]] bool begin_legs(io::MappedBio& bio);   // worker; false: no memory

  // --- cache_worker.cc: worker only.
  void round();
  void tick();
  void arm_tick();
  void process_deferred();
  // False: there is no cell to be had; whoever gives one back wakes the worker.
  [[nodiscard]] bool process_bio(io::MappedBio& bio);
  [[nodiscard]] CacheCell* try_take_cell(io::BoundedPool<CacheCell>& from, CellHome home);
  void process_cell(CacheCell& cell);
  void serve_hit(CacheCell& cell, CacheBlock at);
  void send(CacheCell& cell, const Place& place);
  void fail_cell(CacheCell& cell, Errc status);
  // The holder is looked at anew, and no migration is made for it any more.
  void retry_cell(CacheCell& cell);
  [[nodiscard]] bool may_migrate() const;
  [[nodiscard]] bool spare_bandwidth() const noexcept;
  [[nodiscard]] bool ready_to_write();
  void signal_if_drained();

  // --- migration.cc: worker only, but where said.
  Migration& make_migration(Migration::Stage stage, OriginBlock block, CacheBlock place,
                            CacheCell& cell);
  void wait_for_io(Migration& migration);
  void process_migrations();
  void start(Migration& migration);
  void start_promotion(Migration& migration);
  void start_copy(Migration& migration);
  void overwrite(Migration& migration);
  static void handed_back(Migration& migration, Errc status);   // completion context
  void copy_ended(Migration& migration);
  Result<void> change_metadata(Migration& migration);
  Result<void> undo_change(Migration& migration);
  void committed(Migration& migration);
  void roll_back(Migration& migration);
  void end_migration(Migration& migration);
  void invalidate(CacheCell& cell, CacheBlock at);
  void evict(CacheCell& cell);
  void refuse_eviction(CacheCell& cell, Errc refusal);

  // --- writeback.cc: worker only.
  void write_back();
  [[nodiscard]] WritebackUrgency urgency() const noexcept;
  void written_back(Migration& migration);

  // --- discard.cc: worker only, but where said.
  void process_discard(io::MappedBio& bio);
  void continue_discard(DiscardWork& discard);
  void discard_quiesced(DiscardWork& discard);
  void discard_goes_on(DiscardWork& discard);
  [[nodiscard]] bool passes_discards_down() const noexcept;
  [[nodiscard]] bool cached_and_clean(OriginBlock block);
  void pass_down(DiscardWork& discard);
  io::EndResult passed_down(io::MappedBio& bio, Errc status);   // completion context
  void end_chunk(DiscardWork& discard, Errc status);
  void end_discard(io::MappedBio& bio, Errc status);

  // --- cache_mode.cc: worker only, but mode().
  [[nodiscard]] CacheMode mode() const { return mode_.peek(); }
  void set_mode(CacheMode mode, const char* reason);
  // A change of the metadata failed: back to the last commit, and no further change.
  void metadata_failed(const char* operation, const Error& error);
  void commit_batch();
  Result<void> commit();
  Result<void> flush_for_commit();

  // --- cache_messages.cc
  Result<void> set_config(std::string_view key, std::string_view value);
  Result<void> invalidate_range(std::string_view range);
  Result<void> invalidate_place(CacheBlock place);
  // --- cache_status.cc
  Result<std::string> status_fields();

  const CacheConfig config_;
  const CacheOptions options_;
  io::OwnerDevice& owner_;
  BlockDevice& fast_;
  BlockDevice& origin_;
  PolicyType& policy_type_;
  const std::uint32_t cache_blocks_;
  const std::uint64_t origin_blocks_;   // whole ones
  const DiscardGeometry discard_geometry_;
  const std::uint64_t blocks_per_discard_;
  SyncObject object_{ObjectKind::variable, "cache"};

  MetadataRef metadata_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<BlockBits<CacheBlock>> dirty_;
  std::unique_ptr<BlockBits<DiscardBlock>> discarded_;
  NoVictims no_victims_;

  // --- Read by every thread.
  HitCounters hits_;
  // The metadata is durably not that of a clean shutdown, so writes may come in.
  Atomic<bool> serving_{"cache.serving", false};
  Atomic<CacheMode> mode_{"cache.mode", CacheMode::write};
  Atomic<bool> active_{"cache.active", false};             // a bio came since the last tick
  Atomic<bool> origin_used_{"cache.origin_used", false};   // one for the origin, since then

  // --- In flight.
  io::Prison prison_;    // of origin blocks
  io::Prison sectors_;   // of writes to both devices
  io::BoundedPool<CacheCell> caller_cells_;
  io::BoundedPool<CacheCell> worker_cells_;
  io::BoundedPool<CacheCell> sector_cells_;
  io::BoundedPool<Migration> migrations_;
  io::BoundedPool<DiscardWork> discards_;
  io::DeferredSet all_io_{"cache.all_io"};
  io::Copier copier_;

  // --- What callers and completions hand to the worker.
  using CellList = boost::intrusive::list<
      io::Cell, boost::intrusive::member_hook<io::Cell, boost::intrusive::list_member_hook<>,
                                              &io::Cell::hook>>;
  mutable SpinLock lock_{"cache"};
  io::BioList deferred_bios_ ABSL_GUARDED_BY(lock_);
  CellList deferred_cells_ ABSL_GUARDED_BY(lock_);
  MigrationList quiesced_ ABSL_GUARDED_BY(lock_);          // the I/O before them has ended
  MigrationList copied_ ABSL_GUARDED_BY(lock_);            // their own I/O has ended
  io::BioList quiesced_discards_ ABSL_GUARDED_BY(lock_);   // or back from the origin

  // --- The worker's own.
  MigrationList uncommitted_;      // wait for the next commit
  CellList waiting_cells_;         // for a migration to become free
  io::BioList waiting_discards_;   // for another to end
  std::size_t migrations_live_ = 0;
  std::size_t evictions_asked_ = 0;   // by messages, under way
  std::uint64_t migration_threshold_;
  std::atomic<std::uint32_t> promotions_{0};
  std::atomic<std::uint32_t> demotions_{0};
  bool origin_unflushed_ = false;   // copies went there since its last flush
  bool origin_busy_ = false;        // in the last tick
  bool writeback_failed_ = false;   // since the last tick
  bool tick_armed_ = false;
  bool loaded_ = false;
  bool load_tried_ = false;
  Completion* drained_ = nullptr;                    // of who waits until nothing moves
  Atomic<bool> starved_{"cache.starved", false};     // the worker waits for a cell
  Atomic<bool> stopping_{"cache.stopping", false};   // about to be suspended: nothing new moves
  Atomic<bool> suspended_{"cache.suspended", true};

  // Last, so that the worker is gone before anything it uses.
  WorkQueue worker_;
  Work round_;
  DelayedWork tick_;
};

}   // namespace engine::cache
