// The open pools of a system: at most one per metadata device, shared by the tables that name it
// and by the thins on it.
//
// Keep: who opens or closes a pool has a place in the list from before the first of its I/O until
// after the last, and whoever wants that pool's devices finds the place taken. So nobody finds a
// pool that is opening or closing, and no two objects ever stand on one device. The mutex is not
// held over that I/O: it takes as long as a device below is suspended, and other pools are looked
// up meanwhile.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <utility>

#include "engine/env/env.h"
#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"
#include "engine/fiber/rcu.h"
#include "engine/io/target.h"
#include "engine/thin/pool_features.h"
#include "engine/thin/pool_options.h"

namespace engine::thin {

class Pool;
class PoolRegistry;

// A reference to an open pool. Movable; letting it go suspends.
class PoolRef {
 public:
  PoolRef() = default;
  PoolRef(PoolRegistry& registry, Pool& pool) noexcept : registry_{&registry}, pool_{&pool} {}
  ~PoolRef() { reset(); }
  PoolRef(PoolRef&& other) noexcept
      : registry_{other.registry_}, pool_{std::exchange(other.pool_, nullptr)} {}
  PoolRef& operator=(PoolRef&& other) noexcept {
    std::swap(registry_, other.registry_);
    std::swap(pool_, other.pool_);
    return *this;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }
  [[nodiscard]] Pool& operator*() const noexcept { return *pool_; }
  [[nodiscard]] Pool* operator->() const noexcept { return pool_; }
  void reset();

 private:
  PoolRegistry* registry_ = nullptr;
  Pool* pool_ = nullptr;
};

struct PoolOpen {
  io::OwnerDevice& owner;   // the mapped device that the pool is
  BlockDevice& metadata;
  BlockDevice& data;
  std::uint32_t block_sectors = 0;
  PoolFeatures features;
};

class PoolRegistry {
 public:
  explicit PoolRegistry(const PoolOptions& options);
  ~PoolRegistry();
  PoolRegistry(const PoolRegistry&) = delete;
  PoolRegistry& operator=(const PoolRegistry&) = delete;

  // Suspends. Would open() refuse these devices because of a pool that is open, or opening?
  Result<void> check(const PoolOpen& request);
  // Suspends. The pool that is open on these devices, or a new one, when one that is closing is
  // gone. Errors as table errors.
  Result<PoolRef> open(Executor& executor, const PoolOpen& request);
  // Suspends. The pool that `device` is. Refusal: invalid, it is none.
  Result<PoolRef> find(const io::OwnerDevice& device);
  // Suspends, never for long. For views and tests: by the name of the mapped device; null when
  // there is none. The caller keeps the pool open otherwise.
  [[nodiscard]] Pool* find(std::string_view device);

  // Tells tables apart.
  [[nodiscard]] std::uint64_t next_table() noexcept {
    return tables_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  // Suspends, never for long. Of those that are opening or closing, too.
  [[nodiscard]] std::size_t open_pools();
  [[nodiscard]] const PoolOptions& options() const noexcept { return options_; }

 private:
  friend class PoolRef;
  struct Place {
    const io::OwnerDevice* owner = nullptr;
    const BlockDevice* metadata = nullptr;
    const BlockDevice* data = nullptr;
    std::unique_ptr<Pool> pool{};   // null while it opens, and while it closes
    bool closing = false;
  };

  void release(Pool& pool);
  Result<Pool*> find_for(const PoolOpen& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] bool must_wait(const PoolOpen& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const PoolOptions options_;
  Rcu rcu_{"thin.active_thins"};   // of the lists of active thins of all pools
  std::atomic<std::uint64_t> tables_{0};
  Mutex mutex_{"thin.pools"};
  Condition settled_{"thin.pools.settled"};   // a pool has opened, or closed
  std::list<Place> places_ ABSL_GUARDED_BY(mutex_);
};

}   // namespace engine::thin
