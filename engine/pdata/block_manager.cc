#include "engine/pdata/block_manager.h"

#include <cstring>

#include "engine/base/check.h"
#include "engine/pdata/block_transfers.h"

namespace engine::pdata {

BlockManager::BlockManager(BlockDevice& device, BlockManagerOptions options)
    : device_{device},
      options_{options},
      impl_{std::make_unique<Impl>(device, options.cache_blocks_max)} {
  update_size();
}

BlockManager::~BlockManager() {
  {
    // Also orders what the last completion did before what follows.
    const RawGuard guard{impl_->loads_raw};
    ENGINE_CHECK(impl_->loads == 0, "metadata reads under way");
  }
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
  options_.superblock->prepare(MetaBlock{0}, buffer.bytes());
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
    also_touches(stripe.object);
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
        also_touches(stripe.object);
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
