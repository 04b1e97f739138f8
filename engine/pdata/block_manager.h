// The metadata device as cached, checksummed, lockable 4096-byte blocks.
//
// Invariants:
// - A block enters the cache only with a checksum and number that its validator accepts, and goes
//   to the device only right after prepare(). A block cached as one type is `corrupt` as another.
// - A dirty block stays cached until it was written. Blocks that are clean and not held are
//   dropped, least recently used first (a clock), when more than `cache_blocks_max` are cached.
//   When the dirty ones alone fill the cache, write() writes them early: they are new blocks that
//   no committed superblock reaches, so their order against each other does not matter.
// - Block 0 is written by commit_superblock() alone, which first makes all others durable.
//
// Locking. Each block has a reader-writer lock, held by ReadRef and WriteRef. Readers may come from
// several threads together with one writer; there must be one writer at a time (the caller's
// metadata lock sees to that). Whoever holds several blocks took them from parent to child. The
// cache's own structures are under raw locks, which have no scheduling points: one acquisition of a
// cached block costs one point, its release another.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <absl/base/thread_annotations.h>
#include <boost/intrusive/list.hpp>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/block_device.h"
#include "engine/env/buffer.h"
#include "engine/fiber/waiters.h"
#include "engine/pdata/validator.h"

namespace engine::pdata {

class BlockManager;
struct CachedBlock;

// A shared hold on a valid block: its bytes do not change while it lives. Empty after a move.
// The lock of the block goes from function to function in it, where the analysis of locks does not
// follow.
class ReadRef {
 public:
  ReadRef() = default;
  ReadRef(ReadRef&& other) noexcept
      : manager_{other.manager_}, cached_{std::exchange(other.cached_, nullptr)} {}
  ReadRef& operator=(ReadRef&& other) noexcept {
    if (this != &other) {
      release();
      manager_ = other.manager_;
      cached_ = std::exchange(other.cached_, nullptr);
    }
    return *this;
  }
  ~ReadRef() { release(); }

  [[nodiscard]] explicit operator bool() const noexcept { return cached_ != nullptr; }
  [[nodiscard]] MetaBlock block() const noexcept;
  [[nodiscard]] ConstBytes bytes() const noexcept;
  // Any context; the destructor does the same.
  void release() ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  friend class BlockManager;
  ReadRef(BlockManager& manager, CachedBlock& cached) noexcept
      : manager_{&manager}, cached_{&cached} {}
  BlockManager* manager_ = nullptr;
  CachedBlock* cached_ = nullptr;
};

// The exclusive hold on a dirty block. Checksum and number (the first 16 bytes, except the flags of
// a node at offset 4) are filled in when it is written, not before.
class WriteRef {
 public:
  WriteRef() = default;
  WriteRef(WriteRef&& other) noexcept
      : manager_{other.manager_}, cached_{std::exchange(other.cached_, nullptr)} {}
  WriteRef& operator=(WriteRef&& other) noexcept {
    if (this != &other) {
      release();
      manager_ = other.manager_;
      cached_ = std::exchange(other.cached_, nullptr);
    }
    return *this;
  }
  ~WriteRef() { release(); }

  [[nodiscard]] explicit operator bool() const noexcept { return cached_ != nullptr; }
  [[nodiscard]] MetaBlock block() const noexcept;
  [[nodiscard]] MutableBytes bytes() noexcept;
  [[nodiscard]] ConstBytes bytes() const noexcept;
  void release() ABSL_NO_THREAD_SAFETY_ANALYSIS;

 private:
  friend class BlockManager;
  WriteRef(BlockManager& manager, CachedBlock& cached) noexcept
      : manager_{&manager}, cached_{&cached} {}
  BlockManager* manager_ = nullptr;
  CachedBlock* cached_ = nullptr;
};

struct BlockManagerOptions {
  std::uint32_t cache_blocks_max = 16384;   // 64 MiB
  const Validator* superblock = &kSuperblockValidator;
};

class BlockManager {
 public:
  // Does no I/O. Blocks beyond the last whole 4096 bytes of the device do not exist.
  explicit BlockManager(BlockDevice& device, BlockManagerOptions options = {});
  // Nothing may be held, and no transfer may be under way. Where several threads read, quiesce()
  // first: the completion that let a reader go on may not have returned yet.
  ~BlockManager();
  BlockManager(const BlockManager&) = delete;
  BlockManager& operator=(const BlockManager&) = delete;

  [[nodiscard]] std::uint64_t nr_blocks() const noexcept { return nr_blocks_; }
  // Takes up the device's present size (it grew).
  void update_size() noexcept;
  [[nodiscard]] BlockDevice& device() noexcept { return device_; }

  // Suspends. Errors: io_error, power_lost; corrupt: bad bytes, a number beyond the device (block
  // numbers come from the device), another type than it is cached as, or a block that the calling
  // fiber already holds for writing (a cycle). A failure leaves nothing cached.
  [[nodiscard]] Result<ReadRef> read(MetaBlock block,
                                     const Validator& validator) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Any context, never suspends. Errors: would_block when the block is not cached, still being read
  // or locked for writing; corrupt.
  [[nodiscard]] Result<ReadRef> try_read(MetaBlock block,
                                         const Validator& validator) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Suspends. As read(), then exclusive and dirty. Errors: also read_only. Block 0 is refused.
  [[nodiscard]] Result<WriteRef> write(MetaBlock block,
                                       const Validator& validator) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  // Suspends. As write(), but the old content is neither read nor kept: the block is all zeroes.
  [[nodiscard]] Result<WriteRef> write_zero(MetaBlock block, const Validator& validator)
      ABSL_NO_THREAD_SAFETY_ANALYSIS;

  // Any context. Starts reading a block that is not cached; errors show up in a later read().
  void prefetch(MetaBlock block, const Validator& validator);

  // Suspends; nothing may be held for writing by the caller. Writes every dirty block, waits, and
  // flushes the device. On failure those not written stay dirty.
  [[nodiscard]] Result<void> flush();
  // Suspends. flush(), and only then writes block 0 with forced unit access: `fill` is given 4096
  // zero bytes and writes all fields but checksum and number. After a failure the device holds
  // either superblock; the old one is no longer cached.
  [[nodiscard]] Result<void> commit_superblock(const std::function<void(MutableBytes)>& fill);

  // Suspends. Forgets every block, also dirty ones, and waits for transfers under way: the next
  // reads come from the device. Nothing may be held for writing; blocks held for reading go when
  // they are released.
  void abandon();
  // Suspends until no transfer is under way.
  void quiesce();

  // From now on every attempt to write fails with read_only. Dirty blocks stay until abandon().
  void set_read_only(bool read_only) noexcept { read_only_.store(read_only); }
  [[nodiscard]] bool read_only() const noexcept { return read_only_.load(); }

  // For reports and tests.
  [[nodiscard]] std::uint32_t cached_blocks() const noexcept;
  [[nodiscard]] std::uint32_t dirty_blocks() const noexcept;

 private:
  friend class ReadRef;
  friend class WriteRef;
  struct Impl;

  [[nodiscard]] Result<void> check_exists(MetaBlock block) const;
  [[nodiscard]] Result<void> check_writable(MetaBlock block) const;
  // Suspends. Takes over the caller's hold.
  Result<WriteRef> lock_for_writing(CachedBlock& cached) ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void forget(MetaBlock block);

  BlockDevice& device_;
  const BlockManagerOptions options_;
  std::uint64_t nr_blocks_ = 0;
  std::atomic<bool> read_only_{false};
  std::unique_ptr<Impl> impl_;
};

}   // namespace engine::pdata
