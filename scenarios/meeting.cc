#include "scenarios/meeting.h"

namespace scenarios {

void Meeting::meet() {
  const engine::MutexLock lock{mutex_};
  const std::uint64_t before = times_;
  ++here_;
  begin_if_all();
  while (times_ == before)
    all_here_.wait(mutex_);
}

void Meeting::leave() {
  const engine::MutexLock lock{mutex_};
  --members_;
  begin_if_all();
}

void Meeting::begin_if_all() {
  if (here_ < members_ || here_ == 0) return;
  here_ = 0;
  ++times_;
  all_here_.notify_all();
}

}   // namespace scenarios
