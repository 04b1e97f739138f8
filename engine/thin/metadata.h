// A thin pool's metadata: which data block holds each virtual block of each thin device, how often
// each block is referenced, and the transactions that change all that atomically.
//
// On disk it is Linux's format (docs/format/). Nothing is durable until commit(); a crash or an
// abort() returns to the last commit, in which every data block is mapped, or held by a caller who
// took a further reference on it.
//
// Locking: changes take turns by a Mutex, "thin.metadata.change", and hold an RwLock,
// "thin.metadata", for writing while they change what queries see; queries hold that for reading,
// and lookup_cached() only tries it and never waits. A commit holds the mutex from end to end, the
// RwLock only before and after its writing to the devices, so lookups go on meanwhile: what they
// see is the state that is being committed. The pre-commit hook runs with the mutex held and must
// not call back. See docs/locking.md.
//
// Unless a comment says otherwise a call suspends, and fails with
//   failed             the metadata is in fail mode: nothing of it may be used any more
//   read_only          a change was asked for and the metadata is read-only
//   no_metadata_space  the metadata device is full
//   io_error, corrupt, power_lost
// A change that failed for one of the last four may have been made by half: the caller must abort()
// or take_back() (fail_now() if that fails too), as the pool's mode machine does. Errors named in a
// comment as a refusal leave everything as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include <absl/base/thread_annotations.h>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/block_device.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/rw_lock.h"

namespace engine::pdata {
class BlockManager;
}

namespace engine::thin {

class Metadata;
struct DeviceRecord;
struct MetadataCore;

inline constexpr std::uint32_t kThinIdMax = (1U << 24) - 1;
// A fresh pool takes nine, a bitmap of data blocks one, a thin one more. A write to it needs copies
// of seven beside what is committed: the two bitmaps, where each of them is, and the thin's three.
inline constexpr std::uint64_t kMetadataBlocksMin = 18;
inline constexpr std::uint32_t kTimeMax = (1U << 24) - 1;
inline constexpr std::uint32_t kDataBlockSectorsMin = 128;
inline constexpr std::uint32_t kDataBlockSectorsMax = 2097152;

enum class IfBlank : bool { refuse, format };

struct MetadataOptions {
  std::uint32_t data_block_sectors = 0;   // must equal what is recorded
  // What to do when block 0 is all zero. A read-only open never formats.
  IfBlank if_blank = IfBlank::format;
  bool read_only = false;
  // Entries of a full B-tree node in trees made by this object; a multiple of 3, at least 6.
  // 0: Linux's own. Anything else is for tests and the tank.
  std::uint32_t fan_out = 0;
  std::size_t cache_blocks = 0;   // clean blocks kept in memory; 0: the block manager's default
};

struct Mapping {
  DataBlock block;
  // Another device may reference the block: it must not be written in place. May be true for a
  // block that no longer is shared, never false for one that is.
  bool shared = false;
  friend bool operator==(const Mapping&, const Mapping&) = default;
};

// Virtual blocks [begin, end) map to consecutive data blocks from `data_begin`, all equally shared.
struct MappedRange {
  VirtBlock begin;
  VirtBlock end;
  DataBlock data_begin;
  bool shared = false;
  friend bool operator==(const MappedRange&, const MappedRange&) = default;
};

// What the pool wants done before each commit writes anything: flushing the data device.
class PreCommitHook {
 public:
  // Suspends, with changes locked out. An error makes the commit fail before it wrote anything.
  virtual Result<void> before_commit() = 0;

 protected:
  ~PreCommitHook() = default;
};

// A thin device as an opener sees it. Owned by the Metadata; valid from open_device() to the
// matching close_device(), also across abort() and in fail mode.
class OpenThin {
 public:
  [[nodiscard]] ThinId id() const noexcept { return id_; }

 private:
  friend class Metadata;
  friend struct MetadataCore;
  explicit OpenThin(ThinId id) noexcept : id_{id} {}

  const ThinId id_;
  // All below guarded by Metadata::lock_.
  std::uint32_t open_count_ = 0;
  std::uint64_t mapped_blocks_ = 0;
  std::uint64_t transaction_id_ = 0;
  std::uint32_t creation_time_ = 0;
  std::uint32_t snapshotted_time_ = 0;
  MetaBlock root_;         // of its mapping tree
  bool present_ = true;    // false: it does not exist after an abort
  bool changed_ = false;   // its record or mappings differ from the last commit
  bool aborted_with_changes_ = false;
};

class Metadata {
 public:
  // Suspends. Formats a blank device if allowed to. `device` must outlive the result. Refusals:
  // invalid (block size out of range or not the recorded one, unknown features, unusable geometry),
  // not_permitted (blank and not to be formatted), corrupt.
  static Result<std::unique_ptr<Metadata>> open(BlockDevice& device,
                                                const MetadataOptions& options);
  // Does not suspend and writes nothing: call close() first to keep the open transaction. All
  // devices must be closed.
  ~Metadata();
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;

  // Commits unless read-only or failed. Refusal: busy, a device is open. Nothing but the destructor
  // may be called afterwards.
  Result<void> close();

  // The hook must stay until it is replaced (by null: none) or the metadata is gone. It belongs to
  // the pool's lifetime, not to that of one table. Allowed in fail mode.
  void set_pre_commit_hook(PreCommitHook* hook);

  // --- Thin devices.
  // Refusals: exists; invalid, the id exceeds kThinIdMax.
  Result<void> create_thin(ThinId id);
  // The caller has quiesced the origin. Refusals: exists; not_found (no origin); invalid (the id,
  // or the pool's clock stands at kTimeMax, where the kernel would corrupt block numbers).
  Result<void> create_snap(ThinId id, ThinId origin);
  // Refusals: not_found; busy, it is open.
  Result<void> delete_device(ThinId id);
  // May be called several times for one id. Refusals: not_found.
  Result<OpenThin*> open_device(ThinId id);
  // Also in fail mode. Does not fail.
  void close_device(OpenThin& device);

  // --- The pool's own records.
  Result<std::uint64_t> transaction_id();
  // Refusal: invalid, `current` is not the present one.
  Result<void> set_transaction_id(std::uint64_t current, std::uint64_t next);
  // Commits before. Refusal: busy, one is held.
  Result<void> reserve_metadata_snapshot();
  // Refusal: invalid, none is held.
  Result<void> release_metadata_snapshot();
  Result<std::optional<MetaBlock>> held_root();

  // --- Mappings.
  // Any context, never waits: would_block when the metadata is being changed or a block of it is
  // not in memory. nullopt: not mapped.
  Result<std::optional<Mapping>> lookup_cached(const OpenThin& device, VirtBlock block);
  Result<std::optional<Mapping>> lookup(const OpenThin& device, VirtBlock block);
  // The first run of mapped blocks in [begin, end) that is contiguous on both sides and equally
  // shared; found atomically together with its `shared`. nullopt: nothing is mapped there.
  Result<std::optional<MappedRange>> find_mapped_range(const OpenThin& device, VirtBlock begin,
                                                       VirtBlock end);
  // `data` is one that the caller has of alloc_data_block(), and is the mapping's from now on;
  // drops the reference on the block mapped before, if any. Where it fails the block stays the
  // caller's. Refusal: invalid, it is not: an abort has taken back the growth that it came with.
  Result<void> insert(OpenThin& device, VirtBlock block, DataBlock data);
  // Unmaps all of [begin, end), holes or not, dropping the references. Returns how many were
  // mapped.
  Result<std::uint64_t> remove_range(OpenThin& device, VirtBlock begin, VirtBlock end);

  Result<std::uint64_t> mapped_count(const OpenThin& device);
  // nullopt: nothing is mapped.
  Result<std::optional<VirtBlock>> highest_mapped(const OpenThin& device);
  // Has the device changes that are not committed? True in fail mode.
  bool changed_this_transaction(const OpenThin& device);
  // An abort() lost changes of the device; stays so until it is closed by all. True in fail mode.
  bool aborted_with_changes(const OpenThin& device);
  // Has any device changes that are not committed?
  bool changed_this_transaction();

  // --- Data blocks.
  // The block is the caller's until insert() or give_back_data_block(), also across abort().
  // Nothing but memory knows of it before it is inserted: no commit has a block that is not mapped.
  // no_data_space: none is free, or those that are were freed in this transaction and become usable
  // by a commit.
  Result<DataBlock> alloc_data_block();
  // At once usable again. Any mode. Does not fail.
  void give_back_data_block(DataBlock block);
  // How many are somebody's of alloc_data_block().
  std::uint64_t staged_data_blocks();
  Result<void> inc_data_range(DataBlock begin, DataBlock end);
  Result<void> dec_data_range(DataBlock begin, DataBlock end);
  Result<std::uint32_t> data_ref_count(DataBlock block);
  // Referenced more than once.
  Result<bool> is_data_shared(DataBlock block);
  Result<std::uint64_t> free_data_blocks();
  Result<std::uint64_t> data_blocks();
  // Refusal: invalid, smaller than now. Does not commit.
  Result<void> resize_data(std::uint64_t blocks);

  // --- Metadata blocks.
  // What is left above the reserve, min(4096, a tenth): 0 is the time to stop allocating.
  Result<std::uint64_t> free_metadata_blocks();
  Result<std::uint64_t> metadata_blocks();
  // The reserve not subtracted: what the low watermark is compared with.
  Result<std::uint64_t> free_metadata_blocks_raw();
  // Grows to the present size of the device. Refusal: invalid, it is smaller than recorded.
  // Returns whether it grew. Does not commit.
  Result<bool> resize_metadata();

  // --- Transactions and modes.
  // Durable when it returns ok. Writes nothing at all unless something put the pool in service.
  Result<void> commit();
  // Throws the open transaction away and reopens from the device. Open devices stay open, their
  // counts are read anew (the kernel's are not), and those that had changes say
  // aborted_with_changes(). Keeps read-only mode. On failure the metadata is in fail mode.
  Result<void> abort();
  // As abort(), where all that is open is one change that failed: nobody has lost anything by it,
  // so no device says aborted_with_changes() for it.
  Result<void> take_back();
  // Durable when ok is returned. It is written into the superblock of the last commit alone, so
  // call it after abort(); on a read-only object it is only remembered until close.
  Result<void> set_needs_check();
  Result<bool> needs_check();
  // Any mode; no effect in fail mode.
  void set_read_only(bool read_only);
  [[nodiscard]] bool read_only();
  // Enters fail mode: frees all but the device handles. Idempotent.
  void fail_now();
  [[nodiscard]] bool failed();

 private:
  Metadata(BlockDevice& device, const MetadataOptions& options);

  // The open transaction, for a query or for a change. Errors: failed, read_only; or what broke the
  // transaction, until it is aborted.
  Result<MetadataCore*> core() const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  Result<MetadataCore*> core_for_change() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Both locks, as nearly every change needs them.
  class ABSL_SCOPED_LOCKABLE ChangeLock {
   public:
    explicit ChangeLock(Metadata& metadata,
                        std::source_location where = std::source_location::current())
        ABSL_EXCLUSIVE_LOCK_FUNCTION(metadata.change_, metadata.lock_)
        : turn_{metadata.change_, where}, lock_{metadata.lock_, where} {}
    ~ChangeLock() ABSL_UNLOCK_FUNCTION() = default;
    ChangeLock(const ChangeLock&) = delete;
    ChangeLock& operator=(const ChangeLock&) = delete;

   private:
    const MutexLock turn_;
    const WriteLock lock_;
  };

  enum class Lost : bool { nothing, changes };
  // Suspends.
  Result<void> back_to_last_commit(Lost lost) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_, lock_);
  // Suspends, with the lock taken for short.
  Result<void> commit_in_turn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_) ABSL_LOCKS_EXCLUDED(lock_);
  // Suspend. All with the lock held for writing.
  Result<std::unique_ptr<MetadataCore>> load();
  // Null: there is nothing to commit.
  Result<MetadataCore*> begin_commit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void> create_thin_locked(MetadataCore& core, ThinId id);
  // `record` is the origin's, as the last commit knows it.
  Result<void> create_snap_locked(MetadataCore& core, ThinId id, ThinId origin, DeviceRecord record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void> delete_locked(MetadataCore& core, ThinId id);
  Result<void> refresh(OpenThin& device);
  Result<void> write_changed_records(MetadataCore& core);
  void fail_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  BlockDevice& device_;
  const MetadataOptions options_;
  mutable Mutex change_{"thin.metadata.change"};
  mutable RwLock lock_{"thin.metadata"};
  std::unique_ptr<pdata::BlockManager> blocks_;
  std::unique_ptr<MetadataCore> core_ ABSL_GUARDED_BY(lock_);   // null in fail mode
  // Open ones, and those closed with a record that the next commit has yet to write.
  std::map<ThinId, std::unique_ptr<OpenThin>> open_ ABSL_GUARDED_BY(lock_);
  PreCommitHook* hook_ ABSL_GUARDED_BY(lock_) = nullptr;
  bool read_only_ ABSL_GUARDED_BY(lock_) = false;
};

}   // namespace engine::thin
