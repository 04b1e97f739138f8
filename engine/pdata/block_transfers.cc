#include "engine/pdata/block_transfers.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/fiber/completion.h"

namespace engine::pdata {

namespace {

constexpr std::uint32_t kStripesMax = 16;
constexpr std::uint32_t kBlocksPerStripeMin = 64;
constexpr std::size_t kWritesInFlightMax = 256;

std::uint32_t stripes_for(std::uint32_t cache_blocks_max) noexcept {
  return std::bit_floor(std::clamp(cache_blocks_max / kBlocksPerStripeMin, 1U, kStripesMax));
}

}   // namespace

// Writes in flight together; lives on the stack of whoever waits for them.
struct WriteBatch {
  explicit WriteBatch(std::size_t count) noexcept : missing{count} {}
  SyncObject object{SyncObject::Quiet::yes, "block_manager.batch"};
  std::atomic<std::size_t> missing;
  Completion done{"block_manager.written"};

  static void end_io(Bio& bio) {
    auto& cached = *static_cast<CachedBlock*>(bio.owner);
    WriteBatch& batch = *cached.batch;
    also_touches(batch.object);
    if (batch.missing.fetch_sub(1, std::memory_order_acq_rel) == 1) batch.done.signal();
  }
};

BlockManager::Impl::Impl(BlockDevice& dev, std::uint32_t cache_blocks_max)
    : device{dev},
      stripes(stripes_for(cache_blocks_max)),
      stripe_blocks_max{
          static_cast<std::uint32_t>(div_ceil(std::max(cache_blocks_max, 1U), stripes.size()))} {}

// ---- Finding and loading ----

CachedBlock* BlockManager::Impl::find(MetaBlock block) noexcept {
  CacheStripe& stripe = stripe_of(block);
  const RawGuard guard{stripe.raw};
  also_touches(stripe.object, Access::read);
  CachedBlock* const cached = stripe.find(block);
  if (cached != nullptr) {
    cached->holds.fetch_add(1, std::memory_order_relaxed);
    // Not when it came in: what a walk touches once must not push out what is used often.
    cached->used_lately = true;
  }
  return cached;
}

// A block that nobody else knows yet.
std::unique_ptr<CachedBlock> BlockManager::Impl::make(MetaBlock block, const Validator& validator,
                                                      BlockState initial) {
  auto fresh = std::make_unique<CachedBlock>(block, validator, initial, this);
  {
    CacheStripe& stripe = stripe_of(block);
    const RawGuard guard{stripe.raw};
    fresh->buffer = stripe.take_buffer();
  }
  if (fresh->buffer.size() == 0) {
    fresh->buffer = AlignedBuffer{kMetaBlockSize};
  } else if (initial == BlockState::valid) {
    std::memset(fresh->buffer.data(), 0, kMetaBlockSize);
  }
  return fresh;
}

CachedBlock* BlockManager::Impl::link_or_find(std::unique_ptr<CachedBlock>& fresh) {
  CacheStripe& stripe = stripe_of(fresh->number);
  CachedBlock* linked = nullptr;
  CachedBlock* evicted = nullptr;
  {
    const RawGuard guard{stripe.raw};
    also_touches(stripe.object);
    if (CachedBlock* const other = stripe.find(fresh->number); other != nullptr) {
      other->holds.fetch_add(1, std::memory_order_relaxed);
      return other;
    }
    // For the stripe, the caller, and the read that a loading block is for.
    fresh->holds = fresh->state == BlockState::loading ? 3 : 2;
    linked = fresh.release();
    stripe.link(*linked);
    evicted = stripe.evict(stripe_blocks_max);
  }
  if (evicted != nullptr) drop(*evicted);
  return linked;
}

CachedBlock& BlockManager::Impl::find_or_load(MetaBlock block, const Validator& validator) {
  if (CachedBlock* const cached = find(block); cached != nullptr) return *cached;
  std::unique_ptr<CachedBlock> fresh = make(block, validator, BlockState::loading);
  CachedBlock* const cached = link_or_find(fresh);
  if (fresh == nullptr) start_load(*cached);
  return *cached;
}

void BlockManager::Impl::start_load(CachedBlock& cached) {
  {
    const RawGuard guard{loads_raw};
    also_touches(loads_object, Access::add);
    ++loads;
  }
  Bio& bio = cached.bio;
  bio.op = BioOp::read;
  bio.fua = false;
  bio.sector = first_sector(cached.number);
  bio.sectors = kMetaBlockSectors;
  bio.data = cached.buffer.data();
  bio.owner = &cached;
  bio.end_io = &Impl::load_ended;
  device.submit(bio);
}

void BlockManager::Impl::load_ended(Bio& bio) {
  auto& cached = *static_cast<CachedBlock*>(bio.owner);
  static_cast<Impl*>(cached.owner)->finish_load(cached, bio.status);
}

// In completion context.
void BlockManager::Impl::finish_load(CachedBlock& cached, Errc status) {
  constexpr auto kWhere = std::source_location::current();
  Result<void> result;
  if (status != Errc::ok)
    result = fail(status, cached.number.value(), "reading a metadata block");
  else
    result = cached.validator->check(cached.number, cached.buffer.bytes());
  CacheStripe& stripe = stripe_of(cached.number);
  WaitQueue readers;
  bool unlinked = false;
  {
    const RawGuard guard{stripe.raw};
    also_touches(stripe.object);
    if (!result) {
      cached.load_error = result.error();
      if (cached.linked) {
        stripe.unlink(cached);
        unlinked = true;
      }
    }
    cached.state.store(result ? BlockState::valid : BlockState::failed, std::memory_order_release);
    std::swap(readers, cached.load_waiters);
  }
  if (unlinked) drop(cached);   // the map's hold; ours is another
  drop(cached);                 // NOLINT(clang-analyzer-cplusplus.NewDelete)
  WaitQueue quiescing;
  {
    const RawGuard guard{loads_raw};
    also_touches(loads_object);
    if (--loads == 0) std::swap(quiescing, loads_waiters);
  }
  // Last of all: whoever goes on now may destroy the block manager.
  while (Fiber* const fiber = readers.pop())
    unpark(*fiber, kWhere);
  while (Fiber* const fiber = quiescing.pop())
    unpark(*fiber, kWhere);
}

Result<void> BlockManager::Impl::wait_loaded(CachedBlock& cached) {
  constexpr auto kWhere = std::source_location::current();
  also_touches(stripe_of(cached.number).object, Access::read);
  if (cached.state.load(std::memory_order_acquire) == BlockState::loading) {
    Waiter waiter;
    bool waiting = false;
    {
      const RawGuard guard{stripe_of(cached.number).raw};
      waiting = cached.state.load(std::memory_order_relaxed) == BlockState::loading;
      if (waiting) cached.load_waiters.push(waiter);
    }
    if (waiting)
      park_until_woken(waiter,
                       Point{OpKind::read_lock, Access::read, &cached.lock.object(), kWhere});
  }
  if (cached.state.load(std::memory_order_acquire) == BlockState::valid) return {};
  const Error error = cached.load_error;
  drop(cached);
  return Failure{error};
}

void BlockManager::Impl::wait_for_loads() {
  constexpr auto kWhere = std::source_location::current();
  for (;;) {
    Waiter waiter;
    {
      const RawGuard guard{loads_raw};
      also_touches(loads_object);
      if (loads == 0) return;
      loads_waiters.push(waiter);
    }
    park_until_woken(waiter,
                     Point{OpKind::completion_wait, Access::read, &device.object(), kWhere});
  }
}

// ---- Writing ----

Result<void> BlockManager::Impl::write_batch(const std::vector<CachedBlock*>& blocks,
                                             std::size_t begin, std::size_t end) {
  WriteBatch batch{end - begin};
  for (std::size_t i = begin; i < end; ++i) {
    CachedBlock& cached = *blocks[i];
    cached.validator->prepare(cached.number, cached.buffer.bytes());
    cached.batch = &batch;
    Bio& bio = cached.bio;
    bio.op = BioOp::write;
    bio.fua = false;
    bio.sector = first_sector(cached.number);
    bio.sectors = kMetaBlockSectors;
    bio.data = cached.buffer.data();
    bio.owner = &cached;
    bio.end_io = &WriteBatch::end_io;
    device.submit(bio);
  }
  batch.done.wait();
  Result<void> result;
  for (std::size_t i = begin; i < end; ++i) {
    CachedBlock& cached = *blocks[i];
    cached.batch = nullptr;
    if (cached.bio.status == Errc::ok) {
      set_dirty(cached, false);
    } else if (result || cached.bio.status == Errc::power_lost) {
      // No room below is this device's affair, not the data device's.
      const Errc status =
          cached.bio.status == Errc::no_data_space ? Errc::no_metadata_space : cached.bio.status;
      result = fail(status, cached.number.value(), "writing a metadata block");
    }
  }
  return result;
}

Result<void> BlockManager::Impl::write_dirty() {
  std::vector<CachedBlock*> blocks;
  for (CacheStripe& stripe : stripes) {
    const RawGuard guard{stripe.raw};
    also_touches(stripe.object, Access::read);
    also_touches(dirty_object, Access::read);
    if (stripe.dirty() == 0) continue;
    stripe.for_each([&](CachedBlock& cached) {
      if (!cached.dirty || cached.lock.owner() != nullptr) return;
      cached.holds.fetch_add(1, std::memory_order_relaxed);
      blocks.push_back(&cached);
    });
  }
  if (blocks.empty()) return {};
  std::sort(blocks.begin(), blocks.end(),
            [](const CachedBlock* a, const CachedBlock* b) { return a->number < b->number; });
  unflushed = true;
  Result<void> result;
  for (std::size_t begin = 0; begin < blocks.size() && result; begin += kWritesInFlightMax)
    result = write_batch(blocks, begin, std::min(begin + kWritesInFlightMax, blocks.size()));
  for (CachedBlock* const cached : blocks)
    drop(*cached);
  return result;
}

}   // namespace engine::pdata
