// Internals of the block manager: how blocks come into the cache, from the device, and back to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/env/block_device.h"
#include "engine/pdata/block_cache.h"
#include "engine/pdata/block_manager.h"

namespace engine::pdata {

struct BlockManager::Impl {
  Impl(BlockDevice& dev, std::uint32_t cache_blocks_max);

  BlockDevice& device;
  std::vector<CacheStripe> stripes;
  const std::uint32_t stripe_blocks_max;
  std::atomic<std::uint32_t> dirty{0};   // written, but not yet on the device
  // Block writes that no flush has covered; only the one writer looks.
  bool unflushed = false;
  AlignedBuffer superblock;

  SyncObject dirty_object{SyncObject::Quiet::yes, "block_manager.dirty"};
  SyncObject loads_object{SyncObject::Quiet::yes, "block_manager.loads"};
  RawLock loads_raw;
  std::uint32_t loads = 0;   // reads under way; guarded by loads_raw
  WaitQueue loads_waiters;   // for none; guarded by loads_raw

  [[nodiscard]] CacheStripe& stripe_of(MetaBlock block) noexcept {
    return stripes[block.value() & (stripes.size() - 1)];
  }

  void drop(CachedBlock& cached) {
    also_touches(stripe_of(cached.number).object, Access::read);   // it may be evicted from now on
    if (cached.holds.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    CacheStripe& stripe = stripe_of(cached.number);
    {
      const RawGuard guard{stripe.raw};
      stripe.give_buffer(std::move(cached.buffer));
    }
    delete &cached;
  }

  [[nodiscard]] CachedBlock* find(MetaBlock block) noexcept;
  [[nodiscard]] std::unique_ptr<CachedBlock> make(MetaBlock block, const Validator& validator,
                                                  BlockState initial);
  // Links `fresh`, which it empties then, unless another has linked that block meanwhile. Either
  // way a hold on what is linked.
  [[nodiscard]] CachedBlock* link_or_find(std::unique_ptr<CachedBlock>& fresh);
  // A hold on the block, which is read if it was not cached.
  [[nodiscard]] CachedBlock& find_or_load(MetaBlock block, const Validator& validator);

  void start_load(CachedBlock& cached);
  static void load_ended(Bio& bio);
  void finish_load(CachedBlock& cached, Errc status);
  // Suspends until the block is loaded. A failure has dropped the hold.
  Result<void> wait_loaded(CachedBlock& cached);
  void wait_for_loads();

  void set_dirty(CachedBlock& cached, bool is_dirty) {
    CacheStripe& stripe = stripe_of(cached.number);
    const RawGuard guard{stripe.raw};
    also_touches(dirty_object, Access::add);
    if (cached.dirty == is_dirty || !cached.linked) return;
    stripe.set_dirty(cached, is_dirty);
    dirty.fetch_add(is_dirty ? 1U : ~0U, std::memory_order_relaxed);
  }
  // Suspends. Writes the dirty blocks that nobody holds for writing, and waits.
  Result<void> write_dirty();
  Result<void> write_batch(const std::vector<CachedBlock*>& blocks, std::size_t begin,
                           std::size_t end);
  // Suspends. Makes room when dirty blocks fill the cache.
  Result<void> bound_dirty() {
    also_touches(dirty_object, Access::read);
    if (dirty.load(std::memory_order_relaxed) < stripe_blocks_max * stripes.size()) return {};
    return write_dirty();
  }
};

}   // namespace engine::pdata
