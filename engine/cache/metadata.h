// A cache's metadata: which origin block each cache block holds, and what a clean shutdown leaves
// behind: dirty bits, discarded blocks, hints for the policy, statistics.
//
// On disk it is Linux's format, versions 1 and 2 (docs/format/). Nothing is durable until commit();
// a crash or an abort() returns to the last commit.
//
// Clean shutdown. Only insertions and removals touch the disk while the cache runs. What
// shut_down_cleanly() stored is true as long as its commit is the last thing that happened:
// whoever is about to let a write in first calls begin_service(), which takes the mark of a clean
// shutdown away durably. (Linux waits for the next commit to do so, and loses writes to blocks that
// the image calls clean.) Opening changes nothing on the device, so a table that is loaded and
// thrown away leaves a clean image clean. Without the mark every mapped block counts as dirty, and
// there are no hints and no discarded blocks.
//
// Locking: one RwLock, "cache.metadata". Mutators hold it for writing, for as long as they do I/O;
// queries hold it for reading. Callbacks run with it held and must not call back nor suspend.
//
// Unless a comment says otherwise a call suspends, and fails with
//   failed             the metadata is in fail mode: nothing of it may be used any more
//   read_only          a change was asked for and the metadata is read-only
//   no_metadata_space  the metadata device is full
//   io_error, corrupt, power_lost
// A change that failed for one of the last four may have been made by half: every further change
// and commit fails the same way until abort() (fail_now() if that fails too). Errors named in a
// comment as a refusal leave everything as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <absl/base/thread_annotations.h>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/cache/blocks.h"
#include "engine/cache/policy.h"
#include "engine/env/block_device.h"
#include "engine/fiber/rw_lock.h"

namespace engine::pdata {
class BlockManager;
}

namespace engine::cache {

struct MetadataCore;

enum class IfBlank : bool { refuse, format };

struct MetadataOptions {
  std::uint32_t data_block_sectors = 0;   // must equal what is recorded
  // What to do when block 0 is all zero, and what to write then. What is on the device wins over
  // `version`. A cache is formatted at its full size: none without blocks is ever on a device.
  IfBlank if_blank = IfBlank::format;
  std::uint32_t version = 1;   // 1, or 2 for dirty bits of their own
  std::uint32_t cache_blocks = 0;
  // Entries of a full B-tree node (a multiple of 3, at least 6) and of a full array block in what
  // this object makes. 0: Linux's own. Anything else is for tests and the tank.
  std::uint32_t fan_out = 0;
  std::uint32_t array_entries = 0;
  std::size_t memory_blocks = 0;   // clean metadata blocks kept; 0: the block manager's default
};

// Who wrote hints, and who would read them: names, major versions and sizes must agree.
struct PolicyIdentity {
  std::string_view name;   // the policy's own, not an alias; at most 15 characters
  PolicyVersion version;
  std::uint32_t hint_size = 4;   // bytes: 4, or 0 for a policy without hints
};

struct StoredMapping {
  CacheBlock block;
  OriginBlock origin;
  bool dirty = false;
  std::optional<std::uint32_t> hint;   // only after a clean shutdown by the same policy
  friend bool operator==(const StoredMapping&, const StoredMapping&) = default;
};

// Discard blocks [begin, end).
struct DiscardRange {
  DiscardBlock begin;
  DiscardBlock end;
  friend bool operator==(const DiscardRange&, const DiscardRange&) = default;
};

struct Statistics {
  std::uint32_t read_hits = 0;
  std::uint32_t read_misses = 0;
  std::uint32_t write_hits = 0;
  std::uint32_t write_misses = 0;
  friend bool operator==(const Statistics&, const Statistics&) = default;
};

// What is true of a cache at rest. The functions are asked for each block in ascending order.
struct CleanState {
  std::function<bool(CacheBlock)> dirty;   // counts for mapped blocks only
  DiscardGeometry discards;
  std::function<bool(DiscardBlock)> discarded;
  Statistics statistics;
  PolicyIdentity policy;
  // Null: no hints.
  std::function<std::uint32_t(CacheBlock)> hint;
};

class Metadata {
 public:
  // Suspends. Formats a blank device if allowed to; otherwise writes nothing. `device` must outlive
  // the result. Refusals: invalid (sizes out of range, not the recorded data block size, an unknown
  // version or feature, a device too small), not_permitted (blank and not to be formatted),
  // corrupt.
  static Result<std::unique_ptr<Metadata>> open(BlockDevice& device,
                                                const MetadataOptions& options);
  // Does not suspend: call close() first.
  ~Metadata();
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;

  // Suspends. Gives up what is not committed: a resume that failed leaves nothing behind. Nothing
  // but the destructor may be called afterwards.
  void close();

  [[nodiscard]] std::uint32_t data_block_sectors() const noexcept {
    return options_.data_block_sectors;
  }
  Result<std::uint32_t> version();
  Result<std::uint32_t> cache_blocks();

  // --- Resuming, in this order.
  // Keeps the mappings, dirty bits and hints of the blocks that remain; does not commit. Refusals:
  // busy, a block that would go is dirty (any mapped one, unless shut down cleanly); invalid, zero.
  // Also puts right what Linux leaves behind the end of its arrays.
  Result<void> resize(std::uint32_t cache_blocks);
  // Every mapped block, ascending. Refusals: corrupt, a mapping that the format forbids or two of
  // one origin block; invalid, an origin block from `origin_blocks` on.
  Result<std::vector<StoredMapping>> load_mappings(const PolicyIdentity& policy,
                                                   std::uint64_t origin_blocks);
  // Whole blocks of `geometry` that are known to be discarded, ascending, apart from each other.
  Result<std::vector<DiscardRange>> load_discards(const DiscardGeometry& geometry);
  Result<Statistics> statistics();
  // Call it in every resume, before a bio is admitted: from then on, durably, the metadata is not
  // that of a clean shutdown. Commits what was changed.
  Result<void> begin_service();

  // --- Running.
  // The block's copy is durable on the fast device before this is committed. Refusals: invalid, no
  // such block; exists, it is mapped.
  Result<void> insert(CacheBlock block, OriginBlock origin);
  // What was written back is durable on the origin before this is committed. Refusals: invalid, no
  // such block; not_found, it is not mapped.
  Result<void> remove(CacheBlock block);
  // Durable when it returns ok. Writes nothing if nothing was changed.
  Result<void> commit();
  bool changed_this_transaction();

  // --- Suspending.
  // Commits, then stores the state and commits it with the mark of a clean shutdown. Both data
  // devices are flushed, nothing is in flight, and nothing is admitted before begin_service(). On a
  // failure of the second part the metadata is that of the first, without the mark, and can be used
  // on. Refusal: invalid, a policy name or hint size that the format has no room for.
  Result<void> shut_down_cleanly(const CleanState& state);
  // Is the last commit one of a clean shutdown, with nothing changed since?
  Result<bool> clean();

  // --- Metadata blocks. What this transaction has freed is not free yet.
  Result<std::uint64_t> metadata_blocks();
  Result<std::uint64_t> free_metadata_blocks();

  // --- Failures.
  // Throws the open transaction away and reads everything anew from the device. Keeps read-only
  // mode. On failure the metadata is in fail mode.
  Result<void> abort();
  // Durable when ok is returned. It is written into the superblock of the last commit alone, so
  // call it after abort(); on a read-only object it is only remembered until close.
  Result<void> set_needs_check();
  Result<bool> needs_check();
  // For good: a cache that left write mode is not given it back by another table on the same
  // device. Any mode; no effect in fail mode.
  void set_read_only();
  [[nodiscard]] bool read_only();
  // Enters fail mode. Idempotent.
  void fail_now();
  [[nodiscard]] bool failed();

 private:
  Metadata(BlockDevice& device, const MetadataOptions& options);

  // The open transaction, for a query or for a change. Errors: failed, read_only; or what broke the
  // transaction, until it is aborted.
  Result<MetadataCore*> core() const ABSL_SHARED_LOCKS_REQUIRED(lock_);
  Result<MetadataCore*> core_for_change() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Suspends. What was read at opening or after an abort may have been written and not be durable:
  // a write that failed may still have reached the device's cache. Nothing is based on it before it
  // has been flushed.
  Result<void> settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Suspend. All with the lock held for writing.
  Result<std::unique_ptr<MetadataCore>> load();
  Result<void> commit_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  Result<void> traced_commit(MetadataCore& core, bool clean_shutdown);
  Result<void> abort_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Changes flags of the superblock of the last commit, and nothing else.
  Result<void> rewrite_flags(std::uint32_t set, std::uint32_t clear)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void fail_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  BlockDevice& device_;
  const MetadataOptions options_;
  mutable RwLock lock_{"cache.metadata"};
  std::unique_ptr<pdata::BlockManager> blocks_;
  std::unique_ptr<MetadataCore> core_ ABSL_GUARDED_BY(lock_);   // null in fail mode
  bool read_only_ ABSL_GUARDED_BY(lock_) = false;
  bool settled_ ABSL_GUARDED_BY(lock_) = false;   // see settle()
};

}   // namespace engine::cache
