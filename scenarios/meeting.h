// Where actors wait for one another, so that what each does next begins at the same time.
#pragma once

#include <cstdint>

#include "engine/fiber/condition.h"
#include "engine/fiber/mutex.h"

namespace scenarios {

class Meeting {
 public:
  explicit Meeting(std::uint32_t members) noexcept : members_{members} {}

  // Suspends until all members who have not left are here. Whoever comes when they have gone on
  // waits for the next time.
  void meet();
  // For good.
  void leave();

 private:
  void begin_if_all() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  engine::Mutex mutex_{"lab.meeting"};
  engine::Condition all_here_{"lab.meeting"};
  std::uint32_t members_ ABSL_GUARDED_BY(mutex_);
  std::uint32_t here_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t times_ ABSL_GUARDED_BY(mutex_) = 0;   // it was complete
};

}   // namespace scenarios
