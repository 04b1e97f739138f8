// A barrier that opens for so many threads at a time, again and again.
#pragma once

#include <cstdint>
#include <source_location>

#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"

namespace sim {

class Barrier {
 public:
  Barrier(const char* name, std::uint32_t threads) noexcept
      : mutex_{name}, open_{name}, threads_{threads}, missing_{threads} {}

  // Suspends until as many have arrived. True for the one that came last.
  bool arrive_and_wait(std::source_location where = std::source_location::current()) {
    const engine::MutexLock lock{mutex_, where};
    const std::uint64_t round = round_;
    if (--missing_ == 0) {
      missing_ = threads_;
      ++round_;
      open_.notify_all(where);
      return true;
    }
    open_.wait(mutex_, [&] { return round_ != round; }, where);
    return false;
  }

 private:
  engine::Mutex mutex_;
  engine::Condition open_;
  const std::uint32_t threads_;
  std::uint32_t missing_;     // guarded by mutex_
  std::uint64_t round_ = 0;   // guarded by mutex_
};

}   // namespace sim
