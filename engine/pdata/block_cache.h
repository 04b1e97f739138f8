// Internals of the block manager: cached blocks in stripes, each with its own raw lock.
//
// A cached block is counted by its stripe (while linked), by each hold and by a read under way;
// whoever drops the last count destroys it. New holds are taken under the stripe's lock, so a
// linked block whose only count is its stripe's can be evicted under that lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <boost/intrusive/list.hpp>

#include "engine/base/result.h"
#include "engine/base/units.h"
#include "engine/env/bio.h"
#include "engine/env/buffer.h"
#include "engine/fiber/rw_lock.h"
#include "engine/fiber/stale.h"
#include "engine/fiber/waiters.h"
#include "engine/pdata/validator.h"

namespace engine::pdata {

struct WriteBatch;

enum class BlockState : std::uint8_t { loading, valid, failed };

struct CachedBlock {
  CachedBlock(MetaBlock block, const Validator& type, BlockState initial, void* owning)
      : number{block}, owner{owning}, state{initial}, validator{&type} {}

  const MetaBlock number;
  void* const owner;   // the block manager's Impl, for end_io
  RwLock lock{"block"};
  std::atomic<BlockState> state;   // leaves `loading` once, under the stripe's lock
  std::atomic<std::uint32_t> holds{1};
  const Validator* validator;   // changes under `lock`
  AlignedBuffer buffer;         // contents guarded by `lock`, once loaded
  Bio bio;
  WriteBatch* batch = nullptr;   // while it is being written

  // Guarded by the stripe's lock.
  bool linked = false;
  bool dirty = false;
  bool used_lately = false;   // since the clock came by
  WaitQueue load_waiters;
  Error load_error;
  CachedBlock* chain = nullptr;
  boost::intrusive::list_member_hook<> clock_hook;
};

// A part of the cache. All under `raw`, which is never held across a scheduling point.
class alignas(64) CacheStripe {
 public:
  RawLock raw;
  SyncObject object{SyncObject::Quiet::yes, "block_manager.stripe"};   // which blocks there are

  [[nodiscard]] CachedBlock* find(MetaBlock block) const noexcept {
    if (chains_.empty()) return nullptr;
    CachedBlock* cached = chains_[slot(block)];
    while (cached != nullptr && cached->number != block)
      cached = cached->chain;
    return cached;
  }
  void link(CachedBlock& cached);
  // The stripe's count passes to the caller.
  void unlink(CachedBlock& cached) noexcept;
  void set_dirty(CachedBlock& cached, bool dirty) noexcept {
    if (cached.dirty == dirty) return;
    cached.dirty = dirty;
    dirty_ += dirty ? 1U : ~0U;
  }
  // Unlinks a block that nobody uses, if the stripe has more than `blocks_max` and a few steps of
  // the clock find one.
  [[nodiscard]] CachedBlock* evict(std::uint32_t blocks_max) noexcept;

  // Memory of blocks that are gone, for the next ones.
  [[nodiscard]] AlignedBuffer take_buffer() noexcept {
    if (spare_.empty()) return {};
    AlignedBuffer buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }
  void give_buffer(AlignedBuffer buffer) {
    contents_are_stale(buffer.bytes());
    if (spare_.size() < kSpareMax) spare_.push_back(std::move(buffer));
  }

  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(clock_.size());
  }
  [[nodiscard]] std::uint32_t dirty() const noexcept { return dirty_; }
  template <typename Visit>
  void for_each(Visit&& visit) {
    for (CachedBlock& cached : clock_)
      visit(cached);
  }
  [[nodiscard]] CachedBlock* any() noexcept { return clock_.empty() ? nullptr : &clock_.front(); }

 private:
  static constexpr std::size_t kChainsMin = 16;
  static constexpr std::size_t kSpareMax = 64;
  static constexpr std::uint32_t kClockSteps = 16;

  [[nodiscard]] std::size_t slot(MetaBlock block) const noexcept {
    // Neighbours go to different stripes by their low bits; mix in the rest.
    return static_cast<std::size_t>((block.value() * 0x9e3779b97f4a7c15ULL) >> 32) &
           (chains_.size() - 1);
  }
  void grow_chains();

  std::vector<CachedBlock*> chains_;   // a power of two, or none yet
  boost::intrusive::list<
      CachedBlock, boost::intrusive::member_hook<CachedBlock, boost::intrusive::list_member_hook<>,
                                                 &CachedBlock::clock_hook>>
      clock_;
  std::vector<AlignedBuffer> spare_;
  std::uint32_t dirty_ = 0;
};

}   // namespace engine::pdata
