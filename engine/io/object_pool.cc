#include "engine/io/object_pool.h"

#include <algorithm>
#include <cstring>

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(address)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(address)
#endif

namespace engine::io {
namespace {

constexpr std::size_t kFirstSlab =
    4;   // slots; each slab doubles what there is, up to kLargestSlab
constexpr std::size_t kLargestSlab = 64;

std::size_t round_up(std::size_t size, std::size_t align) noexcept {
  return (size + align - 1) / align * align;
}

}   // namespace

SlotPool::SlotPool(const char* name, std::size_t slot_bytes, std::size_t slot_align,
                   std::size_t capacity)
    : object_{ObjectKind::atomic, name},
      slot_align_{std::max(slot_align, alignof(FreeSlot))},
      capacity_{capacity} {
  slot_bytes_ = round_up(std::max(slot_bytes, sizeof(FreeSlot)), slot_align_);
}

SlotPool::~SlotPool() {
  ENGINE_CHECK_ALIVE(in_use() == 0, "{}: destroyed with {} objects in use", object_.name, in_use());
  while (slabs_ != nullptr) {
    Slab* const slab = slabs_;
    slabs_ = slab->next;
    ASAN_UNPOISON_MEMORY_REGION(slab, slab->bytes);
    ::operator delete(slab, std::align_val_t{std::max(slot_align_, alignof(Slab))});
  }
}

void* SlotPool::try_take() {
  Shard& shard = shards_[my_shard()];
  {
    const RawGuard guard{shard.raw};
    if (shard.free != nullptr || refill(shard)) return pop(shard);
  }
  return steal();
}

void* SlotPool::pop(Shard& shard) noexcept {
  FreeSlot* const slot = shard.free;
  ASAN_UNPOISON_MEMORY_REGION(slot, slot_bytes_);
  shard.free = slot->next;
  --shard.free_count;
  ++shard.taken;
  return slot;
}

// From the shared list, or from a new slab. False: neither.
bool SlotPool::refill(Shard& shard) {
  const RawGuard guard{central_};
  if (central_free_ == nullptr && allocated_ < capacity_) grow();
  for (std::uint32_t moved = 0; moved < kBatch && central_free_ != nullptr; ++moved) {
    FreeSlot* const slot = central_free_;
    central_free_ = slot->next;
    slot->next = shard.free;
    shard.free = slot;
    ++shard.free_count;
  }
  return shard.free != nullptr;
}

// Another thread may keep free what this one needs.
void* SlotPool::steal() noexcept {
  for (Shard& shard : shards_) {
    const RawGuard guard{shard.raw};
    if (shard.free != nullptr) return pop(shard);
  }
  return nullptr;
}

void SlotPool::grow() {
  const std::size_t wanted = std::clamp(allocated_, kFirstSlab, kLargestSlab);
  const std::size_t slots = std::min(wanted, capacity_ - allocated_);
  const std::size_t header = round_up(sizeof(Slab), slot_align_);
  const std::size_t bytes = header + slots * slot_bytes_;
  const std::align_val_t align{std::max(slot_align_, alignof(Slab))};
  auto* const memory = static_cast<std::byte*>(::operator new(bytes, align));
  slabs_ = new (memory) Slab{slabs_, bytes};
  // Last first, so that slots are handed out in the order of their addresses.
  for (std::size_t i = slots; i-- > 0;)
    central_free_ = new (memory + header + i * slot_bytes_) FreeSlot{central_free_};
  allocated_ += slots;
}

void SlotPool::give(void* slot, std::source_location where) {
  // Whoever gives back too late, to a pool that is gone by then, must be seen to do so.
  const Access access = capacity_ == kUnbounded ? Access::add : Access::write;
  schedule_point(OpKind::atomic_rmw, access, &object_, where);
  Shard& shard = shards_[my_shard()];
  std::memset(slot, std::to_integer<int>(kPoisonByte), slot_bytes_);
  {
    const RawGuard guard{shard.raw};
    shard.free = new (slot) FreeSlot{shard.free};
    ++shard.free_count;
    --shard.taken;
    if (shard.free_count > 2 * kBatch) spill(shard);
    ASAN_POISON_MEMORY_REGION(static_cast<std::byte*>(slot) + sizeof(FreeSlot),
                              slot_bytes_ - sizeof(FreeSlot));
  }
  // Whoever began to wait after this look has queued itself before it looked at the lists, and
  // found the slot (the shard's lock orders the two).
  if (waiting_.load(std::memory_order_seq_cst) != 0) wake_one(where);
}

void SlotPool::spill(Shard& shard) noexcept {
  const RawGuard guard{central_};
  for (std::uint32_t moved = 0; moved < kBatch; ++moved) {
    FreeSlot* const slot = shard.free;
    shard.free = slot->next;
    --shard.free_count;
    slot->next = central_free_;
    central_free_ = slot;
  }
}

void SlotPool::wake_one(std::source_location where) {
  Fiber* fiber = nullptr;
  {
    const RawGuard guard{waiters_raw_};
    fiber = waiters_.pop();
  }
  if (fiber != nullptr) unpark(*fiber, where);
}

void* SlotPool::take_or_wait(std::source_location where) {
  assert_may_block("BoundedPool::take", where);
  const Point why{OpKind::atomic_rmw, Access::write, &object_, where};
  schedule_point(why.op, why.access, why.object, where);
  if (void* const slot = try_take(); slot != nullptr) return slot;
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  void* slot = nullptr;
  for (bool first = true;; first = false) {
    Waiter waiter;
    {
      const RawGuard guard{waiters_raw_};
      if (first)
        waiters_.push(waiter);
      else
        waiters_.push_front(waiter);
    }
    slot = try_take();
    if (slot != nullptr) {
      bool woken = false;
      {
        const RawGuard guard{waiters_raw_};
        woken = waiter.woken.load(std::memory_order_acquire);
        if (!woken) waiters_.remove(waiter);
      }
      // That wake-up was for a slot that is still free: it is the next waiter's.
      if (woken) wake_one(where);
      break;
    }
    park_until_woken(waiter, why);
  }
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
  return slot;
}

std::size_t SlotPool::in_use() const noexcept {
  std::int64_t taken = 0;
  for (const Shard& shard : shards_) {
    const RawGuard guard{shard.raw};
    taken += shard.taken;
  }
  return static_cast<std::size_t>(std::max<std::int64_t>(taken, 0));
}

}   // namespace engine::io
