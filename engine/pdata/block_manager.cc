#include "engine/pdata/block_manager.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/check.h"
#include "engine/fiber/completion.h"
#include "engine/pdata/block_cache.h"

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
  std::atomic<std::size_t> missing;
  Completion done{"block_manager.written"};

  static void end_io(Bio& bio) {
    auto& cached = *static_cast<CachedBlock*>(bio.owner);
    WriteBatch& batch = *cached.batch;
    if (batch.missing.fetch_sub(1, std::memory_order_acq_rel) == 1) batch.done.signal();
  }
};

struct BlockManager::Impl {
  Impl(BlockDevice& dev, std::uint32_t cache_blocks_max)
      : device{dev},
        stripes(stripes_for(cache_blocks_max)),
        stripe_blocks_max{
            static_cast<std::uint32_t>(div_ceil(std::max(cache_blocks_max, 1U), stripes.size()))} {}

  BlockDevice& device;
  std::vector<CacheStripe> stripes;
  const std::uint32_t stripe_blocks_max;
  std::atomic<std::uint32_t> dirty{0};   // written, but not yet on the device
  // Block writes that no flush has covered; only the one writer looks.
  bool unflushed = false;
  AlignedBuffer superblock;

  RawLock loads_raw;
  std::uint32_t loads = 0;   // reads under way; guarded by loads_raw
  WaitQueue loads_waiters;   // for none; guarded by loads_raw

  [[nodiscard]] CacheStripe& stripe_of(MetaBlock block) noexcept {
    return stripes[block.value() & (stripes.size() - 1)];
  }

  void drop(CachedBlock& cached) {
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
    if (dirty.load(std::memory_order_relaxed) < stripe_blocks_max * stripes.size()) return {};
    return write_dirty();
  }
};

// ---- Finding and loading ----

CachedBlock* BlockManager::Impl::find(MetaBlock block) noexcept {
  CacheStripe& stripe = stripe_of(block);
  const RawGuard guard{stripe.raw};
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
  bool unlinked = false;
  {
    const RawGuard guard{stripe.raw};
    if (!result) {
      cached.load_error = result.error();
      if (cached.linked) {
        stripe.unlink(cached);
        unlinked = true;
      }
    }
    cached.state.store(result ? BlockState::valid : BlockState::failed, std::memory_order_release);
  }
  for (;;) {
    Fiber* fiber = nullptr;
    {
      const RawGuard guard{stripe.raw};
      fiber = cached.load_waiters.pop();
    }
    if (fiber == nullptr) break;
    unpark(*fiber, kWhere);
  }
  if (unlinked) drop(cached);
  drop(cached);
  // Last of all: whoever waits for it may destroy the block manager.
  WaitQueue woken;
  {
    const RawGuard guard{loads_raw};
    if (--loads == 0) std::swap(woken, loads_waiters);
  }
  while (Fiber* const fiber = woken.pop())
    unpark(*fiber, kWhere);
}

Result<void> BlockManager::Impl::wait_loaded(CachedBlock& cached) {
  constexpr auto kWhere = std::source_location::current();
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
      result = fail(cached.bio.status, cached.number.value(), "writing a metadata block");
    }
  }
  return result;
}

Result<void> BlockManager::Impl::write_dirty() {
  std::vector<CachedBlock*> blocks;
  for (CacheStripe& stripe : stripes) {
    const RawGuard guard{stripe.raw};
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

// ---- BlockManager ----

BlockManager::BlockManager(BlockDevice& device, BlockManagerOptions options)
    : device_{device},
      options_{options},
      impl_{std::make_unique<Impl>(device, options.cache_blocks_max)} {
  update_size();
}

BlockManager::~BlockManager() {
  ENGINE_CHECK(impl_->loads == 0, "metadata reads under way");
  for (CacheStripe& stripe : impl_->stripes) {
    while (CachedBlock* const cached = stripe.any()) {
      ENGINE_CHECK(cached->holds.load() == 1, "block {} still held", cached->number);
      stripe.unlink(*cached);
      delete cached;
    }
  }
}

void BlockManager::update_size() noexcept {
  nr_blocks_ = device_.limits().sectors / kMetaBlockSectors;
}

Result<void> BlockManager::check_exists(MetaBlock block) const {
  if (block.value() >= nr_blocks_)
    return fail(Errc::corrupt, block.value(), "block number beyond the metadata device");
  return {};
}

Result<ReadRef> BlockManager::read(MetaBlock block, const Validator& validator) {
  assert_may_block("reading a metadata block");
  ENGINE_TRY(check_exists(block));
  CachedBlock* const cached = &impl_->find_or_load(block, validator);
  ENGINE_TRY(impl_->wait_loaded(*cached));
  if (cached->lock.write_held_by_me()) {
    impl_->drop(*cached);
    return fail(Errc::corrupt, block.value(), "block refers to itself");
  }
  cached->lock.lock_shared();
  ReadRef ref{*this, *cached};
  if (cached->validator->salt() != validator.salt())
    return fail(Errc::corrupt, block.value(), "block used as two types");
  return ref;
}

Result<ReadRef> BlockManager::try_read(MetaBlock block, const Validator& validator) {
  ENGINE_TRY(check_exists(block));
  CachedBlock* const cached = impl_->find(block);
  if (cached == nullptr) return fail(Errc::would_block, block.value());
  if (cached->state.load(std::memory_order_acquire) != BlockState::valid ||
      !cached->lock.try_lock_shared()) {
    impl_->drop(*cached);
    return fail(Errc::would_block, block.value());
  }
  ReadRef ref{*this, *cached};
  if (cached->validator->salt() != validator.salt())
    return fail(Errc::corrupt, block.value(), "block used as two types");
  return ref;
}

Result<WriteRef> BlockManager::lock_for_writing(CachedBlock& cached) {
  if (cached.lock.write_held_by_me()) {
    impl_->drop(cached);
    return fail(Errc::corrupt, cached.number.value(), "block in use twice");
  }
  cached.lock.lock();
  impl_->set_dirty(cached, true);
  return WriteRef{*this, cached};
}

Result<void> BlockManager::check_writable(MetaBlock block) const {
  ENGINE_TRY(check_exists(block));
  if (block == MetaBlock{0}) return fail(Errc::corrupt, 0, "the superblock used as another block");
  if (read_only()) return fail(Errc::read_only, block.value(), "metadata device");
  return {};
}

Result<WriteRef> BlockManager::write(MetaBlock block, const Validator& validator) {
  assert_may_block("writing a metadata block");
  ENGINE_TRY(check_writable(block));
  ENGINE_TRY(impl_->bound_dirty());
  CachedBlock* const cached = &impl_->find_or_load(block, validator);
  ENGINE_TRY(impl_->wait_loaded(*cached));
  if (cached->validator->salt() != validator.salt()) {
    impl_->drop(*cached);
    return fail(Errc::corrupt, block.value(), "block used as two types");
  }
  return lock_for_writing(*cached);
}

Result<WriteRef> BlockManager::write_zero(MetaBlock block, const Validator& validator) {
  assert_may_block("writing a metadata block");
  ENGINE_TRY(check_writable(block));
  ENGINE_TRY(impl_->bound_dirty());
  for (;;) {
    if (CachedBlock* const cached = impl_->find(block); cached != nullptr) {
      // Someone may be reading what was there; that this fails does not matter here.
      if (!impl_->wait_loaded(*cached)) continue;
      ENGINE_TRY_ASSIGN(WriteRef ref, lock_for_writing(*cached));
      std::memset(cached->buffer.data(), 0, kMetaBlockSize);
      cached->validator = &validator;
      return ref;
    }
    std::unique_ptr<CachedBlock> fresh = impl_->make(block, validator, BlockState::valid);
    fresh->lock.lock();   // before anyone can see it
    CachedBlock* const cached = impl_->link_or_find(fresh);
    if (fresh == nullptr) {
      impl_->set_dirty(*cached, true);
      return WriteRef{*this, *cached};
    }
    fresh->lock.unlock();
    impl_->drop(*cached);
  }
}

void BlockManager::prefetch(MetaBlock block, const Validator& validator) {
  if (!check_exists(block)) return;
  impl_->drop(impl_->find_or_load(block, validator));
}

Result<void> BlockManager::flush() {
  assert_may_block("flushing metadata blocks");
  if (read_only()) return fail(Errc::read_only, 0, "metadata device");
  ENGINE_TRY(impl_->write_dirty());
  ENGINE_CHECK(dirty_blocks() == 0, "a block is held for writing during a flush");
  if (!impl_->unflushed) return {};
  ENGINE_TRY(flush_and_wait(device_));
  impl_->unflushed = false;
  return {};
}

Result<void> BlockManager::commit_superblock(const std::function<void(MutableBytes)>& fill) {
  ENGINE_TRY(flush());
  AlignedBuffer& buffer = impl_->superblock;
  if (buffer.size() == 0) buffer = AlignedBuffer{kMetaBlockSize};
  std::memset(buffer.data(), 0, kMetaBlockSize);
  fill(buffer.bytes());
  kSuperblockValidator.prepare(MetaBlock{0}, buffer.bytes());
  forget(MetaBlock{0});
  Bio bio;
  bio.op = BioOp::write;
  bio.fua = true;
  bio.sector = Sector{0};
  bio.sectors = kMetaBlockSectors;
  bio.data = buffer.data();
  return submit_and_wait(device_, bio);
}

void BlockManager::forget(MetaBlock block) {
  CacheStripe& stripe = impl_->stripe_of(block);
  CachedBlock* cached = nullptr;
  {
    const RawGuard guard{stripe.raw};
    cached = stripe.find(block);
    if (cached != nullptr) stripe.unlink(*cached);
  }
  if (cached != nullptr) impl_->drop(*cached);
}

void BlockManager::abandon() {
  for (CacheStripe& stripe : impl_->stripes) {
    for (;;) {
      CachedBlock* cached = nullptr;
      {
        const RawGuard guard{stripe.raw};
        cached = stripe.any();
        if (cached != nullptr) {
          ENGINE_CHECK(cached->lock.owner() == nullptr, "block {} held for writing",
                       cached->number);
          stripe.unlink(*cached);
        }
      }
      if (cached == nullptr) break;
      impl_->drop(*cached);
    }
  }
  impl_->dirty.store(0, std::memory_order_relaxed);
  quiesce();
}

void BlockManager::quiesce() {
  assert_may_block("waiting for metadata reads");
  impl_->wait_for_loads();
}

std::uint32_t BlockManager::cached_blocks() const noexcept {
  std::uint32_t count = 0;
  for (CacheStripe& stripe : impl_->stripes) {
    const RawGuard guard{stripe.raw};
    count += stripe.size();
  }
  return count;
}

std::uint32_t BlockManager::dirty_blocks() const noexcept {
  return impl_->dirty.load(std::memory_order_relaxed);
}

// ---- Holds ----

MetaBlock ReadRef::block() const noexcept {
  return cached_->number;
}
ConstBytes ReadRef::bytes() const noexcept {
  return std::as_const(cached_->buffer).bytes();
}
void ReadRef::release() {
  if (cached_ == nullptr) return;
  CachedBlock& cached = *std::exchange(cached_, nullptr);
  cached.lock.unlock_shared();
  manager_->impl_->drop(cached);
}

MetaBlock WriteRef::block() const noexcept {
  return cached_->number;
}
MutableBytes WriteRef::bytes() noexcept {
  return cached_->buffer.bytes();
}
ConstBytes WriteRef::bytes() const noexcept {
  return std::as_const(cached_->buffer).bytes();
}
void WriteRef::release() {
  if (cached_ == nullptr) return;
  CachedBlock& cached = *std::exchange(cached_, nullptr);
  cached.lock.unlock();
  manager_->impl_->drop(cached);
}

}   // namespace engine::pdata
