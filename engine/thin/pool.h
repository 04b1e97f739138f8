// A thin pool: the data blocks of one data device and the metadata that says whose they are.
//
// Who does what. Bios come in on callers' threads (ThinDevice::map) and end on completion threads.
// All that changes metadata or the pool's mode happens on one fiber, the pool's worker: rounds of
// deferred bios and finished slow-path work, and the control actions of other fibers, which run
// there through on_worker(). So the worker needs no lock against itself, and a lookup of its own
// stays true until it changes something. It waits for metadata I/O and for nothing that needs it.
//
// A claim on a virtual block (a prison cell) is held from the look at its mapping until the bio is
// counted in all_io, or until what the bio needs has been done to the mapping. Unmapping claims the
// range and then waits for all_io.
//
// The code: pool.cc opening, closing, suspending; pool_mode.cc the mode machine and commits;
// pool_worker.cc the round; provision.cc, break_sharing.cc, discard.cc, external_origin.cc the slow
// paths; pool_messages.cc, pool_status.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/intrusive/list.hpp>

#include "engine/env/block_device.h"
#include "engine/fiber/work_queue.h"
#include "engine/io/copier.h"
#include "engine/io/deferred_set.h"
#include "engine/io/object_pool.h"
#include "engine/io/on_worker.h"
#include "engine/io/prison.h"
#include "engine/thin/active_thins.h"
#include "engine/thin/bio_state.h"
#include "engine/thin/metadata.h"
#include "engine/thin/pool_features.h"
#include "engine/thin/pool_mode.h"
#include "engine/thin/pool_registry.h"

namespace engine::thin {

class PoolView;

// A mode and how the worker treats things in it: one object, so that nobody ever sees the mode of
// one and the handlers of another.
struct ModeHandlers {
  PoolMode mode;
  void (Pool::*cell)(ThinDevice& thin, PoolCell& cell);
  void (Pool::*discard)(ThinDevice& thin, io::MappedBio& bio);
  void (Pool::*quiesced_discard)(DiscardChunk& chunk);
  void (Pool::*prepared_mapping)(NewMapping& mapping);
  void (Pool::*ended_passdown)(Passdown& passdown);
};

class Pool final : private PreCommitHook {
 public:
  // Suspends. Opens or formats the metadata. The devices outlive the pool.
  static Result<std::unique_ptr<Pool>> open(Executor& executor, Rcu& rcu, const PoolOpen& request,
                                            const PoolOptions& options);
  // close() first.
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // Suspends. Stops the timers and the worker, commits.
  void close();

  // --- The pool's table. All suspend.
  void presuspend();
  void presuspend_undo();
  void postsuspend();
  Result<void> preresume(const PoolConfig& config);
  void resume();
  // error_if_no_space from now on, whatever the tables say; what waits for space ends.
  void stop_queueing();
  Result<std::string> message(std::span<const std::string_view> args);
  std::string status(io::StatusCommit commit);
  std::string thin_status(const ThinDevice& thin);

  // --- Thins. Suspend.
  Result<OpenThin*> open_thin(ThinId id) { return metadata_->open_device(id); }
  void close_thin(OpenThin& thin) { metadata_->close_device(thin); }
  // Hands queued bios back to the core, now and until stop_requeueing().
  void start_requeueing(ThinDevice& thin);
  // Ends what waits for space, now and until stop_requeueing(), unless a timeout will.
  void start_draining(ThinDevice& thin);
  void stop_requeueing(ThinDevice& thin);

  // --- The fast path. Any context.
  [[nodiscard]] PoolMode mode() const { return handlers_.load()->mode; }
  [[nodiscard]] PoolMode mode_peek() const noexcept { return handlers_.peek()->mode; }
  Result<std::optional<Mapping>> lookup_cached(const OpenThin& thin, VirtBlock block) {
    return metadata_->lookup_cached(thin, block);
  }
  [[nodiscard]] PoolCell* try_take_caller_cell() {
    return caller_cells_.try_take(std::source_location::current(), CellHome::caller);
  }
  // `memory` is given back when the answer is `inmate`.
  [[nodiscard]] io::Prison::Detained claim(const io::CellKey& key, io::MappedBio& bio,
                                           PoolCell& memory);
  // Ends the claim; the inmates go to the worker, the holder stays the caller's.
  void release_cell(ThinDevice& thin, PoolCell& cell);
  void count_in(io::MappedBio& bio, const Mapping& mapping);
  void remap(io::MappedBio& bio, DataBlock block) const noexcept;
  // Any context. Leaves the sets and ends the bio.
  void finish(io::MappedBio& bio, Errc status);
  void leave_sets(io::MappedBio& bio);
  // Any context. Whoever hands something over by a list wakes the worker under the list's lock, and
  // touches nothing of the pool after that.
  void wake() { worker_.queue(round_); }
  // Completion context: the bio that writes a new block has come back.
  static void bio_written(NewMapping& mapping, Errc status);

  // Where nothing is mapped: must the bio get a block, or is it served without?
  [[nodiscard]] bool needs_block(const ThinDevice& thin, const io::MappedBio& bio) const noexcept;

  [[nodiscard]] io::OwnerDevice& owner() const noexcept { return owner_; }
  [[nodiscard]] BlockDevice& metadata_device() const noexcept { return metadata_device_; }
  [[nodiscard]] BlockDevice& data_device() const noexcept { return data_; }
  [[nodiscard]] std::uint32_t block_sectors() const noexcept { return block_sectors_; }
  [[nodiscard]] ActiveThins& active_thins() noexcept { return active_; }
  // As the first table says; no later one may change it.
  [[nodiscard]] bool ignores_discards() const noexcept { return ignores_discards_; }
  [[nodiscard]] DiscardPolicy discard_policy() const noexcept { return discard_policy_; }
  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }
  [[nodiscard]] RefCount& table_refs() noexcept { return refs_; }

 private:
  friend class PoolView;
  friend class PoolRegistry;

  Pool(Executor& executor, Rcu& rcu, const PoolOpen& request, const PoolOptions& options,
       std::unique_ptr<Metadata> metadata);

  // --- pool.cc
  // Runs `action()` on the worker and returns what it returns. Suspends.
  template <typename Action>
  auto on_worker(const char* name, Action&& action);
  Result<void> before_commit() override;
  void bind(const PoolConfig& config);
  Result<void> resize_devices();
  Result<void> resize_data();
  Result<void> resize_metadata();

  // --- pool_mode.cc: worker only.
  void set_mode(PoolMode mode, const char* reason);
  void install_mode(PoolMode mode, const char* reason);
  // A change of the metadata failed: back to the last commit, and no further change.
  void metadata_failed(const char* operation, const Error& error);
  // A lookup did. Damage changes the mode at the end of the worker's round.
  void lookup_failed(const Error& error) noexcept { damaged_ |= error.code == Errc::corrupt; }
  void metadata_is_damaged();
  Result<void> commit();
  // A failure is the caller's to deal with, but for the mode's refusal, read_only, and where
  // data_flush_failed_ says so: all is as it was then.
  Result<void> try_commit();
  Result<void> commit_if_changed();
  // To be asked before each change. False: the mode has come to forbid it.
  [[nodiscard]] bool ready_to_change();
  [[nodiscard]] bool metadata_is_tight();
  void check_data_space();
  void check_metadata_space();
  void check_low_water(std::uint64_t free_blocks);
  void check_metadata_low_water();
  void no_space_timed_out();
  [[nodiscard]] bool wants_error_if_no_space() const noexcept;
  void arm_no_space_timer();
  // What a bio that cannot be served gets; nothing: it waits for space.
  [[nodiscard]] std::optional<Errc> unserviceable_status() const;
  void settle_debts();
  [[nodiscard]] static const ModeHandlers& handlers_of(PoolMode mode) noexcept;

  // --- pool_worker.cc: worker only.
  void round();
  void tick();
  void arm_tick();
  void process_prepared();
  void process_thins();
  void process_thin(ThinDevice& thin);
  void process_cells(ThinDevice& thin, CellList& cells);
  void process_bios(ThinDevice& thin, io::BioList& bios);
  void process_bio(ThinDevice& thin, io::MappedBio& bio);
  void process_flush(io::MappedBio& bio);
  void resume_waiting_discards();
  void commit_batch();
  void end_flushes(io::BioList& flushes, io::BioList& completions, Errc status);
  void requeue_queued(ThinDevice& thin);
  void retry_queued_bios();
  void fail_queued_bios(Errc status);
  void fail_queued_bios(ThinDevice& thin, Errc status);
  // Sends a bio that has been remapped below, after a commit if it asks for one.
  void issue(io::MappedBio& bio);
  // Counts and sends the holder and those of the inmates that the mapping lets through at once.
  void issue_cell(ThinDevice& thin, PoolCell& cell, const Mapping& mapping);
  void issue_inmates(ThinDevice& thin, PoolCell& cell, const Mapping& mapping);
  // The holder ends with `status`, the inmates are looked at anew.
  void fail_cell(ThinDevice& thin, PoolCell& cell, Errc status);
  void retry_cell(ThinDevice& thin, PoolCell& cell);
  void give_cell(PoolCell& cell);
  void process_cell_failing(ThinDevice& thin, PoolCell& cell);

  // --- provision.cc: worker only, but where said.
  void process_cell(ThinDevice& thin, PoolCell& cell);
  void process_cell_read_only(ThinDevice& thin, PoolCell& cell);
  enum class NewBlocks : bool { refuse, give };
  void serve_cell(ThinDevice& thin, PoolCell& cell, NewBlocks new_blocks);
  void refuse_cell(ThinDevice& thin, PoolCell& cell);
  void provision(ThinDevice& thin, PoolCell& cell);
  Result<DataBlock> alloc_data_block();
  void give_back_data_block(DataBlock block);
  // Null when there is no memory or no block; the cell has been dealt with then.
  NewMapping* begin_mapping(ThinDevice& thin, PoolCell& cell);
  [[nodiscard]] bool overwrites_block(const io::MappedBio& bio) const noexcept;
  void add_fill(NewMapping& mapping, BlockDevice* from, Sector from_sector, std::uint64_t begin,
                std::uint64_t end);
  void add_zero_fill(NewMapping& mapping, std::uint64_t begin, std::uint64_t end);
  void start_mapping(NewMapping& mapping);
  static void mapping_action_done(NewMapping& mapping, Errc status);   // completion context
  void insert_mapping(NewMapping& mapping);
  void drop_mapping(NewMapping& mapping);
  void complete_overwrite(ThinDevice& thin, io::MappedBio& bio);
  void free_mapping(NewMapping& mapping);

  // --- break_sharing.cc
  void break_sharing(ThinDevice& thin, PoolCell& cell, const Mapping& old);
  void wait_for_shared_reads(NewMapping& mapping);

  // --- external_origin.cc
  void serve_unmapped(ThinDevice& thin, PoolCell& cell);
  void fill_from_origin(NewMapping& mapping);

  // --- discard.cc
  void process_discard(ThinDevice& thin, io::MappedBio& bio);
  void ignore_discard(ThinDevice& thin, io::MappedBio& bio);
  void fail_discard(ThinDevice& thin, io::MappedBio& bio);
  void begin_chunk(ThinDevice& thin, io::MappedBio& bio);
  void unmap_chunk(DiscardChunk& chunk);
  void abandon_chunk(DiscardChunk& chunk);
  void scan_chunk(DiscardChunk& chunk);
  void start_passdown(Passdown& passdown, const MappedRange& range);
  Result<void> choose_pieces(Passdown& passdown, bool maybe_shared);
  void issue_piece(Passdown& passdown);
  static void passdown_ended(Bio& bio);   // completion context
  void continue_passdown(Passdown& passdown);
  void abandon_passdown(Passdown& passdown);
  void finish_passdown(Passdown& passdown);
  void end_passdown(Passdown& passdown);
  void chunk_step_done(DiscardChunk& chunk);

  // --- pool_messages.cc: worker only.
  Result<void> run_message(std::span<const std::string_view> args);
  void message_failed(const Error& error);
  // --- pool_status.cc
  [[nodiscard]] static std::uint64_t metadata_low_water(std::uint64_t blocks) noexcept;
  Result<std::string> status_fields();

  const PoolOptions options_;
  io::OwnerDevice& owner_;
  BlockDevice& metadata_device_;
  BlockDevice& data_;
  const std::uint32_t block_sectors_;
  const bool ignores_discards_;
  SyncObject object_{ObjectKind::pool, "pool"};
  RefCount refs_{"pool.refs"};   // tables and thins; changes under the registry's mutex

  const std::unique_ptr<Metadata> metadata_;
  ActiveThins active_;
  Atomic<const ModeHandlers*> handlers_;

  // Set while the pool is suspended or by the worker.
  PoolConfig config_;
  DiscardPolicy discard_policy_ = DiscardPolicy::passdown;            // as the data device allows
  Atomic<bool> error_if_no_space_{"pool.error_if_no_space", false};   // at present
  bool queueing_stopped_ = false;
  bool bound_ = false;

  // --- In flight.
  io::Prison prison_;
  io::BoundedPool<PoolCell> caller_cells_;
  io::BoundedPool<PoolCell> worker_cells_;
  io::BoundedPool<NewMapping> mappings_;
  io::BoundedPool<DiscardChunk> chunks_;
  io::BoundedPool<Passdown> passdowns_;
  io::DeferredSet all_io_{"pool.all_io"};               // gates unmapping
  io::DeferredSet shared_reads_{"pool.shared_reads"};   // gates break-sharing
  io::Copier copier_;

  // --- What completions hand to the worker.
  using MappingList = boost::intrusive::list<
      NewMapping, boost::intrusive::member_hook<NewMapping, boost::intrusive::list_member_hook<>,
                                                &NewMapping::hook>>;
  using PassdownList = boost::intrusive::list<
      Passdown, boost::intrusive::member_hook<Passdown, boost::intrusive::list_member_hook<>,
                                              &Passdown::hook>>;
  using LivePassdowns = boost::intrusive::list<
      Passdown, boost::intrusive::member_hook<Passdown, boost::intrusive::list_member_hook<>,
                                              &Passdown::live_hook>>;
  mutable SpinLock lock_{"pool"};
  MappingList prepared_mappings_ ABSL_GUARDED_BY(lock_);
  io::BioList quiesced_discards_ ABSL_GUARDED_BY(lock_);
  PassdownList ended_passdowns_ ABSL_GUARDED_BY(lock_);

  // --- The worker's own.
  io::BioList waiting_discards_;    // for another to end, or for a passdown's memory
  io::BioList deferred_flushes_;    // to be issued, or ended if empty, after the next commit
  io::BioList flush_completions_;   // to be ended after the next commit
  LivePassdowns pinned_;
  std::vector<DataRange> debts_;         // references to drop once metadata may change again
  PassdownList uncommitted_passdowns_;   // to be issued after the next commit
  std::size_t mappings_live_ = 0;
  bool changed_ = false;   // something since the last commit
  bool damaged_ = false;   // a lookup of this round met damaged metadata
  bool low_water_signalled_ = false;
  bool metadata_low_signalled_ = false;
  bool tick_armed_ = false;
  bool data_flush_failed_ = false;   // in the last commit
  Nanos last_commit_{0};
  Nanos no_space_deadline_{0};

  // Last, so that the worker is gone before anything it uses.
  WorkQueue worker_;
  Work round_;
  DelayedWork tick_;
  DelayedWork no_space_;
  Atomic<bool> suspended_{"pool.suspended", true};
  Atomic<bool> quiet_{"pool.quiet", false};   // suspended, and all that was written is durable
  bool closed_ = false;
};

template <typename Action>
auto Pool::on_worker(const char* name, Action&& action) {
  return io::on_worker(worker_, name, std::forward<Action>(action));
}

}   // namespace engine::thin
