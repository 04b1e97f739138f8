#include "engine/pdata/block_cache.h"

#include "engine/base/check.h"

namespace engine::pdata {

void CacheStripe::grow_chains() {
  chains_.assign(std::max(kChainsMin, chains_.size() * 2), nullptr);
  for (CachedBlock& cached : clock_) {
    CachedBlock*& head = chains_[slot(cached.number)];
    cached.chain = head;
    head = &cached;
  }
}

void CacheStripe::link(CachedBlock& cached) {
  ENGINE_CHECK(!cached.linked);
  if (clock_.size() >= chains_.size()) grow_chains();
  CachedBlock*& head = chains_[slot(cached.number)];
  cached.chain = head;
  head = &cached;
  clock_.push_back(cached);
  cached.linked = true;
}

void CacheStripe::unlink(CachedBlock& cached) noexcept {
  ENGINE_CHECK(cached.linked);
  set_dirty(cached, false);
  CachedBlock** link = &chains_[slot(cached.number)];
  while (*link != &cached)
    link = &(*link)->chain;
  *link = cached.chain;
  clock_.erase(clock_.iterator_to(cached));
  cached.linked = false;
}

CachedBlock* CacheStripe::evict(std::uint32_t blocks_max) noexcept {
  for (std::uint32_t step = 0; step < kClockSteps && clock_.size() > blocks_max; ++step) {
    CachedBlock& oldest = clock_.front();
    if (!oldest.dirty && oldest.holds.load(std::memory_order_acquire) == 1 && !oldest.used_lately) {
      unlink(oldest);
      return &oldest;
    }
    oldest.used_lately = false;
    clock_.splice(clock_.end(), clock_, clock_.begin());
  }
  return nullptr;
}

}   // namespace engine::pdata
