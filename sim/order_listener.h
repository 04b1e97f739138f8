// What lets one fiber go on after another, where no event tells of it: for whoever judges which
// operations could have come in another order (happens_before.h).
#pragma once

#include <cstdint>

#include "engine/fiber/event.h"

namespace sim {

class SimFiber;

class OrderListener {
 public:
  // Points that it is told of.
  [[nodiscard]] static constexpr bool listens_to(engine::OpKind op) noexcept {
    using engine::OpKind;
    static_assert(static_cast<unsigned>(OpKind::note) < 64);
    constexpr auto kBit = [](OpKind each) {
      return std::uint64_t{1} << static_cast<unsigned>(each);
    };
    constexpr std::uint64_t kOps = kBit(OpKind::atomic_load) | kBit(OpKind::atomic_store) |
                                   kBit(OpKind::atomic_rmw) | kBit(OpKind::completion_wait) |
                                   kBit(OpKind::condition_wait);
    return (kOps & kBit(op)) != 0;
  }
  // Who runs does now what it stood at, to the object of that id.
  virtual void goes_on(engine::OpKind op, std::uint32_t object) noexcept = 0;
  // And it has left `object` as it was.
  virtual void unchanged(const engine::SyncObject& object) noexcept = 0;
  // Who runs starts that one.
  virtual void spawns(const SimFiber& fiber) noexcept = 0;
  // Who runs wakes that one, which waits or is about to.
  virtual void wakes(const SimFiber& fiber) noexcept = 0;
  // Who runs hands something to the environment; and who runs by now got it back.
  [[nodiscard]] virtual std::uint32_t sent() noexcept = 0;
  virtual void received(std::uint32_t ticket) noexcept = 0;

 protected:
  ~OrderListener() = default;
};

}   // namespace sim
