// Read sections that cost no shared cache line, and a writer that waits for those under way.
//
// A sleepable-RCU scheme (two phases of per-thread counters, after P. McKenney, "Sleepable RCU",
// 2006): a section counts itself into the current phase and out of the same one; synchronize()
// turns the phase and waits for the old one to drain. Sections may be preempted in the tank and
// may nest, but must not block: the contexts enforce it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>

#include "engine/fiber/mutex.h"

namespace engine {

class Rcu {
 public:
  explicit Rcu(const char* name) noexcept;
  ~Rcu();
  Rcu(const Rcu&) = delete;
  Rcu& operator=(const Rcu&) = delete;

  struct Section {
    std::uint32_t shard;
    std::uint32_t phase;
    std::source_location saved_entered;
  };
  // Any context; never suspend. A section ends on the thread it began on.
  [[nodiscard]] Section enter(std::source_location where = std::source_location::current());
  void leave(const Section& section, std::source_location where = std::source_location::current());

  // Suspends until every section that began before the call has ended.
  void synchronize(std::source_location where = std::source_location::current());

 private:
  static constexpr std::uint32_t kShards = 8;
  struct alignas(64) Shard {
    std::array<std::atomic<std::uint64_t>, 2> entered{};
    std::array<std::atomic<std::uint64_t>, 2> left{};
  };
  [[nodiscard]] bool drained(std::uint32_t phase) const noexcept;
  void wait_drained(std::uint32_t phase, std::source_location where);

  SyncObject object_;
  std::atomic<std::uint32_t> phase_{0};
  std::atomic<bool> waiting_{false};
  RawLock raw_;
  WaitQueue waiter_;   // of synchronize(), at most one; guarded by raw_
  Mutex writers_;      // one synchronize() at a time
  std::array<Shard, kShards> shards_{};
};

class RcuSection {
 public:
  explicit RcuSection(Rcu& rcu, std::source_location where = std::source_location::current())
      : rcu_{rcu}, section_{rcu.enter(where)} {}
  ~RcuSection() { rcu_.leave(section_); }
  RcuSection(const RcuSection&) = delete;
  RcuSection& operator=(const RcuSection&) = delete;

 private:
  Rcu& rcu_;
  Rcu::Section section_;
};

}   // namespace engine
