// Two locks that are taken in opposite orders, by one fiber before the other or beside it.
#pragma once

#include <functional>

#include "engine/fiber/mutex.h"
#include "sim/tank.h"

namespace sim {

struct TwoLocks {
  engine::Mutex a{"a"};
  engine::Mutex b{"b"};
  void take(bool swap) {
    const engine::MutexLock one{swap ? b : a};
    const engine::MutexLock two{swap ? a : b};
  }
};

enum class Link : bool { ordered, unordered };

// One thread takes both locks and says so; another waits for that and takes them the other way
// round. Unordered: it does not wait.
inline void hand_over(Link link, const std::function<void()>& say,
                      const std::function<void()>& wait) {
  TwoLocks locks;
  Threads threads;
  threads.start("first", [&] {
    locks.take(false);
    say();
  });
  threads.start("second", [&] {
    if (link == Link::ordered) wait();
    locks.take(true);
  });
  threads.join();
}

}   // namespace sim
