// Pools of objects of one type: what the I/O paths use instead of malloc.
//
// Each thread takes from and gives to a free list of its own; lists balance over a shared one in
// batches. Memory comes in slabs and stays with the pool. A free object is filled with
// kPoisonByte, and AddressSanitizer reports its use. The number of objects in use is exact, and
// zero when the pool is destroyed: leak checks rest on it.
//
//   ObjectPool<T>    grows as needed: take() never fails and never blocks
//   BoundedPool<T>   at most `capacity` objects: try_take() may fail, take() suspends
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <source_location>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/fiber/waiters.h"

namespace engine::io {

// Untyped slots of one size.
class SlotPool {
 public:
  static constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

  SlotPool(const char* name, std::size_t slot_bytes, std::size_t slot_align, std::size_t capacity);
  ~SlotPool();
  SlotPool(const SlotPool&) = delete;
  SlotPool& operator=(const SlotPool&) = delete;

  // Any context. Null when `capacity` slots are in use. The bytes are uninitialised.
  [[nodiscard]] void* try_take();
  // Suspends while none is free; waiters are woken in the order they came.
  [[nodiscard]] void* take_or_wait(std::source_location where);
  // Any context.
  void give(void* slot, std::source_location where);

  // Exact when nobody is in the pool.
  [[nodiscard]] std::size_t in_use() const noexcept;
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] const SyncObject& object() const noexcept { return object_; }

 private:
  static constexpr std::uint32_t kShards = 8;
  static constexpr std::uint32_t kBatch = 32;
  struct FreeSlot {
    FreeSlot* next;
  };
  struct alignas(64) Shard {
    mutable RawLock raw;
    FreeSlot* free = nullptr;       // guarded by raw
    std::uint32_t free_count = 0;   // guarded by raw
    std::int64_t taken = 0;         // minus given; guarded by raw
  };
  struct Slab {
    Slab* next;
    std::size_t bytes;
  };

  [[nodiscard]] static std::uint32_t my_shard() noexcept { return t_thread.thread_index % kShards; }
  [[nodiscard]] void* pop(Shard& shard) noexcept;
  [[nodiscard]] bool refill(Shard& shard);
  [[nodiscard]] void* steal() noexcept;
  void grow();
  void spill(Shard& shard) noexcept;
  void wake_one(std::source_location where);

  SyncObject object_;
  std::size_t slot_bytes_ = 0;
  std::size_t slot_align_;
  std::size_t capacity_;
  std::array<Shard, kShards> shards_;
  RawLock central_;                    // taken inside a shard's lock
  FreeSlot* central_free_ = nullptr;   // guarded by central_
  std::size_t allocated_ = 0;          // slots in all slabs; guarded by central_
  Slab* slabs_ = nullptr;              // guarded by central_
  std::atomic<std::uint32_t> waiting_{0};
  RawLock waiters_raw_;
  WaitQueue waiters_;   // guarded by waiters_raw_
};

// Without arguments members that have no initialiser keep what the slot held: recycled memory is
// not cleared, so a use of it shows.
template <typename T, typename... Args>
[[nodiscard]] T* construct(void* slot, Args&&... args) {
  if constexpr (sizeof...(Args) == 0)
    return new (slot) T;
  else
    return new (slot) T(std::forward<Args>(args)...);
}

template <typename T, typename Pool>
struct Giver {
  Pool* pool;
  void operator()(T* object) const { pool->give(*object); }
};

template <typename T>
class ObjectPool {
 public:
  using Ptr = std::unique_ptr<T, Giver<T, ObjectPool>>;

  explicit ObjectPool(const char* name)
      : slots_{name, sizeof(T), alignof(T), SlotPool::kUnbounded} {}

  // Any context; does not suspend.
  template <typename... Args>
  [[nodiscard]] T& take(Args&&... args) {
    return *construct<T>(slots_.try_take(), std::forward<Args>(args)...);
  }
  // Any context.
  void give(T& object, std::source_location where = std::source_location::current()) {
    object.~T();
    slots_.give(&object, where);
  }
  [[nodiscard]] Ptr own(T& object) noexcept { return Ptr{&object, {this}}; }
  [[nodiscard]] std::size_t in_use() const noexcept { return slots_.in_use(); }

 private:
  SlotPool slots_;
};

template <typename T>
class BoundedPool {
 public:
  using Ptr = std::unique_ptr<T, Giver<T, BoundedPool>>;

  BoundedPool(const char* name, std::size_t capacity)
      : slots_{name, sizeof(T), alignof(T), capacity} {}

  // Any context; null when exhausted. A scheduling point.
  template <typename... Args>
  [[nodiscard]] T* try_take(std::source_location where, Args&&... args) {
    schedule_point(OpKind::atomic_rmw, Access::write, &slots_.object(), where);
    void* const slot = slots_.try_take();
    return slot == nullptr ? nullptr : construct<T>(slot, std::forward<Args>(args)...);
  }
  [[nodiscard]] T* try_take() { return try_take(std::source_location::current()); }

  // Suspends when exhausted, so it stands only where blocking is allowed, exhausted or not.
  template <typename... Args>
  [[nodiscard]] T& take(std::source_location where, Args&&... args) {
    return *construct<T>(slots_.take_or_wait(where), std::forward<Args>(args)...);
  }
  [[nodiscard]] T& take() { return take(std::source_location::current()); }

  // Any context.
  void give(T& object, std::source_location where = std::source_location::current()) {
    object.~T();
    slots_.give(&object, where);
  }
  [[nodiscard]] Ptr own(T& object) noexcept { return Ptr{&object, {this}}; }
  [[nodiscard]] std::size_t in_use() const noexcept { return slots_.in_use(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.capacity(); }

 private:
  SlotPool slots_;
};

}   // namespace engine::io
