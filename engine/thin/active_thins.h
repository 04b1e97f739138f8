// The thins that a pool serves: a list that is read in RCU sections and changed under a lock.
//
// Readers must be able to block while they work on a thin, so they hold a pin and no read section
// then. The thin they come back from may have been unlinked meanwhile, and what its `next` says may
// be gone for long: next() follows it only while the thin is still linked, and otherwise looks for
// the first thin that was published later. New thins go to the end, so no thin that stays is missed
// or met twice.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/fiber/atomic.h"
#include "engine/fiber/rcu.h"
#include "engine/fiber/spin_lock.h"
#include "engine/thin/thin_device.h"

namespace engine::thin {

// A pinned thin, or none.
class ThinPin {
 public:
  ThinPin() = default;
  explicit ThinPin(ThinDevice* pinned) noexcept : thin_{pinned} {}
  ~ThinPin() { reset(); }
  ThinPin(ThinPin&& other) noexcept : thin_{std::exchange(other.thin_, nullptr)} {}
  ThinPin& operator=(ThinPin&& other) noexcept {
    std::swap(thin_, other.thin_);
    return *this;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return thin_ != nullptr; }
  [[nodiscard]] ThinDevice& operator*() const noexcept { return *thin_; }
  [[nodiscard]] ThinDevice* operator->() const noexcept { return thin_; }
  void reset() {
    if (thin_ != nullptr) std::exchange(thin_, nullptr)->unpin();
  }

 private:
  ThinDevice* thin_ = nullptr;
};

class ActiveThins {
 public:
  // `rcu` outlives every pool: a reader looks at it once more when its section has ended.
  explicit ActiveThins(Rcu& rcu) noexcept : rcu_{rcu} {}
  ~ActiveThins();
  ActiveThins(const ActiveThins&) = delete;
  ActiveThins& operator=(const ActiveThins&) = delete;

  // Any context. Refusal: invalid, the list is closed (the pool is suspended).
  Result<void> publish(ThinDevice& thin);
  // Any context. Afterwards synchronize() before the thin's first reference is dropped. If its
  // device is quiet, another thin of the device stands for that from here on: wake_all() no longer
  // finds this one.
  void unlink(ThinDevice& thin);
  // Suspends until whoever found an unlinked thin has pinned it or given up, and map() has returned
  // wherever it was running.
  void synchronize() { rcu_.synchronize(); }
  [[nodiscard]] Rcu& rcu() const noexcept { return rcu_; }

  // Iteration; any context, does not suspend.
  [[nodiscard]] ThinPin first();
  [[nodiscard]] ThinPin next(const ThinPin& current);

  // While closed nothing is published. Any context.
  void close();
  void open();
  [[nodiscard]] bool closed() const;

  // Suspends. Sorts them so that a thin whose device stands on that of another of them comes before
  // that one: through an external origin, or through a table that is no thin's, as where a linear
  // device has a thin in its inactive table. Whoever makes them quiet in this order waits for no
  // bio that waits for a device that is quiet already.
  static void upper_first(std::vector<ThinPin>& thins);
  // Suspend. Internally suspends every device that a thin stands in, once each, and undoes it.
  void quiet_all();
  void wake_all();
  // Whether the caller must resume `leaving`'s device internally: it was unlinked while its device
  // was quiet, and no other thin of that device was there to be woken by wake_all(). Call it when
  // nobody has a pin any more, as quiet_all() suspends what it has marked.
  [[nodiscard]] bool take_quiet(ThinDevice& leaving);

  [[nodiscard]] std::size_t count() const;

 private:
  [[nodiscard]] ThinDevice* first_after(std::uint64_t ordinal) const;
  [[nodiscard]] bool quieted(const io::OwnerDevice& device) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  // Whether the caller is to suspend its device.
  [[nodiscard]] bool mark_quiet(ThinDevice& thin);
  void hand_over_quiet(ThinDevice& leaving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  Rcu& rcu_;
  Atomic<ThinDevice*> head_{"pool.active_head", nullptr};
  mutable SpinLock lock_{"pool.active_lock"};
  ThinDevice* tail_ ABSL_GUARDED_BY(lock_) = nullptr;
  std::uint64_t published_ ABSL_GUARDED_BY(lock_) = 0;
  bool closed_ ABSL_GUARDED_BY(lock_) = true;   // until the pool first resumes
};

}   // namespace engine::thin
