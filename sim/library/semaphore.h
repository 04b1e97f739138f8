// A counting semaphore, of a mutex and a condition.
#pragma once

#include <cstdint>
#include <source_location>

#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"

namespace sim {

class Semaphore {
 public:
  explicit Semaphore(const char* name, std::uint32_t count = 0) noexcept
      : mutex_{name}, more_{name}, count_{count} {}

  // Suspends until there is a unit to take.
  void acquire(std::source_location where = std::source_location::current()) {
    const engine::MutexLock lock{mutex_, where};
    more_.wait(mutex_, [&] { return count_ != 0; }, where);
    take(where);
  }
  [[nodiscard]] bool try_acquire(std::source_location where = std::source_location::current()) {
    const engine::MutexLock lock{mutex_, where};
    if (count_ == 0) return false;
    take(where);
    return true;
  }
  void release(std::source_location where = std::source_location::current()) {
    const engine::MutexLock lock{mutex_, where};
    if (engine::t_thread.points != nullptr) engine::t_thread.points->lets_share_go(more_.object());
    ++count_;
    more_.notify_one(where);
  }

 private:
  void take(std::source_location where) {
    --count_;
    if (engine::t_thread.points != nullptr)
      engine::t_thread.points->has_share(more_.object(), where);
  }

  engine::Mutex mutex_;
  engine::Condition more_;
  std::uint32_t count_;   // guarded by mutex_
};

}   // namespace sim
