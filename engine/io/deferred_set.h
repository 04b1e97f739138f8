// Work that waits for all that was in flight when it was deferred, and for nothing that came later.
//
// Entries are counted into the current generation; defer() closes it, attaches the work to it and
// opens the next. The work runs when its generation and all older ones have drained. Counting in
// and out touches one cache line of the calling thread and takes no lock unless work is waiting.
//
// Keep: an entry leaves the set exactly once; whoever holds an entry is itself counted by something
// that the set outlives (a mapped device waits for its bios), because leave() looks at the set
// once more after its count is down.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>

#include <boost/intrusive/list.hpp>

#include "engine/fiber/spin_lock.h"

namespace engine::io {

// Intrusive; owned by the caller, on no other list, alive until `run` is called.
struct DeferredWork {
  using Run = void (*)(DeferredWork& work);
  // In whatever context the last entry left: must not block, usually queues to a worker. The work
  // may be freed or deferred again from there.
  Run run = nullptr;
  void* owner = nullptr;
  boost::intrusive::list_member_hook<> hook;
};

class DeferredSet {
 public:
  // Says which generation an entry was counted into. Default: not in the set.
  struct Entry {
    std::uint32_t ticket = 0;
    [[nodiscard]] explicit operator bool() const noexcept { return ticket != 0; }
  };

  explicit DeferredSet(const char* name) noexcept;
  ~DeferredSet();
  DeferredSet(const DeferredSet&) = delete;
  DeferredSet& operator=(const DeferredSet&) = delete;

  // Any context; does not suspend.
  [[nodiscard]] Entry enter(std::source_location where = std::source_location::current());
  // Any context; clears `entry`. Runs the work that was waiting for it, before it returns.
  void leave(Entry& entry, std::source_location where = std::source_location::current());
  // Any context. True: `work.run` is called once, when every entry that entered before has left;
  // possibly before defer() returns. False: there is none, and it is not called.
  [[nodiscard]] bool defer(DeferredWork& work,
                           std::source_location where = std::source_location::current());

  // Entries plus waiting work: 0 when quiescent. Exact when nobody is in the set.
  [[nodiscard]] std::uint64_t in_use() const noexcept;

 private:
  // One cache line of 32-bit counts per shard.
  static constexpr std::uint32_t kShards = 8;
  static constexpr std::uint32_t kGenerations = 16;
  using WorkList = boost::intrusive::list<
      DeferredWork,
      boost::intrusive::member_hook<DeferredWork, boost::intrusive::list_member_hook<>,
                                    &DeferredWork::hook>,
      boost::intrusive::constant_time_size<false>>;
  // Wraps: a thread may let leave what another counted in. Only sums mean anything.
  struct alignas(64) Shard {
    std::array<std::atomic<std::uint32_t>, kGenerations> counts{};
  };

  [[nodiscard]] std::uint32_t sum(std::uint32_t slot) const noexcept;
  void uncount(std::uint32_t slot, std::source_location where);
  void collect(WorkList& ready) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  static void run(WorkList& ready);

  SyncObject object_;
  SpinLock lock_;
  std::atomic<std::uint32_t> current_{0};   // generation; changes under lock_
  std::atomic<std::uint32_t> pending_{0};   // works that wait; changes under lock_
  std::uint32_t oldest_ ABSL_GUARDED_BY(lock_) = 0;
  std::array<WorkList, kGenerations> works_ ABSL_GUARDED_BY(lock_);
  WorkList unplaced_ ABSL_GUARDED_BY(lock_);   // all generations are in use
  std::array<Shard, kShards> shards_{};
};

}   // namespace engine::io
