// Which locks each fiber holds, from the points that happen, and with that which variables one lock
// protects whenever they are touched (S. Savage et al., "Eraser: A Dynamic Data Race Detector for
// Multithreaded Programs", 1997: lock sets). The order of what happens to such a variable is that
// of the lock's holders, so a strategy need not look at both.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/sim_fiber.h"

namespace sim {

class HeldLocks {
 public:
  // A new execution.
  void begin() {
    for (std::vector<std::uint32_t>& each : held_)
      each.clear();
  }
  // `fiber` goes on with `point`. A lock that may not be had counts as not held.
  void happens(const SimFiber& fiber, const engine::Point& point) {
    switch (point.op) {
      case engine::OpKind::mutex_lock:
      case engine::OpKind::spin_lock:
      case engine::OpKind::read_lock:
      case engine::OpKind::write_lock:
        of(fiber).push_back(point.object->id);
        break;
      case engine::OpKind::mutex_unlock:
      case engine::OpKind::spin_unlock:
      case engine::OpKind::read_unlock:
      case engine::OpKind::write_unlock:
        std::erase(of(fiber), point.object->id);
        break;
      default:
        break;
    }
  }
  // Ids of their objects.
  [[nodiscard]] std::vector<std::uint32_t>& of(const SimFiber& fiber) {
    const std::size_t at = fiber.id.value() % kFibers;
    if (held_.size() <= at) held_.resize(at + 1);
    return held_[at];
  }

 private:
  // Completions and timers count from far above; that they share entries does no harm, as they hold
  // a lock for the length of their run at most.
  static constexpr std::size_t kFibers = 1024;
  std::vector<std::vector<std::uint32_t>> held_;
};

// Locks protect these; other objects have rules of their own.
[[nodiscard]] inline bool is_data(const engine::SyncObject& object) noexcept {
  return object.kind == engine::ObjectKind::variable || object.kind == engine::ObjectKind::atomic;
}

// The locks that were held at every access so far.
class CommonLocks {
 public:
  void access(std::span<const std::uint32_t> held) {
    if (!accessed_) locks_.assign(held.begin(), held.end());
    accessed_ = true;
    std::erase_if(locks_, [&](std::uint32_t lock) {
      return std::find(held.begin(), held.end(), lock) == held.end();
    });
  }
  [[nodiscard]] bool any() const noexcept { return !locks_.empty(); }
  // There were accesses, and nothing is common to them.
  [[nodiscard]] bool none() const noexcept { return accessed_ && locks_.empty(); }
  // Some lock is common to both.
  [[nodiscard]] bool meet(const CommonLocks& other) const noexcept {
    return std::any_of(locks_.begin(), locks_.end(), [&](std::uint32_t lock) {
      return std::find(other.locks_.begin(), other.locks_.end(), lock) != other.locks_.end();
    });
  }

 private:
  std::vector<std::uint32_t> locks_;
  bool accessed_ = false;
};

}   // namespace sim
