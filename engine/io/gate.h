// Counts who is inside, at the price of one uncontended atomic operation on the way in and one on
// the way out; closes; waits until all have left.
//
// A mapped device counts each bio in and out of its gate, and suspends by closing it. Each thread
// counts on a cache line of its own. The closed and draining marks are bits of the very counters,
// so that entering and looking at the mark is one step, and so is leaving; after its step whoever
// leaves an undrained gate touches it no more, and whoever leaves a draining one has left before
// drain() returns. So the gate may be destroyed as soon as it has drained.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>

#include "engine/fiber/waiters.h"

namespace engine::io {

class Gate {
 public:
  // Closed and empty.
  explicit Gate(const char* name) noexcept : object_{ObjectKind::atomic, name} {}
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Any context; neither suspends. False: it is closed.
  [[nodiscard]] bool enter(std::source_location where = std::source_location::current());
  void leave(std::source_location where = std::source_location::current());

  // The calls below must not run concurrently with each other.

  // Any context. Nobody enters any more.
  void close(std::source_location where = std::source_location::current());
  // Suspends until nobody is inside a closed gate.
  void drain(std::source_location where = std::source_location::current());
  // Any context. Only when new or drained.
  void open(std::source_location where = std::source_location::current());

  // For reports; exact when nobody enters or leaves.
  [[nodiscard]] std::uint64_t inside() const noexcept;

 private:
  static constexpr std::uint32_t kShards = 8;
  static constexpr std::uint64_t kMark = 1ULL << 63;   // closed, or draining
  struct alignas(64) Shard {
    std::atomic<std::uint64_t> entered{kMark};
    std::atomic<std::uint64_t> left{0};
  };

  SyncObject object_;
  std::array<Shard, kShards> shards_{};
  RawLock raw_;
  std::uint64_t expected_ = 0;   // entered when it was closed; guarded by raw_
  std::uint64_t gone_ = 0;       // left, as far as accounted for; guarded by raw_
  bool draining_ = false;        // guarded by raw_
  WaitQueue waiter_;             // at most one; guarded by raw_
};

}   // namespace engine::io
