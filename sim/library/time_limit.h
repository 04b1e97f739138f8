// How long somebody is willing to wait, by the clock on the wall. It is looked at between
// executions: none depends on it, but how many there are does.
#pragma once

#include <chrono>

namespace sim {

class TimeLimit {
 public:
  // From now on. 0: any time.
  explicit TimeLimit(double seconds) : seconds_{seconds} {}
  [[nodiscard]] bool over() const { return seconds_ > 0 && left() <= 0; }
  // Seconds; of no meaning when it is any time.
  [[nodiscard]] double left() const {
    return seconds_ - std::chrono::duration<double>(Clock::now() - begun_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_;
  Clock::time_point begun_ = Clock::now();
};

}   // namespace sim
